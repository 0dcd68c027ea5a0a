package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 250 * time.Millisecond
	backoffMax   = 30 * time.Second
	// onceTries bounds trying where Run is to end by itself: about half a minute. Else it goes on for ever, since
	// stopping would not bring the warehouse back.
	onceTries = 8
)

// retry calls try until it succeeds, its error is final, or ctx ends. It logs that the work has come to a stop and that
// it goes on, not each try.
func (l *loader) retry(ctx context.Context, doing string, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		switch {
		case err == nil:
			if n > 1 {
				l.log.Info("going on", "doing", doing, "tries", n)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case final(err):
			return fmt.Errorf("%s: %w", doing, err)
		case l.cfg.Until != nil && n >= onceTries:
			return fmt.Errorf("%s: gave up after %d tries: %w", doing, n, err)
		case n == 1:
			l.log.Warn("waiting to try again", "doing", doing, "error", err)
		}
		pause(ctx, backoff(n))
	}
}

// backoff doubles from backoffFirst up to backoffMax, less up to a half by chance: those who failed together should not
// come back together.
func backoff(n int) time.Duration {
	d := min(backoffFirst<<min(n-1, 10), backoffMax)
	return d - rand.N(d/2)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
