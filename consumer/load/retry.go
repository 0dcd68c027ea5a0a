package load

import (
	"context"
	"fmt"
	"time"

	"tilestream/internal/ops"
)

// onceTries bounds trying where Run is to end by itself: about half a minute. Else it goes on for ever, since stopping
// would not bring the warehouse back.
const onceTries = 8

var backoff = ops.Backoff{First: 250 * time.Millisecond, Most: 30 * time.Second}

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
		_ = ops.Sleep(ctx, backoff.After(n)) // ctx is looked at after the next try
	}
}
