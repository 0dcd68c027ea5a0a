package tiledesk

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

const noBots = `[]`

// TestRetries plays answers one after another; the last one stays. Time is not real.
func TestRetries(t *testing.T) {
	date := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where synctest's clock begins
	hang := func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	half := func(*http.Request) (*http.Response, error) {
		r := reply(200, "")
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`[{"_id`), iotest.ErrReader(io.ErrUnexpectedEOF)))
		return r, nil
	}
	cut := func(*http.Request) (*http.Response, error) { return nil, io.EOF }
	is := func(status int, body string, headers ...string) server {
		return func(*http.Request) (*http.Response, error) { return reply(status, body, headers...), nil }
	}
	ok := is(200, noBots)
	for _, tt := range []struct {
		name     string
		answers  []server
		tries    int
		min, max time.Duration // of waiting
		want     string        // in the error; "" for none
	}{
		{"429 with seconds", []server{is(429, "", "Retry-After", "7"), ok}, 2, 7 * time.Second, 7 * time.Second, ""},
		{"429 with a date", []server{is(429, "", "Retry-After", date.Add(9*time.Second).Format(http.TimeFormat), "Date", date.Format(http.TimeFormat)), ok}, 2, 9 * time.Second, 9 * time.Second, ""},
		{"429 by the server's clock", []server{is(429, "", "Retry-After", "Sun, 22 Nov 2026 12:00:05 GMT", "Date", "Sun, 22 Nov 2026 12:00:00 GMT"), ok}, 2, 5 * time.Second, 5 * time.Second, ""},
		{"429 for a day", []server{is(429, "", "Retry-After", "86400"), ok}, 2, longestWait, longestWait, ""},
		{"429 without", []server{is(429, `{"message":"Rate limit exceeded"}`), ok}, 2, backoff.First / 2, backoff.First, ""},
		{"429 for ever", []server{is(429, `{"message":"Rate limit exceeded"}`, "Retry-After", "1")}, maxLimited, 9 * time.Second, 9 * time.Second, "TILEDESK_REQUESTS_PER_MINUTE"},
		{"503 twice", []server{is(503, ""), is(503, ""), ok}, 3, 3 * backoff.First / 2, 3 * backoff.First, ""},
		{"503 with Retry-After", []server{is(503, "", "Retry-After", "3"), ok}, 2, 3 * time.Second, 3 * time.Second, ""},
		{"500 for ever", []server{is(500, `{"success":false,"error":"Unable to parse the date"}`)}, maxTries, 0, time.Minute, `500 Internal Server Error: "Unable to parse the date" (tried 5 times)`},
		{"cut connection", []server{cut, ok}, 2, 0, backoff.First, ""},
		{"half an answer", []server{half, ok}, 2, 0, backoff.First, ""},
		{"no answer", []server{hang, ok}, 2, requestTimeout, requestTimeout + backoff.First, ""},
		{"no answer ever", []server{hang}, maxTries, maxTries * requestTimeout, maxTries*requestTimeout + time.Minute, "no answer within 30s"},
		{"HTML with 200", []server{is(200, "<html><title>x</title><p>We will be back</p></html>"), ok}, 2, 0, backoff.First, ""},
		{"HTML for ever", []server{is(200, "<html><p>We will be back</p></html>")}, maxTries, 0, time.Minute, `"We will be back"`},
		{"an object for a list", []server{is(200, `{"success":true}`)}, maxTries, 0, time.Minute, "not what was asked for"},
		{"no _id", []server{is(200, `[{"_id":"a"},{"name":"x"}]`)}, maxTries, 0, time.Minute, "item 1: a document without an _id"},
		{"400", []server{is(400, `{"error":"Project not found with id: 5ab0f32757066e0014bfd718"}`)}, 1, 0, 0, "TILEDESK_PROJECT_ID"},
		{"401", []server{is(401, "Unauthorized")}, 1, 0, 0, "TILEDESK_TOKEN"},
		{"403", []server{is(403, `{"success":false,"msg":"you dont have the required role."}`)}, 1, 0, 0, "role"},
		{"404", []server{is(404, "<pre>Cannot GET /x</pre>")}, 1, 0, 0, `"Cannot GET /x"`},
		{"304", []server{is(304, "")}, 1, 0, 0, "304"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, began := 0, time.Now()
				c := with(server(func(req *http.Request) (*http.Response, error) {
					tries++
					return tt.answers[min(tries, len(tt.answers))-1](req)
				}))
				err := pollError(t, c, "bots")
				if took := time.Since(began); tries != tt.tries || took < tt.min || took > tt.max {
					t.Errorf("%d tries in %s, want %d in %s to %s", tries, took, tt.tries, tt.min, tt.max)
				}
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			})
		})
	}
}

