package load

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tilestream/consumer/sink"
)

// A line every few seconds: rows of this process, the part of the offsets that the ledger has passed, and what is left at that pace.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newWarehouse()
		a, b := sink.Partition{Topic: "a"}, sink.Partition{Topic: "a", ID: 1}
		to.ledger[a], to.ledger[b] = 100, 0
		var out bytes.Buffer
		p := &progress{log: slog.New(slog.NewTextHandler(&out, nil)), to: to, targets: map[sink.Partition]int64{a: 1100, b: 1000}}
		loaded := p.over(Events{}).loaded
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		var told []int64
		go func() {
			defer close(done)
			p.tell(ctx, Events{Replaying: func(done, all int64) { told = append(told, done, all) }})
		}()
		synctest.Wait()
		loaded(Loaded{Rows: 450, Stats: sink.Stats{Inserted: 400, Unchanged: 40}})
		to.mu.Lock()
		to.ledger[a] = 600 // of which another process has loaded some
		to.mu.Unlock()
		time.Sleep(tellEvery + time.Second)
		cancel()
		<-done
		if want := "msg=replaying rows=450 percent=25.0 rows_per_second=90 eta=15s"; !strings.Contains(out.String(), want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("it tells %q, want one line with %q", out.String(), want)
		}
		if want := []int64{0, 2000, 500, 2000}; !slices.Equal(told, want) {
			t.Errorf("events have %v, want %v", told, want)
		}
		if got, want := p.outcome(), (Outcome{Rows: 450, Stats: sink.Stats{Inserted: 400, Unchanged: 40}}); got != want {
			t.Errorf("in the end %+v, want %+v", got, want)
		}
	})
	if got := eta(0, 10, time.Second); got != "unknown" {
		t.Errorf("eta without any pace is %q", got)
	}
}
