package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sethvargo/go-envconfig"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func tracing(t *testing.T, settings map[string]string) error {
	t.Helper()
	stop, err := startTraces(t.Context(), envconfig.MapLookuper(settings), "tilestream-test", slog.New(slog.DiscardHandler))
	if err == nil {
		t.Cleanup(stop)
	}
	return err
}

// Without an endpoint, or told not to, nothing is traced, and nothing is allocated where no names and values are.
func TestTraceOff(t *testing.T) {
	for _, settings := range []map[string]string{
		nil,
		{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
		{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
		{"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
	} {
		if err := tracing(t, settings); err != nil || Tracing() {
			t.Errorf("%v: traces %t, %v", settings, Tracing(), err)
		}
	}
	failed := errors.New("x")
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := Trace(t.Context(), Inside, "work")
		_, below := TraceBelow(span.In(ctx), []Span{span}, Inside, "more")
		if below.Set(); below.Header() != nil || below.Is() {
			t.Error("there is a span")
		}
		below.End(failed)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTraceSettings(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "http://HOST:PORT"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@", "http://HOST:PORT"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "NAME=VALUE"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "key=%zzhunter2", "NAME=VALUE"},
		{"OTEL_SDK_DISABLED", "perhaps", "true or false"},
	} {
		settings := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", test.name: test.value}
		var usage *UsageError
		if err := tracing(t, settings); !errors.As(err, &usage) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s=%s: %v", test.name, test.value, err)
		}
	}
}

// Who takes the traces may fail: that is told once, and once that it is over. Headers go along.
func TestTraceReceiverFails(t *testing.T) {
	var status, asked atomic.Int64
	status.Store(http.StatusBadRequest)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.Header.Get("Api-Key") != "a b" || r.URL.Path != "/v1/traces" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer web.Close()
	var log bytes.Buffer
	settings := envconfig.MapLookuper(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": web.URL + "/", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b"})
	to, err := newExporter(t.Context(), settings, slog.New(newConsole(&log, slog.LevelInfo)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := to.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range []int64{400, 400, 200, 200, 400} {
		status.Store(s)
		if err := to.ExportSpans(t.Context(), tracetest.SpanStubs{{Name: "work"}}.Snapshots()); err != nil {
			t.Error(err)
		}
	}
	said := log.String()
	if strings.Count(said, "cannot be sent") != 2 || strings.Count(said, "sent again") != 1 || asked.Load() != 5 {
		t.Errorf("asked %d times, said\n%s", asked.Load(), said)
	}
}

// A trace has an end, however much there is below its root, and what is left out is in no other.
func TestTraceBounded(t *testing.T) {
	if err := tracing(t, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}); err != nil {
		t.Fatal(err)
	}
	root, span := Trace(t.Context(), Inside, "poll")
	n := 0
	for range 2 * mostSpans {
		ctx, page := Trace(root, Inside, "page")
		if _, below := Trace(ctx, Inside, "below"); below.Is() && !page.Is() {
			t.Fatal("what is below nothing is something")
		}
		if page.Is() {
			n++
		}
	}
	if n >= mostSpans || n < mostSpans/3 {
		t.Errorf("%d spans", n)
	}
	header := span.Header()
	if from, ok := SpanFrom(header); !ok || len(header) != 55 || !bytes.Equal(from.Header(), header) {
		t.Errorf("%q", header)
	}
	if _, ok := SpanFrom([]byte("00-hostile")); ok {
		t.Error("that is no span")
	}
}

func TestTypeOf(t *testing.T) {
	for want, err := range map[string]error{
		"*ops.UsageError":     fmt.Errorf("a: %w", fmt.Errorf("b: %w", Usagef("c"))),
		"*errors.joinError":   errors.Join(errors.New("x")),
		"*errors.errorString": fmt.Errorf("text: %w", context.Canceled),
	} {
		if got := typeOf(err); got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
	}
}
