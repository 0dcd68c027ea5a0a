package e2e

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// httpWire serves a handler behind the gate and returns its address. A step is what name makes of a request.
func httpWire(t testing.TB, g *gate, name func(*http.Request) string, h http.Handler) string {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trap := g.asked(name(r))
		if !trap.forward() {
			panic(http.ErrAbortHandler)
		}
		if trap == nil {
			h.ServeHTTP(w, r) // as it comes: faults of the stand-in cut and hang connections
			return
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		if !trap.answer() {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(web.Close)
	return web.URL
}

// registryWire carries requests to a schema registry; the steps are registryRegister and registryAsk.
func registryWire(t testing.TB, g *gate, registry string) string {
	t.Helper()
	to, err := url.Parse(registry)
	if err != nil {
		t.Fatal(err)
	}
	return httpWire(t, g, func(r *http.Request) string {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/versions") {
			return registryRegister
		}
		return registryAsk
	}, &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorLog: log.New(io.Discard, "", 0), // clients that are killed cancel their requests
	})
}

// tiledeskWire carries requests to the stand-in; every one is the step tiledeskGet.
func tiledeskWire(t testing.TB, g *gate, desk http.Handler) string {
	t.Helper()
	return httpWire(t, g, func(*http.Request) string { return tiledeskGet }, desk)
}

const (
	registryRegister = "registry: register"
	registryAsk      = "registry: ask"
	tiledeskGet      = "Tiledesk: GET"
)
