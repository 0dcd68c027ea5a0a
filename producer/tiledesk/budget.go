package tiledesk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tilestream/internal/ops"
)

// defaultPerMinute stays below what Tiledesk's documentation says that the hosted API allows ("at least 200 requests per
// minute"), since other users of the project need some of it.
const defaultPerMinute = 180

// budget is what the streams of one project may ask of the server together.
type budget struct {
	limiter *rate.Limiter
	mu      sync.Mutex
	until   time.Time // nobody asks before this: the server said so
}

func newBudget(perMinute int) *budget {
	if perMinute <= 0 {
		perMinute = defaultPerMinute
	}
	const burst = 5
	return &budget{limiter: rate.NewLimiter(rate.Limit(float64(perMinute)/60), burst)}
}

// wait returns when one more request may go out.
func (b *budget) wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		d := time.Until(b.until)
		b.mu.Unlock()
		if d <= 0 {
			break
		}
		if err := ops.Sleep(ctx, d); err != nil {
			return err
		}
	}
	if err := b.limiter.Wait(ctx); err != nil {
		if ctx.Err() == nil { // the limiter sees that the deadline would pass, and does not wait for it
			err = context.DeadlineExceeded
		}
		return fmt.Errorf("wait for the request budget: %w", err)
	}
	return nil
}

// pause holds back every stream of the project for d.
func (b *budget) pause(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = later(b.until, time.Now().Add(d))
}
