package load

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// rows is a batch as the sink takes it.
type rows struct {
	sink.Batch
	layout *layout // nil: nothing but markers
	parts  int     // of the batch that it was built from: parts only ever leave
	dead   []dead  // of the batch: to be set aside before it is built again
	held   int64   // in the memory budget

	changed time.Time // newest change of a document; zero where the table has no such column
}

func (r *rows) of(b *batch) bool { return r != nil && r.parts == len(b.parts) }

func (r *rows) release(m *budget) {
	if r == nil || r.Rows == nil {
		return
	}
	r.Rows.Release()
	r.Rows = nil
	m.correct(-r.held)
}

// ahead is a batch whose rows are built while the one before it is being written.
type ahead struct {
	batch  *batch
	rows   *rows // nil where they could not be built; the writer will see why
	done   chan struct{}
	cancel context.CancelFunc
}

// buildAhead takes the next batch into the hand, if one is closed, and begins to build its rows.
func (w *writer) buildAhead(ctx context.Context) {
	if len(w.hand) > 1 {
		return
	}
	w.mu.Lock()
	b := w.t.takeClosed()
	w.flow(w.t)
	w.mu.Unlock()
	if b == nil {
		return
	}
	w.hand = append(w.hand, b)
	a := &ahead{batch: b, done: make(chan struct{})}
	ctx, a.cancel = context.WithCancel(w.traced(ctx, b))
	w.ahead = a
	go func() {
		defer close(a.done)
		a.rows, _ = w.build(ctx, b)
	}()
}

// built returns the rows of a batch that were built ahead; nil if they were not.
func (w *writer) built(b *batch) *rows {
	a := w.ahead
	if a == nil || a.batch != b {
		return nil
	}
	<-a.done
	a.cancel()
	w.ahead = nil
	return a.rows
}

// discard gives up what was built ahead. Its batch stays in the hand.
func (w *writer) discard() {
	if w.ahead != nil {
		w.ahead.cancel()
		w.built(w.ahead.batch).release(w.memory)
	}
}

// ranges are what a batch covers. From is what the ledger says now: the table's batches are written in order, so that it is the To of
// the one before.
func (w *writer) ranges(b *batch) (ranges []sink.Range, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range b.parts {
		ranges = append(ranges, sink.Range{Partition: p.Partition, From: p.ledger, To: p.to})
		bytes += p.bytes
	}
	return ranges, bytes
}

// build decodes a batch under a load id of its own.
func (w *writer) build(ctx context.Context, b *batch) (_ *rows, err error) {
	if b.rows > 0 {
		var span ops.Span
		ctx, span = ops.Trace(ctx, ops.Inside, "decode", "rows", b.rows)
		defer func() { span.End(err) }()
	}
	id, err := uuid.NewV7() // sorts by time
	if err != nil {
		return nil, err
	}
	r := &rows{parts: len(b.parts)}
	r.ID, r.Again = id.String(), w.cfg.replay != nil
	r.Table = sink.Table{Name: w.t.name, Key: keyColumn, Offset: offsetColumn}
	if b.rows == 0 {
		return r, nil
	}
	if r.layout, err = w.layoutOf(ctx, b); aboutSchema(err) {
		r.dead = b.framed(err)
		return r, nil
	} else if err != nil {
		return nil, err
	}
	r.Table = r.layout.table
	r.held = r.layout.arrowSize(b)
	if !w.memory.reserve(ctx, r.held) {
		return nil, ctx.Err()
	}
	if r.Rows, r.dead, err = r.layout.rows(ctx, b, loadOf{r.ID, time.Now()}); err != nil {
		w.memory.correct(-r.held)
		return nil, err
	}
	r.changed = r.layout.changed(r.Rows)
	size := sizeOf(r.Rows)
	w.memory.correct(size - r.held)
	r.held = size
	return r, nil
}

// layoutOf compiles the batch's writer schema, once.
func (w *writer) layoutOf(ctx context.Context, b *batch) (*layout, error) {
	if b.schema == noSchema {
		if w.last == nil {
			return newLayout(w.t.name, 0, nil), nil
		}
		return w.last, nil
	}
	if l := w.layouts[b.schema]; l != nil {
		w.last = l
		return l, nil
	}
	decoder, err := w.decoder(ctx, b.schema)
	if err == nil {
		err = fits(decoder.Schema())
	}
	if err != nil {
		return nil, err
	}
	w.layouts[b.schema] = newLayout(w.t.name, b.schema, decoder)
	w.last = w.layouts[b.schema]
	return w.last, nil
}

// decoder is that of the writer's schema; in a replay, it also fills columns that were added since.
func (w *writer) decoder(ctx context.Context, schema int) (*schemas.Decoder, error) {
	if w.cfg.replay == nil {
		return w.codec.Decoder(ctx, schema)
	}
	rs, err := schemas.ByName(w.t.name)
	if err != nil {
		return nil, err
	}
	return w.codec.DecoderAs(ctx, schema, rs[0])
}

// framed are the records of a batch whose schema cannot be had, with the reason for each.
func (b *batch) framed(why error) (gone []dead) {
	for _, p := range b.parts {
		for _, r := range p.rows {
			if r.value == nil {
				continue
			}
			_, _, err := schemas.SplitFrame(r.value)
			gone = append(gone, dead{part: p, row: r, err: cmp.Or(err, why)})
		}
	}
	return gone
}
