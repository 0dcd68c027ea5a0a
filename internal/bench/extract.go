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

// extract measures the producer: pages of the stand-in to transactions of Kafka.
func (b *bench) extract(context.Context) ([]trial, error) {
	if err := b.fillDesk(); err != nil {
		return nil, err
	}
	return []trial{{"extract and publish", nil, func(ctx context.Context) (cost, error) {
		return b.whole(ctx, "producer", map[string]string{"KAFKA_TOPIC_PREFIX": fresh(b.kafka.Prefix)})
	}}}, nil
}

// whole has a program read everything from the stand-in.
func (b *bench) whole(ctx context.Context, program string, env map[string]string) (cost, error) {
	for name, value := range b.desk {
		env[name] = value
	}
	c, err := b.child(ctx, program, env)
	c.rows = b.rows
	return c, err
}

// fillDesk starts a stand-in in this process that has the messages, once; desk is what points to it.
func (b *bench) fillDesk() error {
	if b.desk != nil {
		return nil
	}
	desk := tiledesktest.New(tiledesktest.Options{})
	start := time.Now().UTC().Add(-24 * time.Hour)
	for i := range b.rows {
		if err := desk.Put("messages", messages.New(messages.ID(i), i, start)); err != nil {
			return err
		}
	}
	url, err := b.serve(desk)
	if err != nil {
		return err
	}
	b.desk = map[string]string{
		"TILEDESK_URL": url, "TILEDESK_PROJECT_ID": desk.ID, "TILEDESK_TOKEN": desk.Owner.Token, "TILEDESK_API": "v3",
		"TILEDESK_RESOURCES": "messages", "TILEDESK_REQUESTS_PER_MINUTE": fmt.Sprint(1 << 30),
	}
	return nil
}

// serve answers on loopback until the bench ends, and returns where.
func (b *bench) serve(h http.Handler) (url string, err error) {
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	web := &http.Server{Handler: h}
	go func() { _ = web.Serve(at) }() // until it is closed
	b.close = append([]func() error{web.Close}, b.close...)
	return "http://" + at.Addr().String(), nil
}
