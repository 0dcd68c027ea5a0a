package ops

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"
)

func TestHealth(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ln, err := HTTP{Addr: "0.0.0.0:0"}.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(ln.Addr().String(), "]:")
	if port == "" {
		_, port, _ = strings.Cut(ln.Addr().String(), ":")
	}
	addr := "0.0.0.0:" + port
	reason := error(nil)
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, Routes(func() error { return reason })) }()

	check := func() (int, string) {
		var out strings.Builder
		w := world{args: []string{"healthcheck"}, env: NewEnv(envconfig.MapLookuper(map[string]string{"HTTP_ADDR": addr})), stdout: &out, stderr: &out}
		return run(ctx, w, Command{Name: "prog"}), out.String()
	}
	if code, out := check(); code != 0 {
		t.Errorf("code %d: %s", code, out)
	}
	reason = errors.New("kafka is away")
	if code, out := check(); code != 1 || !strings.Contains(out, "not ready: kafka is away") {
		t.Errorf("code %d: %s", code, out)
	}
	if resp, err := http.Get("http://127.0.0.1:" + port + "/healthz"); err != nil || resp.StatusCode != 200 {
		t.Error(resp, err)
	} else {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}

	_, err = HTTP{Addr: "127.0.0.1:" + port}.Listen(ctx)
	var usage *UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "is in use by another program") {
		t.Errorf("got %v", err)
	}

	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if code, _ := check(); code != 1 {
		t.Errorf("code %d with nobody there", code)
	}
}

func TestHealthOff(t *testing.T) {
	ln, err := HTTP{Addr: "off"}.Listen(t.Context())
	if ln != nil || err != nil {
		t.Fatal(ln, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Serve(ctx, nil, Routes(nil)); err != nil {
		t.Error(err)
	}
	if _, err := (HTTP{Addr: "8080"}).Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP_ADDR=") {
		t.Errorf("got %v", err)
	}
}

// TestPprof: profiles are there when they are asked for, beside the other routes, and else they are not.
func TestPprof(t *testing.T) {
	for _, on := range []bool{false, true} {
		ln, err := HTTP{Addr: "127.0.0.1:0"}.Listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		_ = ln.Close()
		err = HTTP{Addr: addr, Pprof: on}.During(t.Context(), Routes(nil), func(ctx context.Context) error {
			for path, want := range map[string]bool{"/healthz": true, "/debug/pprof/": on, "/debug/pprof/heap": on, "/debug/pprof/profile?seconds=1": on, "/debug/pprof/trace?seconds=0": on} {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
				if err != nil {
					return err
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return err
				}
				_ = resp.Body.Close()
				if got := resp.StatusCode == http.StatusOK; got != want {
					t.Errorf("HTTP_PPROF=%v: %s answers %s", on, path, resp.Status)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
