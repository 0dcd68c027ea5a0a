package sink

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// standing orders the rows that are compared with each other. It lies in the rows alone: the greatest of all has none above it in any file, so
// no compaction drops it, however many run at once and whatever each of them has seen.
type standing struct{ version, offset, loaded int64 }

func (r standing) compare(o standing) int {
	return cmp.Or(cmp.Compare(r.version, o.version), cmp.Compare(r.offset, o.offset), cmp.Compare(r.loaded, o.loaded))
}

// identity is what a row is compared by: documents of a key with each other, and tombstones with each other; where every version
// is kept, loads of the same version.
type identity [16]byte

func (r standing) identity(key string, tombstone bool, mode Mode) identity {
	b := make([]byte, 0, 128)
	b = append(append(b, key...), 0)
	b = strconv.AppendBool(b, tombstone)
	if mode != Upsert {
		b = strconv.AppendInt(append(strconv.AppendInt(append(b, ' '), r.version, 10), ' '), r.offset, 10)
	}
	sum := sha256.Sum256(b)
	return identity(sum[:16])
}

// slot orders identities, so that a range of them is a part of the rows.
func (i identity) slot() uint64 { return binary.BigEndian.Uint64(i[:]) }

// leaderBytes is what an identity costs in memory: a leader, its hash, and the room that a map keeps free.
const leaderBytes = 128

// leader is the greatest row of its identity that was seen.
type leader struct {
	standing
	in *source
	at int32
}

// leaders marks each row for which it sees a greater one. When it is full it gives up the upper half of the range of slots; what has
// been marked until then is right all the same.
type leaders struct {
	mu     sync.Mutex
	best   map[identity]leader
	lo, hi uint64 // hi is in the range
	room   int
}

func (l *leaders) add(id identity, row leader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := id.slot(); s < l.lo || s > l.hi {
		return
	}
	held, ok := l.best[id]
	switch c := row.compare(held.standing); {
	case !ok:
		l.best[id] = row
	case c > 0:
		held.in.dropped.add(held.at)
		l.best[id] = row
	case c < 0:
		row.in.dropped.add(row.at)
	}
	for len(l.best) > l.room && l.lo < l.hi {
		l.hi = l.lo + (l.hi-l.lo)/2
		for id := range l.best {
			if id.slot() > l.hi {
				delete(l.best, id)
			}
		}
	}
}

// compare reads the columns that order rows, and marks in each source the rows that another one makes superfluous. It fills the
// sources in. Past the memory they are read several times.
func compare(ctx context.Context, s store, t Table, sources []*source, memory int64) error {
	lo, first := uint64(0), true
	for {
		l := &leaders{best: map[identity]leader{}, lo: lo, hi: math.MaxUint64, room: max(int(memory/leaderBytes), 1000)}
		err := parallel(ctx, sources, func(ctx context.Context, src *source) error {
			o, err := openSource(ctx, s, src.name)
			if err != nil {
				return err
			}
			if first {
				err = src.describe(o)
			}
			if err == nil && src.foreign == nil {
				err = src.compare(ctx, o, t, l)
			}
			if err = errors.Join(err, o.Close()); err != nil {
				return fmt.Errorf("read %s: %w", s.path(src.name), err)
			}
			return nil
		})
		if err != nil || l.hi == math.MaxUint64 {
			return err
		}
		lo, first = l.hi+1, false
	}
}

func (s *source) compare(ctx context.Context, o *opened, t Table, l *leaders) error {
	columns, err := s.ordering(t)
	if err != nil {
		s.foreign = err
		return nil
	}
	row := int32(0)
	for b, err := range s.batches(ctx, o, columns) {
		if err != nil {
			return err
		}
		r := ranking{table: t, keys: column[*array.String](b, t.Key), offsets: column[*array.Int64](b, t.Offset), versions: column[*array.Timestamp](b, t.Version),
			deleted: column[*array.Timestamp](b, t.Deleted), deletedOffsets: column[*array.Int64](b, t.DeletedOffset), loaded: column[*array.Timestamp](b, loadedColumn)}
		for i := range int(b.NumRows()) {
			if id, at, ok := r.row(i); ok {
				l.add(id, leader{at, s, row})
			}
			row++
		}
		b.Release()
	}
	return nil
}

const loadedColumn = "_loaded_at"

// ordering is the columns of the source that order its rows. An error says why it cannot be compared with others.
func (s *source) ordering(t Table) (columns []arrow.Field, err error) {
	if s.rows > math.MaxInt32 {
		return nil, fmt.Errorf("it has %d rows", s.rows)
	}
	has := map[string]bool{}
	for _, want := range []struct {
		name string
		kind kind
	}{{t.Key, kindText}, {t.Offset, kindInt64}, {t.Version, kindTimestamp}, {t.Deleted, kindTimestamp}, {t.DeletedOffset, kindInt64}, {loadedColumn, kindTimestamp}} {
		for _, f := range s.fields {
			if f.Name != want.name || has[f.Name] {
				continue
			}
			if k, _ := kindOf(f.Type); k != want.kind {
				return nil, fmt.Errorf("column %s, which orders versions, is of type %s", f.Name, f.Type)
			}
			has[f.Name] = true
			columns = append(columns, f)
		}
	}
	if !has[t.Key] || !has[t.Offset] || has[t.Deleted] != has[t.DeletedOffset] {
		return nil, fmt.Errorf("it lacks one of the columns %s, %s, %s and %s", t.Key, t.Offset, t.Deleted, t.DeletedOffset)
	}
	return columns, nil
}

// column is nil where the rows have no such column.
func column[A arrow.Array](b arrow.RecordBatch, name string) (a A) {
	if at := b.Schema().FieldIndices(name); len(at) == 1 {
		a, _ = b.Column(at[0]).(A)
	}
	return a
}

// ranking is the columns that order rows; any but the first two may be nil.
type ranking struct {
	table                     Table
	keys                      *array.String
	offsets, deletedOffsets   *array.Int64
	versions, deleted, loaded *array.Timestamp
}

// row says what a row is compared by, as FilesQuery does. A row that does not say it stays.
func (r ranking) row(i int) (id identity, at standing, ok bool) {
	at = standing{version: math.MinInt64, loaded: millisAt(r.loaded, i)}
	versions, offsets := r.versions, r.offsets
	tombstone := r.deleted != nil && r.deleted.IsValid(i)
	if tombstone {
		versions, offsets = r.deleted, r.deletedOffsets
	}
	if r.keys.IsNull(i) || offsets.IsNull(i) {
		return id, at, false
	}
	if at.offset = offsets.Value(i); r.table.Version != "" {
		at.version = millisAt(versions, i)
	}
	return at.identity(r.keys.Value(i), tombstone, r.table.Mode), at, true
}

// millisAt is a time, of which a null one comes before all.
func millisAt(a *array.Timestamp, i int) int64 {
	if a == nil || a.IsNull(i) {
		return math.MinInt64
	}
	return int64(a.Value(i))
}
