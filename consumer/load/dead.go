package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
)

// The stop threshold looks at the last deadWindow offsets of a partition, and at no fewer than deadFloor: a few bad records at
// the beginning of a topic are not many. It counts letters by their offsets, not what a process has seen, so that a consumer
// that is started again and again gets no further.
const (
	deadWindow = 1000
	deadFloor  = 100
)

// dead is a record that cannot become a row of the table.
type dead struct {
	part   *part
	row    row
	column string // "" where it is not known
	err    error
}

// TooManyError reports that more records than DLQ_MAX_RATIO allows cannot be loaded. The ledger stands before the record at
// which it happened.
type TooManyError struct {
	sink.Partition
	Offset     int64 // of the record
	Count, Of  int64 // dead letters, that record included, among so many offsets
	Ratio      float64
	First, Err error // the first of this run, and what is wrong with the record
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("%s[%d]: %d of the %d offsets up to %d cannot be loaded, more than DLQ_MAX_RATIO=%g allows. First: %v. Last: %v. "+
		"Nothing is skipped: the ledger stands before offset %d. Check that SCHEMA_REGISTRY_URL is the registry that the producer uses, that nothing "+
		"but Tilestream writes to the topic, and what the warehouse says; or raise DLQ_MAX_RATIO (1: no limit) to set them aside in %s",
		e.Topic, e.ID, e.Count, e.Of, e.Offset, e.Ratio, e.First, e.Err, e.Offset, e.Topic+".dlq")
}

func (e *TooManyError) Unwrap() error { return e.Err }

// bury has dead records in the DLQ before it returns, each once. *TooManyError: none of one partition's was written.
func (w *writer) bury(ctx context.Context, gone []dead) error {
	ctx, cancel := outlive(ctx, writeGrace) // an open transaction would hold up readers of the DLQ
	defer cancel()
	for len(gone) > 0 {
		p := gone[0].part
		n := 1
		for n < len(gone) && gone[n].part == p {
			n++
		}
		if err := w.buryOf(ctx, p, gone[:n]); err != nil {
			return err
		}
		gone = gone[n:]
	}
	return nil
}

func (w *writer) buryOf(ctx context.Context, p *part, gone []dead) error {
	if gone = w.ours(p, gone); len(gone) == 0 {
		return nil
	}
	box, err := w.box(ctx, p.partition)
	if err != nil {
		return err
	}
	if w.first == nil {
		w.first = gone[0].err
	}
	if err := w.tooMany(box, p, gone); err != nil {
		return err
	}
	var letters []dlq.Letter
	for _, d := range gone {
		letters = append(letters, w.letter(box.Source, d, 1))
	}
	if err := box.Write(ctx, letters); err != nil {
		w.unbox(p.partition) // opened again, it tells what is written
		return err
	}
	for _, l := range letters {
		w.buried.Add(1)
		w.ev.deadLetter(w.t.name, l)
	}
	return nil
}

// ours are the dead that are ours to set aside, and counts the others: what a replay meets where live loading had not been yet
// when the replay began, live loading meets too. What lies before has its letter from then, if it has one.
func (w *writer) ours(p *part, gone []dead) []dead {
	replay := w.cfg.replay
	if replay == nil || replay.side {
		return gone
	}
	n := slices.IndexFunc(gone, func(d dead) bool { return d.row.offset >= replay.passed[p.ID] })
	if n < 0 {
		return gone
	}
	w.buried.Add(int64(len(gone) - n))
	return gone[:n]
}

func (l *loader) letter(s dlq.Source, d dead, attempt int) dlq.Letter {
	schema := dlq.NoSchema
	if id, ok := schemaOf(d.row.value); ok {
		schema = id
	}
	return dlq.Letter{Source: s, Offset: d.row.offset, Schema: schema, Sink: l.cfg.Warehouse, Column: d.column, Reason: d.err.Error(),
		Time: time.Now(), Attempt: attempt, Key: d.row.key, Value: d.row.value, Timestamp: time.UnixMilli(d.row.time), Headers: d.row.headers}
}

// tooMany judges the dead that are not in the box yet, one after the other.
func (w *writer) tooMany(box *dlq.Box, p *part, gone []dead) error {
	fresh := map[int64]bool{}
	for _, d := range gone {
		if box.Has(d.row.offset, 1) {
			continue
		}
		fresh[d.row.offset] = true
		count := int64(0)
		for o := max(0, d.row.offset-deadWindow+1); o <= d.row.offset; o++ {
			if fresh[o] || box.Has(o, 1) {
				count++
			}
		}
		of := min(deadWindow, max(deadFloor, d.row.offset+1))
		if float64(count) > w.cfg.DLQMaxRatio*float64(of) {
			return &TooManyError{p.Partition, gone[0].row.offset, count, of, w.cfg.DLQMaxRatio, w.first, d.err}
		}
	}
	return nil
}

// box opens the partition's box, once for an ownership: whoever opens it later fences this one.
func (w *writer) box(ctx context.Context, p *partition) (*dlq.Box, error) {
	w.mu.Lock()
	var gone []*partition
	for q := range w.boxes {
		if q.lost {
			gone = append(gone, q)
		}
	}
	w.mu.Unlock()
	for _, q := range gone {
		w.unbox(q)
	}
	if b := w.boxes[p]; b != nil {
		return b, nil
	}
	s := dlq.Source{Cluster: p.Cluster, Group: p.Group, Topic: p.Topic, Partition: p.ID}
	var also []string
	if replay := w.cfg.replay; replay != nil {
		// The owner of the box is the replay, so that live loading is not fenced.
		if also = []string{replay.live}; !replay.side {
			s.Group = replay.live
		}
	}
	b, err := dlq.Open(ctx, w.brokers, w.log, p.Group, s, also...)
	if err != nil {
		return nil, err
	}
	w.boxes[p] = b
	return b, nil
}

func (w *writer) unbox(p *partition) {
	if b := w.boxes[p]; b != nil {
		b.Close()
		delete(w.boxes, p)
	}
}
