package load

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/ops"
)

// limits say when a batch closes: at so many rows, so many bytes, or so long after its first record.
type limits struct {
	rows  int
	bytes int64
	age   time.Duration
}

// maxClosed is how many closed batches of a table may wait, beside the one that is built ahead; then fetching of the table pauses.
const maxClosed = 1

// rowOverhead is what a record costs beside its key and value: its row, and its share of slices that have grown.
const rowOverhead = 128

// noSchema stands for the writer schema of what has none: tombstones and markers.
const noSchema = -1

// row is one record. In a part it is copied out of the fetch it came in: a record of a quiet table must not keep a whole fetch alive.
type row struct {
	offset  int64
	time    int64 // record timestamp, ms
	project string
	key     []byte
	value   []byte // nil: a tombstone
	headers []kgo.RecordHeader
}

func (r row) size() int64 {
	n := len(r.key) + len(r.value)
	for _, h := range r.headers {
		n += len(h.Key) + len(h.Value)
	}
	return int64(n)
}

// part is what a batch holds of one partition. Records are kept by partition, so that a partition that is lost or has to
// go back leaves the others of the batch untouched.
type part struct {
	*partition
	to     int64 // position after the last record or marker
	rows   []row
	bytes  int64
	memory []byte // what keys and values of rows are copied into next
}

// Memory of a part is taken in pieces, so that the garbage collector has few objects to look at; in small ones first, since most topics are
// quiet.
const (
	minPiece = 1 << 10
	maxPiece = 256 << 10
)

// own copies bytes of a fetch into the part's memory.
func (p *part) own(b []byte) []byte {
	if b == nil {
		return nil
	}
	if cap(p.memory)-len(p.memory) < len(b) {
		p.memory = make([]byte, 0, max(len(b), min(max(2*cap(p.memory), minPiece), maxPiece)))
	}
	at := len(p.memory)
	p.memory = append(p.memory, b...)
	return p.memory[at:len(p.memory):len(p.memory)]
}

// batch is what one Write will apply: records of one table and one writer schema, from any of its partitions.
type batch struct {
	schema int // writer schema id; noSchema while there are only tombstones and markers
	parts  []*part
	rows   int
	bytes  int64 // of keys and values
	opened time.Time
	span   ops.Span // of its load, once that has begun
}

// cost is what the batch counts for in the memory budget.
func (b *batch) cost() int64 { return b.bytes + int64(b.rows)*rowOverhead }

// admits tells whether a record of the schema may join: a batch has one writer schema. What has none joins
// any batch.
func (b *batch) admits(schema int) bool {
	return b.schema == noSchema || schema == noSchema || schema == b.schema
}

func (b *batch) full(l limits) bool { return b.rows >= l.rows || b.bytes >= l.bytes }

func (b *batch) part(p *partition) *part {
	for _, s := range b.parts {
		if s.partition == p {
			return s
		}
	}
	s := &part{partition: p}
	b.parts = append(b.parts, s)
	return s
}

// drop takes parts out and returns the memory they held.
func (b *batch) drop(gone func(*part) bool) (freed int64) {
	before := b.cost()
	b.parts = slices.DeleteFunc(b.parts, func(s *part) bool {
		if !gone(s) {
			return false
		}
		b.rows -= len(s.rows)
		b.bytes -= s.bytes
		return true
	})
	return before - b.cost()
}

// split cuts a batch of several rows in halves, and leaves nothing in it. Each partition's records stay in order: where the cut
// goes through a partition, the first half ends with a record and the second begins behind it.
func (b *batch) split() (front, back *batch) {
	front, back = &batch{schema: b.schema, opened: b.opened}, &batch{schema: b.schema, opened: b.opened}
	left := b.rows / 2
	for _, p := range b.parts {
		n := min(left, len(p.rows))
		left -= n
		switch {
		case n == len(p.rows) && n > 0:
			front.take(p)
		case n == 0:
			back.take(p)
		default:
			front.take(&part{partition: p.partition, to: p.rows[n-1].offset + 1, rows: p.rows[:n:n]})
			back.take(&part{partition: p.partition, to: p.to, rows: p.rows[n:]})
		}
	}
	*b = batch{schema: b.schema, opened: b.opened, span: b.span}
	return front, back
}

