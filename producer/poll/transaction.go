package poll

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
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
}

// waitingPages is how many pages may wait for their turn.
const waitingPages = 64

// transactionError says that a transaction failed, that its outcome is unknown, or that the log could not be read: only the
// log tells what holds, so the lane starts again from it.
type transactionError struct{ err error }

func (e *transactionError) Error() string { return e.err.Error() }
func (e *transactionError) Unwrap() error { return e.err }

// publish hands over records that are to be committed together with the checkpoint, in the order in which it is called. The publication's
// done tells when they are. ctx only bounds the wait for a place: what was handed over comes to its end. What is too large for Kafka is refused here: it would
// fail a transaction that other pages share, and each one after it.
func (t *transactions) publish(ctx context.Context, records []*kgo.Record, key string, checkpoint []byte) (*publication, error) {
	p := &publication{records: append(records, &kgo.Record{Topic: t.checkpoints, Partition: t.partition, Key: []byte(key), Value: checkpoint}), done: make(chan error, 1)}
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
	for first := range t.pages {
		batch := t.waiting(first)
		if broken == nil {
			var records []*kgo.Record
			for _, p := range batch {
				records = append(records, p.records...)
			}
			broken = t.commit(settled, records)
		}
		for _, p := range batch {
			p.done <- broken
		}
	}
	return broken
}

func (t *transactions) waiting(first *publication) []*publication {
	batch := []*publication{first}
	for {
		select {
		case p, ok := <-t.pages:
			if !ok {
				return batch
			}
			batch = append(batch, p)
		default:
			return batch
		}
	}
}

// commit writes the records in one transaction.
func (t *transactions) commit(ctx context.Context, records []*kgo.Record) error {
	if err := broker.Transact(ctx, t.client, records); err != nil {
		return &transactionError{err}
	}
	return nil
}
