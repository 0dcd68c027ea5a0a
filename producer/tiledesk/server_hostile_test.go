package tiledesk

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// zeros is an endless gzip stream of zeros: about a thousandth of what it unpacks to.
func zeros(w io.Writer, n int64) {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	block := make([]byte, 1<<20)
	for ; n > 0; n -= int64(len(block)) {
		if _, err := z.Write(block); err != nil {
			return
		}
	}
	_ = z.Close()
}

// against returns a client of a handler behind a real connection.
func against(t *testing.T, h http.HandlerFunc) *Client {
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	c := with(transport)
	c.project.URL = web.URL
	return c
}

// grown runs f and returns how much memory it took from the system, in bytes.
func grown(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Sys - before.Sys
}

// TestBombs: answers that are, or unpack to, far more than any list. One try, one clear error, bounded memory.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const gigabyte = 1 << 30
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"10 GB of zeros, gzipped", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zeros(w, 10*gigabyte)
		}, "the answer is longer than 134217728 bytes"},
		{"10 GB of zeros, gzipped, as an error", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(http.StatusBadRequest)
			zeros(w, 10*gigabyte)
		}, "400 Bad Request"},
		{"a page of 129 MiB", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `[{"_id":"a","text":"`)
			block := bytes.Repeat([]byte("x"), 1<<20)
			for range 129 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
			_, _ = io.WriteString(w, `"}]`)
		}, "the answer is longer than 134217728 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			c := against(t, func(w http.ResponseWriter, req *http.Request) {
				calls.Add(1)
				tt.answer(w, req)
			})
			var err error
			memory := grown(func() { err = pollError(t, c, "bots") })
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "bots: ") || calls.Load() != 1 {
				t.Errorf("%d calls, %v", calls.Load(), err)
			}
			if memory > gigabyte {
				t.Errorf("%d MiB of memory", memory>>20)
			}
			t.Logf("%d MiB of memory", memory>>20)
		})
	}
}

// TestHeaderFlood: an answer with endless headers is cut, and cookies are not kept.
func TestHeaderFlood(t *testing.T) {
	var cookies atomic.Int32
	c := against(t, func(w http.ResponseWriter, req *http.Request) {
		cookies.Add(int32(len(req.Cookies())))
		for i := range 1000 {
			http.SetCookie(w, &http.Cookie{Name: fmt.Sprint("c", i), Value: strings.Repeat("v", 100)})
		}
		_, _ = io.WriteString(w, `[{"_id":"a"}]`)
	})
	for range 2 {
		if err := pollError(t, c, "bots"); err != nil {
			t.Errorf("a thousand cookies: %v", err)
		}
	}
	if n := cookies.Load(); n != 0 {
		t.Errorf("%d cookies were sent back", n)
	}
	flood := against(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for line := "X-Flood: " + strings.Repeat("x", 8000) + "\r\n"; err == nil; {
			_, err = io.WriteString(conn, line)
		}
	})
	_, err := flood.try(t.Context(), request{resource: "bots", url: flood.project.URL})
	if err == nil || !err.again || !strings.Contains(err.Error(), "headers exceeded") {
		t.Errorf("endless headers: %v", err)
	}
}

