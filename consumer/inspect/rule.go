package inspect

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

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
	validFromColumn     = "_valid_from"
	validToColumn       = "_valid_to"
)

// notCompared are columns that say how a row came in, not what it is; deletions and validity are compared by themselves.
var notCompared = []string{"_loaded_at", "_load_id", deletedColumn, deletedOffsetColumn, validFromColumn, validToColumn}

// TableOf names the columns that a resource's table goes by.
func TableOf(r schemas.Resource) sink.Table {
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
	validFrom, validTo                                      int // below 0 in a table that does not say when its versions held
	buffer                                                  []byte
}

func newLayout(v *sink.View, t sink.Table, columns []sink.Column) (*layout, error) {
	l := &layout{columns: columns, find: func(field string) int { return v.Find(columns, field) }}
	l.key, l.version, l.partition, l.offset = l.find(t.Key), l.find(t.Version), l.find(partitionColumn), l.find(t.Offset)
	l.deleted, l.deletedOffset = l.find(t.Deleted), l.find(t.DeletedOffset)
	l.validFrom, l.validTo = l.find(validFromColumn), l.find(validToColumn)
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
