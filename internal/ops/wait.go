package ops

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait between tries: it doubles from First up to Most.
type Backoff struct{ First, Most time.Duration }

// After returns the wait after so many failed tries, from 1. Up to a half is taken off by chance: those who failed together
// should not come back together.
func (b Backoff) After(tries int) time.Duration {
	d := b.First
	for range tries - 1 {
		if d *= 2; d >= b.Most {
			d = b.Most
			break
		}
	}
	return d - rand.N(d/2+1)
}

// Sleep waits for d, or until ctx ends; its error is ctx's then.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