// TestTrickle: an answer whose bytes never stop and never end is given up like one that does not come.
func TestTrickle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := pollError(t, with(server(func(req *http.Request) (*http.Response, error) {
			r := reply(200, "")
			r.Body = io.NopCloser(trickle{req.Context()})
			return r, nil
		})), "bots")
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "no answer within 30s") || took > maxTries*requestTimeout+time.Minute {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

type trickle struct{ ctx context.Context }

func (r trickle) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// TestManyDocuments reads hundreds of thousands of tiny documents in one answer.
func TestManyDocuments(t *testing.T) {
	const many = 300_000
	if testing.Short() {
		t.Skip("takes seconds")
	}
	var body bytes.Buffer
	body.WriteByte('[')
	for i := range many {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"_id":"%d"}`, i)
	}
	body.WriteByte(']')
	n := 0
	memory := grown(func() {
		for p, err := range with(server(func(*http.Request) (*http.Response, error) { return reply(200, body.String()), nil })).Pages(t.Context(), row("bots", 0), Cursor{}) {
			if err != nil {
				t.Error(err)
			}
			n += len(p.Docs)
		}
	})
	if n != many || memory > 1500<<20 {
		t.Errorf("%d documents, %d MiB of memory", n, memory>>20)
	}
	t.Logf("%d MiB of memory", memory>>20)
}

// TestEchoedCredentials: whatever a proxy makes of the request, and however its words are cut, no credential shows in an
// error, nor the half of one.
func TestEchoedCredentials(t *testing.T) {
	const token = `eyJhbGciOiJIUzI1NiJ9.eyJfaWQiOiI2NWYxYzBkZTAwMDAwMDAwMDAwMDAxMDAifQ.ep7cG0MJetZoDS_7f_OZJGSs9ro2ATNMRtRO_F-wlsI`
	const password = `pa"55 wörd/+&`
	shows := func(err error) bool {
		for _, part := range []string{token[:12], token[40:52], `pa"55`, `pa\"55`, "pa%2255"} {
			if strings.Contains(err.Error(), part) {
				return true
			}
		}
		return false
	}
	for name, answer := range map[string]func(echo string) (*http.Response, error){
		"an error":          func(echo string) (*http.Response, error) { return reply(400, `{"msg":"you sent `+echo+`"}`), nil },
		"cut in the middle": func(echo string) (*http.Response, error) { return reply(400, strings.Repeat("x", 180)+" "+echo), nil },
		"not a list":        func(echo string) (*http.Response, error) { return reply(200, "<p>"+echo+"</p>"), nil },
		"a redirect": func(echo string) (*http.Response, error) {
			return reply(302, "", "Location", "https://other.test/?t="+echo), nil
		},
		"no HTTP": func(echo string) (*http.Response, error) { return nil, fmt.Errorf("malformed HTTP response %q", echo) },
	} {
		for kind, set := range map[string]func(*Client){
			"token":   func(c *Client) { c.project.Credential = Credential{Token: "JWT " + token} },
			"sign-in": func(c *Client) { c.project.Credential = Credential{Email: "a@b.c", Password: password} },
			"session": func(c *Client) {
				c.project.Credential = Credential{Email: "a@b.c", Password: password}
				c.session.token = token
			},
			"documented": func(c *Client) {
				api := Documented
				c.found.api.Store(&api)
				c.project.Credential = Credential{Token: token}
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				c := with(server(func(req *http.Request) (*http.Response, error) {
					b, _ := io.ReadAll(req.Body)
					echo := req.Header.Get("Authorization") + string(b)
					if name == "a redirect" && len(b) > 0 {
						echo = "pa%2255+w%C3%B6rd%2F%2B%26"
					}
					return answer(echo)
				}))
				set(c)
				if err := pollError(t, c, "bots"); err == nil || shows(err) || len(err.Error()) > 1000 {
					t.Errorf("%s, %s: %v", name, kind, err)
				}
			})
		}
	}
}

// Keys are told apart by case, as everywhere else: _ID is another key than _id.
func TestKeysOfOtherCase(t *testing.T) {
	l, err := parseList([]byte(`[{"_id":"a","_ID":"b","updatedAt":"2026-11-22T17:14:48.283Z","UPDATEDAT":"2030-01-01T00:00:00Z","REQUEST_ID":"x"}]`), "")
	if err != nil || l.records[0].ID != "a" || l.records[0].updated.Year() != 2026 || l.records[0].requestID != "" {
		t.Errorf("got %+v, %v", l, err)
	}
	if l, err := parseList([]byte(`[{"_Id":"b"}]`), ""); err == nil {
		t.Errorf("got %+v, want an error", l)
	}
}

// A cursor is read from a checkpoint: whatever it holds, a poll from it ends, and does not panic.
func FuzzCursor(f *testing.F) {
	for _, c := range []string{`{}`, `{"since":"2026-11-22T17:14:48Z","seen":{"a":-1},"walk":{"skip":-7}}`, `{"walk":{"skip":9223372036854775807,"after":"zz","floor":"9999-12-31T23:59:59Z"}}`, `{"since":"0000-01-01T00:00:00Z"}`} {
		f.Add([]byte(c), uint8(0))
		f.Add([]byte(c), uint8(3))
	}
	f.Fuzz(func(t *testing.T, raw []byte, which uint8) {
		var from Cursor
		if json.Unmarshal(raw, &from) != nil {
			return
		}
		calls := 0
		c := with(server(func(req *http.Request) (*http.Response, error) {
			if calls++; calls > 1000 {
				t.Fatalf("%s: more than 1000 requests", raw)
			}
			body := `[]`
			switch {
			case strings.Contains(req.URL.Path, "/requests/"):
			case strings.HasSuffix(req.URL.Path, "/requests"):
				body = `{"requests":[],"count":0}`
			case strings.HasSuffix(req.URL.Path, "/leads"):
				body = `{"leads":[],"count":0}`
			}
			return reply(200, body, "Date", "Sun, 22 Nov 2026 12:00:00 GMT"), nil
		}))
		name := []string{"messages", "requests", "leads", "bots"}[which%4]
		if which > 127 {
			c.noMessages.Store(true)
		}
		for _, err := range c.Pages(t.Context(), row(name, 100), from) {
			if err != nil && !errors.As(err, new(*Error)) {
				t.Fatal(err)
			}
		}
	})
}
