package load

import (
	"context"

	"tilestream/internal/ops"
)

// mostPages is how many pages a load is linked to: a backfill's batch is of hundreds.
const mostPages = 32

// traced is ctx inside the span of the batch, which begins here: when the writer first looks at it. It is below that of the first
// page that is loaded with it, which another program has published, and linked to the next ones. Markers are not worth one.
func (w *writer) traced(ctx context.Context, b *batch) context.Context {
	if !ops.Tracing() || b.rows == 0 {
		return ctx
	}
	if !b.span.Is() {
		_, b.span = ops.TraceBelow(context.Background(), b.pages(), ops.Consumes, "load", "table", w.t.name, "rows", b.rows, "bytes", b.bytes, "partitions", len(b.parts))
	}
	return b.span.In(ctx)
}

// pages are the first of those that the batch's records came in, as their headers name them.
func (b *batch) pages() (pages []ops.Span) {
	seen := map[string]bool{}
	for _, p := range b.parts {
		last := ""
		for _, r := range p.rows {
			for _, h := range r.headers {
				if h.Key != ops.TraceHeader || string(h.Value) == last {
					continue
				}
				if last = string(h.Value); seen[last] {
					continue
				}
				seen[last] = true
				if s, ok := ops.SpanFrom(h.Value); ok {
					pages = append(pages, s)
				}
				if len(pages) > mostPages {
					return pages
				}
			}
		}
	}
	return pages
}
