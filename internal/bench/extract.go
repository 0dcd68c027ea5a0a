package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"tilestream/internal/bench/messages"
	"tilestream/producer/tiledesk/tiledesktest"
)

// extract measures the producer: pages of the stand-in, which runs in this process, to transactions of Kafka.
func (b *bench) extract(ctx context.Context) ([]trial, error) {
	desk := tiledesktest.New(tiledesktest.Options{})
	start := time.Now().UTC().Add(-24 * time.Hour)
	for i := range b.rows {
		if err := desk.Put("messages", messages.New(messages.ID(i), i, start)); err != nil {
			return nil, err
		}
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	web := &http.Server{Handler: desk}
	go func() { _ = web.Serve(at) }() // until it is closed
	b.close = append([]func() error{web.Close}, b.close...)
	return []trial{{"extract and publish", "", func(ctx context.Context) (cost, error) {
		c, err := b.child(ctx, "producer", map[string]string{
			"TILEDESK_URL": "http://" + at.Addr().String(), "TILEDESK_PROJECT_ID": desk.ID, "TILEDESK_TOKEN": desk.Owner.Token, "TILEDESK_API": "v3",
			"TILEDESK_RESOURCES": "messages", "TILEDESK_REQUESTS_PER_MINUTE": fmt.Sprint(1 << 30), "KAFKA_TOPIC_PREFIX": fresh(b.kafka.Prefix),
		})
		c.rows = b.rows
		return c, err
	}}}, nil
}