// take puts a part that was cut out of another batch into this one.
func (b *batch) take(p *part) {
	p.bytes = 0
	for _, r := range p.rows {
		p.bytes += r.size()
	}
	b.parts = append(b.parts, p)
	b.rows += len(p.rows)
	b.bytes += p.bytes
}

// remove takes dead rows out and returns the memory they held. Their part still ends behind them.
func (b *batch) remove(gone []dead) (freed int64) {
	before := b.cost()
	all := map[*part]map[int64]bool{}
	for _, d := range gone {
		if all[d.part] == nil {
			all[d.part] = map[int64]bool{}
		}
		all[d.part][d.row.offset] = true
	}
	framed := false
	for _, p := range b.parts {
		p.rows = slices.DeleteFunc(p.rows, func(r row) bool {
			if !all[p][r.offset] {
				framed = framed || r.value != nil
				return false
			}
			p.bytes -= r.size()
			b.bytes -= r.size()
			b.rows--
			return true
		})
	}
	if !framed {
		b.schema = noSchema // only tombstones are left, if anything is
	}
	return before - b.cost()
}

// batches are those of one table: one open, and the closed ones that wait for the writer, oldest first.
type batches struct {
	limits
	open   *batch
	closed []*batch
}

// add puts a record into the open batch, and closes it where it is full.
func (bs *batches) add(p *partition, schema int, r row, now time.Time) {
	b := bs.opened(schema, now)
	if schema != noSchema {
		b.schema = schema
	}
	s := b.part(p)
	r.key, r.value = s.own(r.key), s.own(r.value)
	s.rows = append(s.rows, r)
	s.to = r.offset + 1
	s.bytes += r.size()
	b.rows++
	b.bytes += r.size()
	if b.full(bs.limits) {
		bs.close()
	}
}

// skip moves the partition to the position after a transaction marker. It opens a batch where none is open, so that the
// ledger gets past markers at the end of a partition.
func (bs *batches) skip(p *partition, to int64, now time.Time) {
	bs.opened(noSchema, now).part(p).to = to
}

func (bs *batches) opened(schema int, now time.Time) *batch {
	if bs.open != nil && !bs.open.admits(schema) {
		bs.close()
	}
	if bs.open == nil {
		bs.open = &batch{schema: noSchema, opened: now}
	}
	return bs.open
}

func (bs *batches) close() {
	bs.closed = append(bs.closed, bs.open)
	bs.open = nil
}

// take returns the batch to write now: the oldest closed one, or the open one if it is old enough or is wanted early.
// Without one it returns how long to wait for the open one; 0 where there is none.
//
// Age is looked at when the writer is free, so that a slow warehouse makes batches larger, not more.
func (bs *batches) take(now time.Time, early bool) (*batch, time.Duration) {
	if b := bs.takeClosed(); b != nil {
		return b, 0
	}
	if bs.open == nil {
		return nil, 0
	}
	if left := bs.age - now.Sub(bs.open.opened); left > 0 && !early {
		return nil, left
	}
	b := bs.open
	bs.open = nil
	return b, 0
}

// takeClosed returns the oldest closed batch; nil if there is none.
func (bs *batches) takeClosed() *batch {
	if len(bs.closed) == 0 {
		return nil
	}
	b := bs.closed[0]
	bs.closed = slices.Delete(bs.closed, 0, 1)
	return b
}

// crowded tells that the writer is behind: no more should be fetched for the table.
func (bs *batches) crowded() bool { return len(bs.closed) >= maxClosed }

// drop takes parts out of every batch and returns the memory they held.
func (bs *batches) drop(gone func(*part) bool) (freed int64) {
	for _, b := range bs.closed {
		freed += b.drop(gone)
	}
	bs.closed = slices.DeleteFunc(bs.closed, func(b *batch) bool { return len(b.parts) == 0 })
	if bs.open != nil {
		if freed += bs.open.drop(gone); len(bs.open.parts) == 0 {
			bs.open = nil
		}
	}
	return freed
}
