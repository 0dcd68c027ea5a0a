package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
	"tilestream/internal/dlq"
	"tilestream/internal/e2e"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// realWorld is a world on a real broker, with topics of its own.
func realWorld(t *testing.T) *world {
	brokers, registry := e2e.Service(t, "TEST_KAFKA_BROKERS"), e2e.Service(t, "TEST_SCHEMA_REGISTRY_URL")
	w := &world{T: t, warehouse: newWarehouse()}
	w.kafka = broker.Config{Brokers: strings.Split(brokers, ","), Prefix: fmt.Sprintf("load-%d", time.Now().UnixNano()), Partitions: 3, Registry: broker.Registry{URL: registry}}
	var err error
	if w.client, err = w.kafka.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	w.admin = kadm.NewClient(w.client)
	reg, err := w.kafka.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	w.codec = schemas.NewCodec(reg, w.kafka.Prefix)
	w.create("tags", 3)
	t.Cleanup(func() {
		_, _ = w.admin.DeleteTopics(context.Background(), w.topic("tags"), broker.DLQName(w.topic("tags")))
	})
	return w
}

// TestRealBroker: transactions, group and offsets of a real broker, with three consumers that take turns.
func TestRealBroker(t *testing.T) {
	w := realWorld(t)
	cfg := w.config()
	cfg.client = nil // as it is
	stop := w.start(cfg, Events{})
	for n := range 30 {
		var rs []*kgo.Record
		for p := range int32(3) {
			for i := range 5 {
				rs = append(rs, w.record("tags", p, fmt.Sprintf("%d-%d-%d", n, p, i), 200))
			}
		}
		w.transaction(w.kafka.Prefix, n%3 != 2, rs...)
	}
	eventually(t, "rows", func() bool { return w.warehouse.count() > 0 })
	second := w.start(cfg, Events{})
	eventually(t, "most rows", func() bool { return w.warehouse.count() >= 150 })
	for _, stop := range []func() error{stop, second} {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	started := time.Now()
	w.mustOnce(cfg)
	t.Logf("the last drain took %s", time.Since(started))
	w.check("tags")
}

// Dead letters of a real broker: consumers that are stopped as soon as one is written, and two at a time.
func TestRealBrokerDeadLetters(t *testing.T) {
	w := realWorld(t)
	w.warehouse.refuses = isBad
	for n := range 10 {
		var rs []*kgo.Record
		for i := range 30 {
			id := fmt.Sprintf("good-%d-%d", n, i)
			if i%10 == 7 {
				id = "bad" + id
			}
			rs = append(rs, w.record("tags", int32(i%3), id, 100))
		}
		w.transaction(w.kafka.Prefix, n%4 != 2, rs...)
	}
	cfg := w.config()
	cfg.client, cfg.DLQMaxRatio = nil, 1
	for range 3 {
		ctx, crash := context.WithCancel(t.Context())
		if err := Run(ctx, cfg, w.kafka, w.warehouse, Events{DeadLetter: func(string, dlq.Letter) { crash() }}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- w.once(cfg) }()
	}
	for range 2 {
		if err := <-done; err != nil && !errors.Is(err, ops.ErrDeadLetters) {
			t.Error(err)
		}
	}
	w.checkDead(isBad, "tags")
}
