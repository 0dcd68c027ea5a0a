package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// record is a record of the topic as the row that it should be.
type record struct {
	key string
	place
	rank
	tombstone bool
	values    []any  // of a document: by column of the table; used again for the next one
	replayed  []any  // as values, where a replay fills columns of a newer schema; nil where it is the same
	beyond    string // names of columns that the table lacks, where the document has a value for them
}

// reading turns the records of a topic into rows.
type reading struct {
	codec    *schemas.Codec
	resource schemas.Resource
	table    sink.Table
	layout   *layout
	schemas  map[int]*decoding
	yield    func(record) error
	broken   func(*kgo.Record, error) error // a record that cannot become a row
}

// decoding collects records of one writer schema, since Arrow is read by columns.
type decoding struct {
	own, replay form // replay has no decoder where it would show the same
	waiting     []origin
	bytes       int
}

// form is a way to decode records.
type form struct {
	decoder *schemas.Decoder
	rows    *array.RecordBuilder
	to      []int // the table's column of each of the decoder's; -1: none
	values  []any
}

func (l *layout) form(d *schemas.Decoder) form {
	f := form{decoder: d, rows: array.NewRecordBuilder(memory.DefaultAllocator, d.Schema()), values: make([]any, len(l.columns))}
	for _, field := range d.Schema().Fields() {
		at := l.find(field.Name)
		if f.to = append(f.to, at); at >= 0 {
			l.ours[at] = true
		}
	}
	return f
}

type origin struct {
	place
	time    int64
	project string
	schema  int
}

const (
	chunkRows  = 512
	chunkBytes = 4 << 20
)

// add takes a record; yield is called for it later, at flush at the latest.
func (r *reading) add(ctx context.Context, rec *kgo.Record) error {
	at := place{rec.Partition, rec.Offset}
	if rec.Value == nil {
		return r.yield(record{key: string(rec.Key), place: at, rank: rank{rec.Timestamp.UnixMilli(), rec.Offset}, tombstone: true})
	}
	id, body, err := schemas.SplitFrame(rec.Value)
	if err != nil {
		return r.broken(rec, err)
	}
	d := r.schemas[id]
	if d == nil {
		if d, err = r.open(ctx, id); err != nil {
			if ctx.Err() != nil || !aboutSchema(err) {
				return err
			}
			return r.broken(rec, err)
		}
		r.schemas[id] = d
	}
	if err := d.own.decoder.Append(d.own.rows, body); err != nil {
		return r.broken(rec, err)
	}
	if d.replay.decoder != nil {
		if err := d.replay.decoder.Append(d.replay.rows, body); err != nil {
			return fmt.Errorf("read %s[%d] offset %d by the newest schema: %w", rec.Topic, rec.Partition, rec.Offset, err)
		}
	}
	o := origin{place: at, time: rec.Timestamp.UnixMilli(), schema: id}
	for _, h := range rec.Headers {
		if h.Key == "project" {
			o.project = string(h.Value)
			break
		}
	}
	d.waiting = append(d.waiting, o)
	if d.bytes += len(body); len(d.waiting) >= chunkRows || d.bytes >= chunkBytes {
		return r.take(d)
	}
	return nil
}

// open finds the decoders for a schema: the writer's, and the one that replays use.
func (r *reading) open(ctx context.Context, id int) (*decoding, error) {
	own, err := r.codec.Decoder(ctx, id)
	if err != nil {
		return nil, err
	}
	later, err := r.codec.DecoderAs(ctx, id, r.resource)
	if err != nil {
		return nil, err
	}
	d := &decoding{own: r.layout.form(own)}
	if later != own {
		d.replay = r.layout.form(later)
	}
	return d, nil
}

// flush yields what waits.
func (r *reading) flush() error {
	for _, d := range r.schemas {
		if err := r.take(d); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) take(d *decoding) error {
	rows := d.own.rows.NewRecordBatch()
	defer rows.Release()
	var replayed arrow.RecordBatch
	if d.replay.decoder != nil {
		replayed = d.replay.rows.NewRecordBatch()
		defer replayed.Release()
	}
	waiting := d.waiting
	d.waiting, d.bytes = d.waiting[:0], 0
	version := -1
	if at := rows.Schema().FieldIndices(r.table.Version); len(at) == 1 && rows.Column(at[0]).DataType().ID() == arrow.TIMESTAMP {
		version = at[0]
	}
	for i, o := range waiting {
		rec := record{place: o.place, rank: rank{undated, o.offset}, values: d.own.values}
		rec.beyond = r.fill(&d.own, rows, i, o)
		if replayed != nil {
			r.fill(&d.replay, replayed, i, o)
			rec.replayed = d.replay.values
		}
		switch {
		case r.table.Version == extractedColumn:
			rec.at = o.time
		case version >= 0 && !rows.Column(version).IsNull(i):
			rec.at = sink.ArrowValue(rows.Column(version), i).(time.Time).UnixMilli()
		}
		rec.key, _ = d.own.values[r.layout.key].(string)
		if err := r.yield(rec); err != nil {
			return err
		}
	}
	return nil
}

// fill makes row i a row of the table. beyond names columns that the table lacks, where there is a value for them.
func (r *reading) fill(f *form, rows arrow.RecordBatch, i int, o origin) (beyond string) {
	clear(f.values)
	for c, to := range f.to {
		if a := rows.Column(c); to >= 0 {
			f.values[to] = r.layout.columns[to].Value(a, i)
		} else if !a.IsNull(i) {
			beyond += rows.Schema().Field(c).Name + " "
		}
	}
	r.system(f.values, o)
	return beyond
}

// system fills in the columns that say where a row came from.
func (r *reading) system(values []any, o origin) {
	set := func(field string, v any) {
		if at := r.layout.find(field); at >= 0 {
			values[at] = v
		}
	}
	set(projectColumn, nil)
	if o.project != "" {
		set(projectColumn, o.project)
	}
	set(extractedColumn, time.UnixMilli(o.time).UTC())
	set(partitionColumn, int64(o.partition))
	set(offsetColumn, o.offset)
	set(schemaColumn, int64(o.schema))
}

func (r *reading) close() {
	for _, d := range r.schemas {
		d.own.rows.Release()
		if d.replay.decoder != nil {
			d.replay.rows.Release()
		}
	}
}
