package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/dlq"
)

// Replayed counts what became of the letters of a ReplayDLQ.
type Replayed struct {
	Loaded  int `json:"loaded"`
	Refused int `json:"refused"`
}

// ReplayDLQ loads the group's dead letters of the topics once more, as the records they were: with their own partition, offset
// and time, so that newer versions in the table stay. How far it has come is in the warehouse's ledger, as a partition of TOPIC.dlq, and
// moves together with the rows: each letter is loaded once, whatever is killed. One that is refused again becomes a new
// letter of the next attempt, for the next ReplayDLQ. Errors are those of Run.
func ReplayDLQ(ctx context.Context, cfg Config, kafka broker.Config, to sink.Sink, ev Events, topics ...string) (done Replayed, err error) {
	cfg.Until = Now() // gives up after a while
	l, err := newLoader(cfg, kafka, to, ev)
	if err != nil {
		return done, err
	}
	admin, err := l.look(ctx, kafka)
	if err != nil {
		return done, err
	}
	defer admin.Close()
	if len(topics) == 0 {
		topics = slices.Sorted(maps.Keys(l.tables))
	}
	for _, topic := range topics {
		if l.tables[topic] == nil {
			return done, fmt.Errorf("%s is no topic of a resource", topic)
		}
		if err := l.newWriter(l.tables[topic]).replay(ctx, &done); err != nil {
			return done, fmt.Errorf("replay %s: %w", broker.DLQName(topic), err)
		}
	}
	return done, nil
}

// replay takes the letters of one topic, in their order, up to where they end now.
func (w *writer) replay(ctx context.Context, done *Replayed) error {
	letters, ends, err := dlq.Read(ctx, w.brokers, w.t.topic, nil)
	if err != nil || len(ends) == 0 {
		return err
	}
	read := kadm.Offsets{}
	for id, end := range ends {
		at := w.key(broker.DLQName(w.t.topic), id)
		next, err := w.to.Next(ctx, []sink.Partition{at})
		if err != nil {
			return fmt.Errorf("ask the ledger: %w", err)
		}
		if next[at] > end {
			return &LedgerError{Partition: at, Next: next[at], End: end}
		}
		read.AddOffset(at.Topic, id, end, -1)
	}
	for _, letter := range letters {
		if letter.Group != w.cfg.Group || letter.Cluster != w.cluster {
			continue
		}
		err := w.retry(ctx, "load a dead letter", func() error { return w.again(ctx, letter, done) })
		if err != nil {
			return err
		}
	}
	if err := w.admin.CommitAllOffsets(ctx, dlq.ReplayGroup(w.cfg.Group), read); err != nil { // for dlq list: nothing else reads them
		w.log.Debug("group commit", "error", err)
	}
	return nil
}

// again loads one letter, unless the ledger is past it.
func (w *writer) again(ctx context.Context, letter dlq.Letter, done *Replayed) error {
	at := w.key(broker.DLQName(w.t.topic), letter.At.Partition)
	next, err := w.to.Next(ctx, []sink.Partition{at})
	if err != nil {
		return fmt.Errorf("ask the ledger: %w", err)
	}
	if next[at] > letter.At.Offset {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	started := time.Now()
	r := rows{Batch: sink.Batch{ID: id.String(), Ranges: []sink.Range{{Partition: at, From: next[at], To: letter.At.Offset + 1}}}}
	r.Table = sink.Table{Name: w.t.name, Key: keyColumn, Offset: offsetColumn}
	r.Bytes = int64(len(letter.Key) + len(letter.Value))
	refused, err := w.decode(ctx, letter, &r)
	defer func() { r.release(w.memory) }()
	if err != nil {
		return err
	}
	var stats sink.Stats
	if refused == nil {
		stats, err = w.apply(ctx, &r)
		var rejected *sink.RejectedError
		var unprepared *prepareError
		if errors.As(err, &rejected) && !errors.As(err, &unprepared) {
			refused, err = &dead{column: rejected.Column, err: rejected}, nil
		}
	}
	if err != nil {
		return err
	}
	if refused == nil {
		done.Loaded++
		w.ev.loaded(Loaded{ID: r.ID, Table: w.t.name, Ranges: r.Ranges, Rows: 1, Bytes: r.Bytes, Oldest: letter.Timestamp, Newest: letter.Timestamp, Stats: stats, Took: time.Since(started)})
		return nil
	}
	if err := w.next(ctx, letter, refused); err != nil {
		return err
	}
	r.release(w.memory)
	r.layout = nil
	if _, err := w.apply(ctx, &r); err != nil {
		return err
	}
	done.Refused++
	return nil
}

// decode makes the row of a letter; refused says why there is none.
func (w *writer) decode(ctx context.Context, letter dlq.Letter, r *rows) (refused *dead, err error) {
	p := &part{partition: &partition{Partition: w.key(letter.Topic, letter.Partition), table: w.t}, to: letter.Offset + 1}
	p.rows = []row{{offset: letter.Offset, time: letter.Timestamp.UnixMilli(), project: w.project(&kgo.Record{Headers: letter.Headers}),
		key: letter.Key, value: letter.Value, headers: letter.Headers}}
	b := &batch{schema: noSchema, parts: []*part{p}, rows: 1, bytes: p.rows[0].size()}
	if schema, ok := schemaOf(letter.Value); ok {
		b.schema = schema
	}
	if r.layout, err = w.layoutOf(ctx, b); aboutSchema(err) {
		return &dead{err: err}, nil
	} else if err != nil {
		return nil, err
	}
	r.Table = r.layout.table
	built, gone, err := r.layout.rows(ctx, b, loadOf{r.ID, time.Now()})
	if err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		built.Release()
		return &gone[0], nil
	}
	r.Rows = built
	return nil, nil
}

// next writes the letter of the next attempt, if it isn't written yet.
func (w *writer) next(ctx context.Context, letter dlq.Letter, why *dead) error {
	box, err := dlq.Open(ctx, w.brokers, w.log, letter.Group, letter.Source)
	if err != nil {
		return err
	}
	defer box.Close()
	letter.Attempt++
	letter.Sink, letter.Column, letter.Reason, letter.Time = w.cfg.Warehouse, why.column, why.err.Error(), time.Now()
	if err := box.Write(ctx, []dlq.Letter{letter}); err != nil {
		return err
	}
	w.ev.deadLetter(w.t.name, letter)
	return nil
}
