package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
)

// writeGrace is how long a write that is under way may go on once Run has to stop. What is cut off then is settled by the
// ledger at the next start.
const writeGrace = 10 * time.Second

// table is a topic, its batches, and the one writer that writes them in order. Batches are guarded by loader.mu.
type table struct {
	name, topic string
	batches
	headers []kgo.RecordHeader // of the last record
	paused  bool               // fetching
	ready   chan struct{}      // of size 1: there may be something to take
}

// writer writes the batches of one table, one at a time, and builds the rows of the next one meanwhile.
type writer struct {
	*loader
	t        *table
	layouts  map[int]*layout // by writer schema id
	last     *layout         // for tombstones, which have no schema
	prepared *layout         // the table fits it
	hand     []*batch        // what is being written: a batch, or what is left of the halves it was cut into; and then the next
	ahead    *ahead          // of the last in hand; nil: none
	boxes    map[*partition]*dlq.Box
	first    error // of the dead of this run
}

func (l *loader) newWriter(t *table) *writer {
	return &writer{loader: l, t: t, layouts: map[int]*layout{}, boxes: map[*partition]*dlq.Box{}}
}

// run writes batches until ctx ends.
func (w *writer) run(ctx context.Context) error {
	defer func() {
		w.discard()
		for p := range w.boxes {
			w.unbox(p)
		}
	}()
	for {
		b := w.await(ctx)
		if b == nil {
			return nil
		}
		if err := w.write(ctx, b); err != nil {
			return err
		}
	}
}

// await returns the next batch to write; nil when ctx has ended.
func (w *writer) await(ctx context.Context) *batch {
	for ctx.Err() == nil {
		w.mu.Lock()
		b, left := w.t.take(time.Now(), w.early())
		w.flow(w.t)
		w.mu.Unlock()
		if b != nil {
			return b
		}
		var age <-chan time.Time
		if left > 0 {
			age = time.After(left)
		}
		select {
		case <-w.t.ready:
		case <-age:
		case <-ctx.Done():
		}
	}
	return nil
}

// early tells that the open batch should not wait for its age: memory is short, or it holds all that is to be loaded
// before Run ends. The caller holds mu.
func (w *writer) early() bool { return w.memory.full() || w.reached(w.t) }