// A limit that one stream meets holds for all of them.
func TestLimitedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var limited, early atomic.Int32
		c := with(server(func(req *http.Request) (*http.Response, error) {
			if limited.Add(1) == 1 {
				return reply(429, "", "Retry-After", "20"), nil
			}
			if time.Since(began) < 20*time.Second {
				early.Add(1)
			}
			return reply(200, noBots), nil
		}))
		done := make(chan error, 4)
		go func() { done <- pollError(t, c, "bots") }()
		time.Sleep(time.Second)
		for range 3 {
			go func() { done <- pollError(t, c, "bots") }()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := early.Load(); n > 0 {
			t.Errorf("%d requests before Retry-After was over", n)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := with(server(func(*http.Request) (*http.Response, error) { return reply(200, noBots), nil }))
		c.budget = newBudget(0)
		for range 95 {
			if err := pollError(t, c, "bots"); err != nil {
				t.Fatal(err)
			}
		}
		if took, want := time.Since(began).Round(time.Second), 30*time.Second; took != want { // 5 at once, 90 at 180 a minute
			t.Errorf("95 requests took %s, want %s", took, want)
		}
	})
}

// Who waits, for an answer, for the budget or for the server's leave, stops with the context.
func TestCancelled(t *testing.T) {
	for name, s := range map[string]server{
		"hanging": func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
		"limited": func(*http.Request) (*http.Response, error) { return reply(429, "", "Retry-After", "200"), nil },
		"failing": func(*http.Request) (*http.Response, error) { return reply(500, ""), nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
				began := time.Now()
				for _, err := range with(s).Pages(ctx, row("bots", 0), Cursor{}) {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("got %v, want %v", err, context.Canceled)
					}
					var e *Error
					if errors.As(err, &e) {
						t.Errorf("%v is an *Error, as if the server had failed", err)
					}
				}
				if took := time.Since(began); took != 100*time.Millisecond {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func TestBodyTooLong(t *testing.T) {
	defer func(n int64) { maxBody = n }(maxBody)
	maxBody = 1000
	tries := 0
	err := pollError(t, with(server(func(*http.Request) (*http.Response, error) {
		tries++
		return reply(200, `["`+strings.Repeat("x", 1000)+`"]`), nil
	})), "bots")
	if err == nil || !strings.Contains(err.Error(), "longer than 1000 bytes") || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "0": 0, "3": 3 * time.Second, " 2 ": 2 * time.Second, "1.5": 1500 * time.Millisecond,
		"9999999999999999999": longestWait, "NaN": 0, "Inf": longestWait,
		"Sun, 22 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sun, 22 Nov 2026 11:00:00 GMT": 0, "Wed, 22 Nov 2028 12:00:00 GMT": longestWait,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", v, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("7")
	f.Add("1e309")
	f.Add("Sun, 22 Nov 2026 12:00:30 GMT")
	f.Fuzz(func(t *testing.T, v string) {
		if d := retryAfter(v, time.Unix(1e9, 0)); d < 0 || d > longestWait {
			t.Errorf("retryAfter(%q) = %s", v, d)
		}
	})
}
