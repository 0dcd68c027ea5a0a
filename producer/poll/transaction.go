package poll

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// transactions commits pages, one transaction at a time. Pages that wait together share one, be they of one stream or of several.
type transactions struct {
	client      *kgo.Client
	checkpoints string // topic
	partition   int32  // of checkpoints
	pages       chan *publication
}

// recordOverhead is more than what a batch of one record adds to its key, value and headers (Kafka documentation, "Record
// Batch").
const recordOverhead = 256

// publication is a page's records and checkpoint, to be committed together.
type publication struct {
	records []*kgo.Record
	bytes   int
	done    chan error // buffered; gets exactly one answer
	span    ops.Span   // of the page
}

const (
	waitingPages = 64 // may be handed over and not yet looked at

	// A transaction costs brokers and readers the same be it small or large. So one begins pace after the last at the earliest, unless
	// there are transactionBytes for it: half of what a stream hands over ahead, so that one half fills while the other is committed.
	pace             = 50 * time.Millisecond
	transactionBytes = aheadBytes / 2
)

// transactionError says that a transaction failed, that its outcome is unknown, or that the log could not be read: only the
// log tells what holds, so the lane starts again from it.
type transactionError struct{ err error }

func (e *transactionError) Error() string { return e.err.Error() }
func (e *transactionError) Unwrap() error { return e.err }

// publish hands over records that are to be committed together with the checkpoint, in the order in which it is called. The publication's
// done tells when they are. ctx only bounds the wait for a place: what was handed over comes to its end. What is too large for Kafka is refused here: it would
// fail a transaction that other pages share, and each one after it.
func (t *transactions) publish(ctx context.Context, records []*kgo.Record, key string, checkpoint []byte, of ops.Span) (*publication, error) {
	p := &publication{records: append(records, &kgo.Record{Topic: t.checkpoints, Partition: t.partition, Key: []byte(key), Value: checkpoint}), done: make(chan error, 1), span: of}
	for _, r := range p.records {
		if err := fits(r); err != nil {
			return nil, err
		}
		p.bytes += sizeOf(r)
	}
	select {
	case t.pages <- p:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fits is an error for a record that is larger than a topic takes.
func fits(r *kgo.Record) error {
	if sizeOf(r) > broker.MaxMessageBytes {
		return broker.TooLarge(r)
	}
	return nil
}

// sizeOf is what a record takes at most, in bytes.
func sizeOf(r *kgo.Record) int {
	size := len(r.Key) + len(r.Value) + recordOverhead
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// run commits what comes in until pages is closed. After the first transaction that fails nothing more is committed:
// whoever asks gets its error, and so does the caller. A transaction under way when ctx ends has settleTimeout left.
func (t *transactions) run(ctx context.Context) error {
	settled, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(settleTimeout, cancel) })()
	var broken error
	var began time.Time
	for first := range t.pages {
		batch := t.gather(first, began.Add(pace))
		began = time.Now()
		if broken == nil {
			var records []*kgo.Record
			for _, p := range batch {
				records = append(records, p.records...)
			}
			ctx, span := traced(settled, batch, len(records))
			broken = t.commit(ctx, records)
			span.End(broken)
		}
		for _, p := range batch {
			p.done <- broken
		}
	}
	return broken
}

// traced begins the span of a transaction: below that of its first page, and linked to those of the others.
func traced(ctx context.Context, batch []*publication, records int) (context.Context, ops.Span) {
	var of []ops.Span
	for _, p := range batch {
		if p.span.Is() {
			of = append(of, p.span)
		}
	}
	if len(of) == 0 {
		return ctx, ops.Span{}
	}
	return ops.TraceBelow(ctx, of, ops.Inside, "transaction", "pages", len(batch), "records", records)
}

// gather adds the pages that come in until then, those that are waiting even later, up to transactionBytes.
func (t *transactions) gather(first *publication, until time.Time) []*publication {
	batch, bytes := []*publication{first}, first.bytes
	due := time.NewTimer(time.Until(until))
	defer due.Stop()
	for bytes < transactionBytes {
		select {
		case p, ok := <-t.pages:
			if !ok {
				return batch
			}
			batch, bytes = append(batch, p), bytes+p.bytes
		case <-due.C:
			if len(t.pages) == 0 {
				return batch
			}
			due.Reset(0)
		}
	}
	return batch
}

// commit writes the records in one transaction.
func (t *transactions) commit(ctx context.Context, records []*kgo.Record) error {
	began := time.Now()
	err := broker.Transact(ctx, t.client, records)
	outcome := "committed"
	if err != nil {
		outcome, err = "failed", &transactionError{err}
	}
	transactionsOf.WithLabelValues(outcome).Observe(time.Since(began).Seconds())
	return err
}
