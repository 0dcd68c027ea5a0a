package tiledesk

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestDialect(t *testing.T) {
	type answer struct {
		status int
		body   string
	}
	cannot := answer{404, "<pre>Cannot GET</pre>"}
	empty := answer{200, `{"requests":[]}`}
	unauthorized := answer{401, "Unauthorized"}
	v3only := answer{400, `{"error":"Invalid project id: projects"}`}
	for _, tt := range []struct {
		name           string
		v3, documented answer
		want           string // the dialect, or in the error
	}{
		{"the real server", empty, v3only, "v3"},
		{"the real server, role too low", answer{403, `{"success":false,"msg":"you dont have the required role."}`}, v3only, "v3"},
		{"the real server, no such project", answer{400, `{"error":"Project not found with id: x"}`}, v3only, "v3"},
		{"the real server, wrong token", unauthorized, v3only, "v3"},
		{"the real server, token it cannot read", answer{400, "Bad Request"}, v3only, "v3"},
		{"v3 without the project check, wrong token", unauthorized, cannot, "v3"},
		{"documented", cannot, empty, "documented"},
		{"documented, behind a gateway", answer{403, `{"message":"Missing Authentication Token"}`}, empty, "documented"},
		{"documented, wrong token", cannot, unauthorized, "documented"},
		{"documented, a web page elsewhere", answer{200, "<html>Welcome</html>"}, empty, "documented"},
		{"wrong token, either", unauthorized, unauthorized, "check TILEDESK_TOKEN"},
		{"neither", cannot, cannot, "neither dialect is there"},
		{"down", answer{503, "down"}, answer{503, "down"}, "503"},
		{"v3 down", answer{503, "down"}, empty, "503"},
		{"limited", answer{429, "slow"}, empty, "429"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := with(server(func(req *http.Request) (*http.Response, error) {
					a := tt.v3
					if strings.HasPrefix(req.URL.Path, "/projects/") {
						a = tt.documented
					}
					return reply(a.status, a.body), nil
				}))
				c.found.api.Store(nil)
				_, err := c.dialect(t.Context())
				if c.Dialect() != tt.want && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got %q, %v; want %q", c.Dialect(), err, tt.want)
				}
				if IsSkippable(err) {
					t.Errorf("%v is skippable", err)
				}
			})
		})
	}
}

// An outage during the probe is forgotten: the next poll asks again. Streams that begin together ask once.
func TestDialectLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var probes atomic.Int32
		c := with(server(func(req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/requests") {
				probes.Add(1)
			}
			if down.Load() {
				return reply(502, ""), nil
			}
			if strings.HasSuffix(req.URL.Path, "/requests") {
				return reply(200, `{"requests":[]}`), nil
			}
			return reply(200, noBots), nil
		}))
		c.found.api.Store(nil)
		down.Store(true)
		if err := pollError(t, c, "bots"); err == nil || c.Dialect() != "" {
			t.Fatalf("got %q, %v", c.Dialect(), err)
		}
		down.Store(false)
		probes.Store(0)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := pollError(t, c, "bots"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := probes.Load(); n != 1 || c.Dialect() != "v3" {
			t.Errorf("%d probes, %q", n, c.Dialect())
		}
	})
}

func TestDialectNeedsNoProbe(t *testing.T) {
	c := signingIn(&signIns{})
	c.found.api.Store(nil)
	if err := pollError(t, c, "bots"); err != nil || c.Dialect() != "v3" {
		t.Errorf("a sign-in: %q, %v", c.Dialect(), err)
	}
}

func TestDialectCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := with(server(func(*http.Request) (*http.Response, error) { return reply(200, noBots), nil }))
	c.found.api.Store(nil)
	if _, err := c.dialect(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNotDocumented(t *testing.T) {
	c := with(server(func(*http.Request) (*http.Response, error) { t.Error("asked"); return reply(200, "{}"), nil }))
	api := Documented
	c.found.api.Store(&api)
	if err := pollError(t, c, "leads"); !IsSkippable(err) || !strings.Contains(err.Error(), "TILEDESK_RESOURCES") {
		t.Error(err)
	}
}
