package ops

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Patience is for how long work that is to end by itself waits for somebody who is away.
const Patience = 30 * time.Second

// Retry says how work is tried again that failed because somebody is away.
type Retry struct {
	Log   *slog.Logger
	Once  bool             // give up after Patience; else it goes on for ever, since stopping would bring nobody back
	Final func(error) bool // tells errors that trying again does not cure
}

var between = Backoff{First: 250 * time.Millisecond, Most: 30 * time.Second}

// Do calls try until it succeeds, its error is final, patience is over, or ctx ends; the error is that of the last try, or ctx's.
// It logs that the work has come to a stop and that it goes on, not each try.
func (r Retry) Do(ctx context.Context, doing string, try func() error) error {
	var since time.Time // the first failure: a try may work for hours before it fails
	for n := 1; ; n++ {
		err := try()
		if err == nil {
			if n > 1 {
				r.Log.Info("going on", "doing", doing, "tries", n)
			}
			return nil
		}
		if n == 1 {
			since = time.Now()
		}
		retries.WithLabelValues(doing).Inc()
		passed := time.Since(since)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.Final(err):
			return err
		case r.Once && passed >= Patience:
			return fmt.Errorf("gave up after %d tries in %v: %w", n, passed.Round(time.Second), err)
		case n == 1:
			r.Log.Warn("waiting to try again", "doing", doing, "error", err)
		}
		wait := between.After(n)
		if r.Once {
			wait = min(wait, Patience-passed)
		}
		_ = Sleep(ctx, wait) // ctx is looked at after the next try
	}
}
