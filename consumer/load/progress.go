package load

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

const tellEvery = 5 * time.Second

// progress tells how far a replay is: rows by what this process writes, the rest by the ledger, which all processes move.
type progress struct {
	log     *slog.Logger
	to      sink.Sink
	targets map[sink.Partition]int64

	mu  sync.Mutex
	sum Outcome
}

// over counts what is loaded, and tells ev too.
func (p *progress) over(ev Events) Events {
	loaded := ev.Loaded
	ev.Loaded = func(l Loaded) {
		p.mu.Lock()
		p.sum.Rows += l.Rows
		p.sum.Inserted += l.Stats.Inserted
		p.sum.Updated += l.Stats.Updated
		p.sum.Unchanged += l.Stats.Unchanged
		p.mu.Unlock()
		if loaded != nil {
			loaded(l)
		}
	}
	return ev
}

func (p *progress) outcome() Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sum
}

// tell logs a line from time to time, and tells ev, until ctx ends.
func (p *progress) tell(ctx context.Context, ev Events) {
	began, all := time.Now(), int64(-1)
	for {
		if left, err := p.left(ctx); err == nil && all < 0 {
			all = left
			ev.replaying(0, all)
		} else if err == nil {
			ev.replaying(all-left, all)
			rows, took := p.outcome().Rows, time.Since(began)
			p.log.Info("replaying", "rows", rows, "percent", percent(all-left, all), "rows_per_second", int64(float64(rows)/took.Seconds()),
				"eta", eta(all-left, left, took))
		}
		if ops.Sleep(ctx, tellEvery) != nil {
			return
		}
	}
}

// left counts the offsets that are still to be loaded.
func (p *progress) left(ctx context.Context) (left int64, err error) {
	var ps []sink.Partition
	for q := range p.targets {
		ps = append(ps, q)
	}
	next, err := p.to.Next(ctx, ps)
	for q, end := range p.targets {
		left += max(0, end-next[q])
	}
	return left, err
}

func percent(done, all int64) string {
	return fmt.Sprintf("%.1f", 100*float64(done)/float64(max(1, all)))
}

// eta is the time that the rest takes at the pace so far.
func eta(done, left int64, took time.Duration) string {
	if done <= 0 {
		return "unknown"
	}
	return time.Duration(float64(took) * float64(left) / float64(done)).Round(time.Second).String()
}
