package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRetry(t *testing.T) {
	away, wrong := errors.New("away"), errors.New("wrong")
	for name, c := range map[string]struct {
		once     bool
		took     time.Duration // each try
		away     time.Duration // then it works
		then     error
		want     error
		min, max time.Duration
		log      int // lines
	}{
		"works":                  {log: 0},
		"a reply is lost":        {away: 1, max: time.Second, log: 2},
		"away, once":             {once: true, away: time.Hour, want: away, min: Patience, max: Patience, log: 1},
		"back in time, once":     {once: true, away: 20 * time.Second, min: 20 * time.Second, max: Patience, log: 2},
		"slow to fail, once":     {once: true, took: time.Minute, away: time.Hour, want: away, min: 2 * time.Minute, max: 2*time.Minute + Patience, log: 1},
		"away for a day":         {away: 24 * time.Hour, min: 24 * time.Hour, max: 24*time.Hour + time.Minute, log: 2},
		"wrong":                  {then: wrong, want: wrong},
		"away at first, wrong":   {away: time.Second, then: wrong, want: wrong, min: time.Second, max: 3 * time.Second, log: 1},
		"wrong at once, -once":   {once: true, then: wrong, want: wrong},
		"the caller ends before": {away: 48 * time.Hour, want: context.DeadlineExceeded, min: 36 * time.Hour, max: 36 * time.Hour, log: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				r := Retry{Log: slog.New(slog.NewTextHandler(&log, nil)), Once: c.once, Final: func(err error) bool { return errors.Is(err, wrong) }}
				ctx, cancel := context.WithTimeout(t.Context(), 36*time.Hour)
				defer cancel()
				start := time.Now()
				err := r.Do(ctx, "reach it", func() error {
					time.Sleep(c.took)
					if time.Since(start) < c.away {
						return fmt.Errorf("dial: %w", away)
					}
					return c.then
				})
				if took := time.Since(start); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || took < c.min || took > c.max {
					t.Errorf("%v after %v, want %v after %v to %v", err, took, c.want, c.min, c.max)
				}
				if got := strings.Count(log.String(), "\n"); got != c.log {
					t.Errorf("%d lines in the log, want %d:\n%s", got, c.log, &log)
				}
			})
		})
	}
}