// write gets a batch into the warehouse, whatever it takes. Where the warehouse refuses it, it is cut in halves until the
// records are found that have to go to the dead letters. Errors: those that trying again does not cure.
func (w *writer) write(ctx context.Context, b *batch) (err error) {
	w.hand = []*batch{b}
	for len(w.hand) > 0 && err == nil && ctx.Err() == nil {
		var refused bool
		b := w.hand[0]
		refused, err = w.load(w.traced(ctx, b), b)
		if refused {
			b.span.Set("refused", true)
		}
		b.span.End(err)
		if refused {
			front, back := b.split()
			w.hand = append([]*batch{front, back}, w.hand[1:]...)
		} else {
			w.memory.hold(-b.cost())
			w.hand = w.hand[1:]
		}
	}
	for _, b := range w.hand { // not begun
		w.memory.hold(-b.cost())
	}
	w.hand = nil
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// load writes one batch: on an error the ledger tells, part by part, what is in, what is to be tried again and what
// another consumer has moved. It returns true where the warehouse refuses a batch of several rows; one row alone that is refused, or
// that cannot be decoded, goes to the dead letters, and the ledger past it.
func (w *writer) load(ctx context.Context, b *batch) (refused bool, err error) {
	started := time.Now()
	rows := w.built(b)
	var gone []dead  // to be set aside
	var failed error // the last write's; nil once the ledger has been asked what became of it
	defer func() { rows.release(w.memory) }()
	err = w.retry(ctx, "load "+w.t.topic, func() error {
		for {
			w.leave(b, func(p *part) bool { return p.lost })
			if err := failed; err != nil {
				before := len(b.parts)
				if err := w.settle(ctx, b, started); err != nil {
					return err
				}
				failed = nil
				if len(b.parts) == before {
					return err
				}
			}
			if len(gone) > 0 {
				// What another consumer has loaded meanwhile is not ours to set aside.
				if err := w.settle(ctx, b, started); err != nil {
					return err
				}
				gone = slices.DeleteFunc(gone, func(d dead) bool { return !slices.Contains(b.parts, d.part) })
				if err := w.bury(ctx, gone); err != nil {
					return err
				}
				w.memory.hold(-b.remove(gone))
				gone = nil
				rows.release(w.memory)
				rows = nil
			}
			if len(b.parts) == 0 {
				return nil
			}
			if !rows.of(b) {
				rows.release(w.memory)
				var err error
				if rows, err = w.build(ctx, b); err != nil {
					return err
				}
			}
			if gone = rows.dead; len(gone) > 0 {
				continue
			}
			rows.Ranges, rows.Bytes = w.ranges(b)
			w.buildAhead(ctx)
			var stats sink.Stats
			if stats, failed = w.apply(ctx, rows); failed == nil {
				w.done(b.parts, Loaded{ID: rows.ID, Stats: stats, Changed: rows.changed}, started)
				return nil
			}
			w.discard() // what follows may change the batch that it is of, and needs the memory
			var rejected *sink.RejectedError
			var unprepared *prepareError
			switch {
			case errors.As(failed, &unprepared) && final(failed):
				return failed // the table, not a row
			case !errors.As(failed, &rejected):
			case b.rows > 1:
				refused = true
				return nil
			case b.rows == 1:
				gone, failed = []dead{b.only(rejected)}, nil
			}
		}
	})
	return refused && err == nil, err
}

// only is the one row of a batch, refused by the warehouse.
func (b *batch) only(why *sink.RejectedError) dead {
	for _, p := range b.parts {
		if len(p.rows) > 0 {
			return dead{part: p, row: p.rows[0], column: why.Column, err: why}
		}
	}
	return dead{}
}

// prepareError tells an error about the table from one about rows.
type prepareError struct{ err error }

func (e *prepareError) Error() string { return e.err.Error() }
func (e *prepareError) Unwrap() error { return e.err }

// leave takes parts out of a batch that is with the writer.
func (w *writer) leave(b *batch, gone func(*part) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.memory.hold(-b.drop(gone))
}

// settle asks the ledger what has become of a batch whose write failed. Parts that are in are done, parts that stand where
// they stood stay in the batch, parts that stand elsewhere are taken up there.
func (w *writer) settle(ctx context.Context, b *batch, started time.Time) error {
	var keys []sink.Partition
	for _, p := range b.parts {
		keys = append(keys, p.Partition)
	}
	next, err := w.to.Next(ctx, keys)
	if err != nil {
		return fmt.Errorf("ask the ledger: %w", err)
	}
	var in, elsewhere []*part
	w.mu.Lock()
	for _, p := range b.parts {
		switch n := next[p.Partition]; {
		case n == p.to:
			in = append(in, p)
		case n != p.ledger:
			elsewhere = append(elsewhere, p)
		}
	}
	w.mu.Unlock()
	if len(in) > 0 {
		w.done(in, Loaded{}, started)
	}
	for _, p := range elsewhere {
		if err := w.rewind(ctx, p.partition); err != nil {
			return err
		}
	}
	w.leave(b, func(p *part) bool { return slices.Contains(in, p) })
	for _, b := range w.hand { // the other halves too
		w.leave(b, func(p *part) bool {
			return slices.ContainsFunc(elsewhere, func(q *part) bool { return p.partition == q.partition })
		})
	}
	return nil
}

// done moves our view of the ledger past parts that are in, and tells of them with what is known of their write.
func (w *writer) done(parts []*part, e Loaded, started time.Time) {
	e.Table, e.Took = w.t.name, time.Since(started)
	w.mu.Lock()
	for _, p := range parts {
		e.Ranges = append(e.Ranges, sink.Range{Partition: p.Partition, From: p.ledger, To: p.to})
		e.Rows += int64(len(p.rows))
		e.Bytes += p.bytes
		e.times(p.rows)
		p.ledger = p.to
	}
	e.Behind = w.showLag()[w.t]
	w.mu.Unlock()
	if w.cfg.replay == nil {
		e.measure()
	}
	w.ev.loaded(e)
}

// apply prepares the table where it has not been prepared for the layout, and writes. It does not begin once ctx has
// ended, and is given writeGrace where it has begun.
func (w *writer) apply(ctx context.Context, r *rows) (stats sink.Stats, err error) {
	if err := ctx.Err(); err != nil {
		return sink.Stats{}, err
	}
	ctx, span := ops.Trace(ctx, ops.Asks, "write", "table", w.t.name, "load_id", r.ID)
	defer func() { span.End(err) }()
	ctx, cancel := outlive(ctx, writeGrace)
	defer cancel()
	if r.layout != nil && w.prepared != r.layout {
		if err := w.to.Prepare(ctx, r.Table); err != nil {
			return sink.Stats{}, &prepareError{fmt.Errorf("prepare table %s: %w", w.t.name, err)}
		}
		w.prepared = r.layout
	}
	stats, err = w.to.Write(ctx, r.Batch)
	var rejected *sink.RejectedError
	for wide := ""; errors.As(err, &rejected) && rejected.Text && rejected.Column != wide; wide = rejected.Column {
		if err := w.to.Prepare(ctx, asText(r.Table, rejected.Column)); err != nil {
			return sink.Stats{}, &prepareError{fmt.Errorf("make column %s of table %s text: %w", rejected.Column, w.t.name, err)}
		}
		stats, err = w.to.Write(ctx, r.Batch)
	}
	if err != nil && !errors.Is(err, sink.ErrFenced) {
		w.prepared = nil // the table may be gone
	}
	return stats, err
}

// asText is a table one of whose columns is text. An integer that a column of doubles does not hold makes it one: it was written before
// the field's first fraction, and another partition was faster.
func asText(t sink.Table, column string) sink.Table {
	fields := t.Schema.Fields()
	for i, f := range fields {
		if f.Name == column {
			fields[i].Type = arrow.BinaryTypes.String
		}
	}
	t.Schema = arrow.NewSchema(fields, nil)
	return t
}

// outlive returns a context that ends grace after ctx.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(out, func() { t.Stop() })
	})
	return out, func() { stop(); cancel() }
}
