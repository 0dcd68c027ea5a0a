package ops

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	b := Backoff{First: time.Second, Most: 10 * time.Second}
	for tries, most := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 4: 8, 5: 10, 1 << 30: 10} {
		most *= time.Second
		for range 100 {
			if d := b.After(tries); d < most/2-1 || d > most {
				t.Fatalf("after %d tries it waits %s, want %s to %s", tries, d, most/2, most)
			}
		}
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("slept %s of a minute: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Sleep(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a sleep that was ended returned %v", err)
		}
	})
}
