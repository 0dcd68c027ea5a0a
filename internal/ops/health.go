package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// HTTP is where a program serves its health and whatever else it shows.
type HTTP struct {
	Addr  string `env:"HTTP_ADDR, default=127.0.0.1:8080" help:"address of /healthz, /readyz and /metrics; off for none"`
	Pprof bool   `env:"HTTP_PPROF" help:"true: /debug/pprof at HTTP_ADDR too, for go tool pprof, open to whoever reaches the address"`
}

// Listen opens the address; port 0 takes a free one. The listener is nil where the address is off. An address that
// cannot be had is a *UsageError.
func (h HTTP) Listen(ctx context.Context) (net.Listener, error) {
	if h.Addr == "off" {
		return nil, nil
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", h.Addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, Usagef("HTTP_ADDR=%s is in use by another program: set HTTP_ADDR to a free address, such as 127.0.0.1:8081, or off", h.Addr)
	case err != nil:
		return nil, Usagef("HTTP_ADDR=%q: %w: it takes host:port, or off", h.Addr, err)
	}
	return ln, nil
}

// Routes returns a mux that answers /healthz while the program lives, /readyz with 200 while ready returns nil, else with 503 and the
// error's text, and /metrics. A nil ready is always ready. Other routes may be added.
func Routes(ready func() error) *http.ServeMux {
	buildInfo.WithLabelValues(Version()).Set(1)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ready != nil {
			if err := ready(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	return mux
}

// Serve answers on the listener until ctx ends, then gives running requests 5 seconds; its goroutine is gone when it
// returns. A nil listener serves nothing, for as long. The end of ctx is not an error.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	if ln == nil {
		<-ctx.Done()
		return nil
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }} // what would go on for long ends with ctx: streams of events, queries
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		_ = srv.Close()
	}
	<-served
	return nil
}

// profiled is the routes, and those of net/http/pprof where they are asked for.
func (h HTTP) profiled(routes http.Handler) http.Handler {
	if !h.Pprof {
		return routes
	}
	mux := http.NewServeMux()
	mux.Handle("/", routes)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // which has heap, goroutine and the like
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// During serves the routes while run is at work, until run returns; a server that fails ends run.
func (h HTTP) During(ctx context.Context, routes http.Handler, run func(context.Context) error) error {
	ln, err := h.Listen(ctx)
	if err != nil {
		return err
	}
	if ln != nil {
		slog.Info("listening", "url", "http://"+ln.Addr().String())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- Serve(ctx, ln, h.profiled(routes))
	}()
	err = run(ctx)
	stop()
	return errors.Join(err, <-served)
}

// Gate is a part of readiness: not ready, and why, until it is opened.
type Gate struct {
	Why  string
	open atomic.Bool
}

// Open makes the gate ready, for good.
func (g *Gate) Open() { g.open.Store(true) }

// Ready returns Why as an error until the gate is open.
func (g *Gate) Ready() error {
	if g.open.Load() {
		return nil
	}
	return errors.New(g.Why)
}

// healthcheck is the subcommand that every program has: images without a shell ask themselves with it.
func healthcheck() Command {
	var h HTTP
	return Command{
		Name:    "healthcheck",
		Summary: "asks the program that runs at HTTP_ADDR whether it is ready; exit code 0 or 1",
		Config:  &h,
		Run:     func(ctx context.Context, _ Options) error { return h.check(ctx) },
	}
}

// URL is where a program on this machine reaches what is served. An address that is off, or none, is a *UsageError.
func (h HTTP) URL() (string, error) {
	host, port, err := net.SplitHostPort(h.Addr)
	if err != nil {
		return "", Usagef("HTTP_ADDR=%q: this takes host:port", h.Addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

func (h HTTP) check(ctx context.Context) error {
	url, err := h.URL()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return Usagef("HTTP_ADDR=%q: %w", h.Addr, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("nothing answers at HTTP_ADDR=%s: is the program running there? %w", h.Addr, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(body)))
	}
	return nil
}
