package e2e

import (
	"log/slog"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/producer/poll"
	"tilestream/producer/tiledesk"
)

// pipeline is both halves in this process, set up as the programs do it: from variables.
type pipeline struct {
	tiledesk tiledesk.Config
	poll     poll.Config
	kafka    broker.Config
	load     load.Config
	to       sink.Config
	env      envconfig.Lookuper
}

func newPipeline(t testing.TB, env map[string]string) *pipeline {
	t.Helper()
	p := &pipeline{env: envconfig.MapLookuper(env)}
	for _, cfg := range []any{&p.tiledesk, &p.poll, &p.kafka, &p.load, &p.to} {
		if err := ops.Load(t.Context(), p.env, cfg); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// sync publishes everything there is, then loads everything that is published, and returns what the loads did in all.
func (p *pipeline) sync(t testing.TB) sink.Stats {
	t.Helper()
	clients, err := p.tiledesk.Clients(p.env, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.poll
	cfg.Once = true
	skipped := poll.Events{Skipped: func(_, resource string, why error) { t.Errorf("%s was skipped: %v", resource, why) }}
	if err := poll.Run(t.Context(), cfg, p.kafka, clients, skipped); err != nil {
		t.Fatalf("publish: %v", err)
	}
	return p.loadAll(t)
}

func (p *pipeline) loadAll(t testing.TB) (sum sink.Stats) {
	t.Helper()
	to, err := p.to.Open(t.Context(), t.TempDir(), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := to.Close(); err != nil {
			t.Errorf("close the warehouse: %v", err)
		}
	}()
	now := make(chan struct{})
	close(now)
	cfg := p.load
	cfg.Until = now
	loads := make(chan load.Loaded, 1)
	summed := make(chan struct{})
	go func() {
		defer close(summed)
		for l := range loads {
			sum.Inserted += l.Stats.Inserted
			sum.Updated += l.Stats.Updated
			sum.Unchanged += l.Stats.Unchanged
		}
	}()
	err = load.Run(t.Context(), cfg, p.kafka, to, load.Events{Loaded: func(l load.Loaded) { loads <- l }})
	close(loads)
	<-summed
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return sum
}
