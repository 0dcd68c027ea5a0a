package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sethvargo/go-envconfig"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TraceHeader is the header of a Kafka record that says of which trace it is (W3C Trace Context, "traceparent").
const TraceHeader = "traceparent"

const (
	mostSpans    = 1000            // below one root: a backfill is one poll, and no trace that anybody could read
	mostLinks    = 32              // of one span
	flushTimeout = 5 * time.Second // what is not sent by then is lost
)

// traceConfig says whether there are traces, and where they go. All else that OpenTelemetry's SDK and exporter read from the
// environment works too: samplers, batches, certificates, attributes of the resource.
type traceConfig struct {
	OTel struct {
		Endpoint string `env:"EXPORTER_OTLP_ENDPOINT" help:"where traces go, by OTLP over HTTP, such as http://localhost:4318; unset: there are none. Other variables of OpenTelemetry's SDK hold too"`
		Traces   string `env:"EXPORTER_OTLP_TRACES_ENDPOINT" help:"the same, with the whole path"`
		Headers  Secret `env:"EXPORTER_OTLP_HEADERS" help:"NAME=VALUE, comma-separated, sent along with traces, such as a key"`
		Protocol string `env:"EXPORTER_OTLP_PROTOCOL, default=http/protobuf" help:"http/protobuf is all there is"`
		Exporter string `env:"TRACES_EXPORTER, default=otlp" help:"otlp, or none"`
		Disabled bool   `env:"SDK_DISABLED" help:"true: no traces, whatever else is set"`
	} `env:", prefix=OTEL_" help:"traces, off unless an endpoint is set"`
}

// tracer is the one of this process; nil while there are no traces. It is not OpenTelemetry's global one, which clients of warehouses
// use too, to tell more than anybody here knows of.
var tracer atomic.Pointer[trace.Tracer]

// startTraces begins to trace where the settings say so. What it returns sends what is left, for flushTimeout at most, and ends it.
func startTraces(ctx context.Context, env envconfig.Lookuper, program string, log *slog.Logger) (stop func(), _ error) {
	to, err := newExporter(ctx, env, log)
	if to == nil {
		return func() {}, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Debug("traces", "error", RedactURL(err.Error())) }))
	// Attributes in the environment that cannot be read are left out: no reason not to work.
	about, _ := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", program), attribute.String("service.version", Version())), resource.WithFromEnv())
	provider := sdk.NewTracerProvider(sdk.WithBatcher(to), sdk.WithResource(about))
	t := provider.Tracer("tilestream")
	tracer.Store(&t)
	log.Info("traces are sent", "to", to.url)
	return func() {
		tracer.Store(nil)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("traces that were left are lost", "error", RedactURL(err.Error()))
		}
	}, nil
}

// newExporter returns what sends traces; nil where the settings say that there are none. It does no I/O.
func newExporter(ctx context.Context, env envconfig.Lookuper, log *slog.Logger) (*telling, error) {
	var c traceConfig
	if err := Load(ctx, env, &c); err != nil {
		return nil, err
	}
	o := c.OTel
	if o.Disabled || o.Exporter == "none" || o.Endpoint == "" && o.Traces == "" {
		return nil, nil
	}
	to := o.Traces
	if to == "" {
		to = strings.TrimSuffix(o.Endpoint, "/") + "/v1/traces"
	}
	if u, err := url.Parse(to); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, Usagef("OTEL_EXPORTER_OTLP_ENDPOINT=%q: it takes http://HOST:PORT or https://HOST:PORT", RedactURL(to))
	}
	if o.Exporter != "otlp" || o.Protocol != "http/protobuf" {
		// These are often set for all programs of a cluster: no reason not to work.
		log.Warn("no traces: they go by OTLP over HTTP, so OTEL_TRACES_EXPORTER takes otlp or none, and OTEL_EXPORTER_OTLP_PROTOCOL http/protobuf", "exporter", o.Exporter, "protocol", o.Protocol)
		return nil, nil
	}
	headers, err := traceHeaders(o.Headers)
	if err != nil {
		return nil, err
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(to)}
	if headers != nil {
		options = append(options, otlptracehttp.WithHeaders(headers))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	return &telling{SpanExporter: exporter, log: log, url: RedactURL(to)}, nil
}

// traceHeaders reads a setting of NAME=VALUE, whose values are escaped as in URLs.
func traceHeaders(setting Secret) (map[string]string, error) {
	if setting == "" {
		return nil, nil
	}
	out := map[string]string{}
	for pair := range strings.SplitSeq(setting.Reveal(), ",") {
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return nil, Usagef("OTEL_EXPORTER_OTLP_HEADERS is not valid: it takes NAME=VALUE, comma-separated, values escaped as in URLs")
		}
		out[name] = value
	}
	return out, nil
}

