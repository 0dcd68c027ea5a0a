package inspect

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// What a row says of itself (DESIGN.md, Room 3 and Room 4). It is said here a second time, on purpose: a verifier that shared
// the loader's code would share its mistakes.
const (
	keyColumn           = "_id"
	versionColumn       = "updated_at"
	extractedColumn     = "_extracted_at"
	projectColumn       = "_project_id"
	partitionColumn     = "_kafka_partition"
	offsetColumn        = "_kafka_offset"
	schemaColumn        = "_schema_id"
	deletedColumn       = "_deleted_at"
	deletedOffsetColumn = "_deleted_offset"
)

// notCompared are columns that say how a row came in, not what it is; deletions are compared by themselves.
var notCompared = []string{"_loaded_at", "_load_id", deletedColumn, deletedOffsetColumn, "_valid_from", "_valid_to"}

// resourceTable names the columns of a resource's table.
func resourceTable(r schemas.Resource) sink.Table {
	t := sink.Table{Name: r.Name, Key: keyColumn, Version: versionColumn, Offset: offsetColumn, Deleted: deletedColumn, DeletedOffset: deletedOffsetColumn}
	if r.Walk == schemas.WholeList {
		t.Version = extractedColumn
	}
	return t
}

// rank orders the documents and the tombstones of a key: by time, then by offset.
type rank struct{ at, offset int64 }

const undated = math.MinInt64

var nothing = rank{undated, -1} // before all

func (r rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(r.at, o.at), cmp.Compare(r.offset, o.offset))
}

func (r rank) after(o rank) bool { return r.compare(o) > 0 }

// place is where a record stands in its topic.
type place struct {
	partition int32
	offset    int64
}

// hash tells keys apart.
type hash [16]byte

func hashOf(key string) hash {
	sum := sha256.Sum256([]byte(key))
	return hash(sum[:16])
}

// slot orders hashes, so that a range of them is a part of the keys.
func (h hash) slot() uint64 { return binary.BigEndian.Uint64(h[:]) }

// version tells the versions of a key apart, and stays in the key's slot.
func (h hash) version(r rank, tombstone bool) hash {
	b := strconv.AppendInt(append(h[:len(h):len(h)], ':'), r.at, 10)
	b = strconv.AppendBool(append(strconv.AppendInt(append(b, ':'), r.offset, 10), ':'), tombstone)
	sum := sha256.Sum256(b)
	copy(h[8:], sum[:])
	return h
}

// layout is how the columns of a table are compared.
type layout struct {
	columns  []sink.Column
	compared []int  // indexes of columns, by name
	ours     []bool // by column: some schema of the topic has it, or Tilestream fills it; others are somebody else's
	find     func(field string) int

	key, version, partition, offset, deleted, deletedOffset int
	buffer                                                  []byte
}

func newLayout(v *sink.View, t sink.Table, columns []sink.Column) (*layout, error) {
	l := &layout{columns: columns, find: func(field string) int { return v.Find(columns, field) }}
	l.key, l.version, l.partition, l.offset = l.find(t.Key), l.find(t.Version), l.find(partitionColumn), l.find(t.Offset)
	l.deleted, l.deletedOffset = l.find(t.Deleted), l.find(t.DeletedOffset)
	for name, at := range map[string]int{t.Key: l.key, t.Version: l.version, partitionColumn: l.partition, t.Offset: l.offset, t.Deleted: l.deleted, t.DeletedOffset: l.deletedOffset} {
		if at < 0 {
			return nil, fmt.Errorf("table %s has no column %s: it is not one that Tilestream has made, or somebody has dropped the column", t.Name, name)
		}
	}
	for i := range columns {
		if !slices.ContainsFunc(notCompared, func(name string) bool { return l.find(name) == i }) {
			l.compared = append(l.compared, i)
		}
	}
	l.ours = make([]bool, len(columns))
	for _, name := range []string{projectColumn, extractedColumn, partitionColumn, offsetColumn, schemaColumn} {
		if at := l.find(name); at >= 0 {
			l.ours[at] = true
		}
	}
	slices.SortFunc(l.compared, func(i, j int) int { return cmp.Compare(columns[i].Name, columns[j].Name) })
	return l, nil
}

// sum is a checksum of a row's compared values, to be taken of rows once the topic is read. Nulls do not count: a column that was added later is null in older rows.
func (l *layout) sum(values []any, beyond string) uint64 {
	b := l.buffer[:0]
	for _, i := range l.compared {
		if values[i] != nil && l.ours[i] {
			b = append(append(b, l.columns[i].Name...), 0)
			b = append(sink.AppendValue(b, values[i]), 0)
		}
	}
	b = append(b, beyond...)
	l.buffer = b
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

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