// telling is an exporter that says once that nobody takes the traces, and once that somebody does again. The work goes on without.
type telling struct {
	sdk.SpanExporter
	log     *slog.Logger
	url     string
	failing atomic.Bool
}

func (t *telling) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	if failing := err != nil; t.failing.Swap(failing) == failing {
		return nil
	} else if failing {
		t.log.Warn("traces cannot be sent; the work goes on without", "to", t.url, "error", RedactURL(err.Error()))
		return nil
	}
	t.log.Info("traces are sent again", "to", t.url)
	return nil
}

// Span is a stretch of work in a trace. The zero value, which is all there is without tracing, does nothing.
type Span struct {
	span  trace.Span
	spans *atomic.Int64 // in its trace, of this process
}

// Kinds of spans, for what draws the way from one program to another.
const (
	Inside    = trace.SpanKindInternal
	Asks      = trace.SpanKindClient
	Publishes = trace.SpanKindProducer
	Consumes  = trace.SpanKindConsumer
)

// Tracing tells whether there are traces.
func Tracing() bool { return tracer.Load() != nil }

type spansKey struct{}

// Trace begins a span below that of ctx, or a trace of its own. The pairs are names and values, as for a logger: counts and names of
// ours, never text of a message or a secret.
func Trace(ctx context.Context, kind trace.SpanKind, name string, pairs ...any) (context.Context, Span) {
	t := tracer.Load()
	if t == nil {
		return ctx, Span{}
	}
	return begin(ctx, *t, kind, name, nil, pairs)
}

// TraceBelow begins a span below the first of others, with links to the next ones: work that was for all of them.
func TraceBelow(ctx context.Context, others []Span, kind trace.SpanKind, name string, pairs ...any) (context.Context, Span) {
	t := tracer.Load()
	if t == nil {
		return ctx, Span{}
	}
	var links []trace.Link
	for i, s := range others[:min(len(others), 1+mostLinks)] {
		if i == 0 {
			ctx = s.In(ctx)
		} else {
			links = append(links, trace.Link{SpanContext: s.span.SpanContext()})
		}
	}
	return begin(ctx, *t, kind, name, links, pairs)
}

func begin(ctx context.Context, t trace.Tracer, kind trace.SpanKind, name string, links []trace.Link, pairs []any) (context.Context, Span) {
	spans, _ := ctx.Value(spansKey{}).(*atomic.Int64)
	if spans == nil {
		spans = new(atomic.Int64)
		ctx = context.WithValue(ctx, spansKey{}, spans)
	}
	if spans.Add(1) > mostSpans {
		return trace.ContextWithSpan(ctx, nil), Span{}
	}
	ctx, span := t.Start(ctx, name, trace.WithSpanKind(kind), trace.WithLinks(links...), trace.WithAttributes(attributes(pairs)...))
	return ctx, Span{span, spans}
}

func attributes(pairs []any) (out []attribute.KeyValue) {
	for i := 0; i+1 < len(pairs); i += 2 {
		name := fmt.Sprint(pairs[i])
		switch v := pairs[i+1].(type) {
		case int:
			out = append(out, attribute.Int(name, v))
		case int64:
			out = append(out, attribute.Int64(name, v))
		case bool:
			out = append(out, attribute.Bool(name, v))
		default:
			out = append(out, attribute.String(name, fmt.Sprint(v)))
		}
	}
	return out
}

// SpanFrom is the span of another program that a record's TraceHeader names; ok is false where it names none.
func SpanFrom(header []byte) (_ Span, ok bool) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{TraceHeader: string(header)})
	s := trace.SpanFromContext(ctx)
	return Span{span: s}, s.SpanContext().IsValid()
}

// Is tells whether there is a span.
func (s Span) Is() bool { return s.span != nil }

// In returns a context whose spans are below this one.
func (s Span) In(ctx context.Context) context.Context {
	if s.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(context.WithValue(ctx, spansKey{}, s.spans), s.span)
}

// Set notes more names and values.
func (s Span) Set(pairs ...any) {
	if s.span != nil {
		s.span.SetAttributes(attributes(pairs)...)
	}
}

// Header is the value of TraceHeader for what the span publishes; nil where nobody would see the span.
func (s Span) Header() []byte {
	if s.span == nil || !s.span.SpanContext().IsSampled() {
		return nil
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), s.span), carrier)
	return []byte(carrier[TraceHeader])
}

// End ends the span. Of an error it tells the type: texts of errors quote values.
func (s Span) End(err error) {
	if s.span == nil {
		return
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.span.SetStatus(codes.Error, "")
		s.span.SetAttributes(attribute.String("error.type", typeOf(err)))
	}
	s.span.End()
}

// typeOf is the type of the error below those that only add words.
func typeOf(err error) string {
	for {
		name := fmt.Sprintf("%T", err)
		below := errors.Unwrap(err)
		if below == nil || name != "*fmt.wrapError" {
			return name
		}
		err = below
	}
}
