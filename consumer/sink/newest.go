package sink

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// picked returns the indexes of the rows that the table's mode looks at; tombs stays empty where both kinds are versions.
func picked(b Batch) (docs, tombs []int, err error) {
	if b.Table.Mode == Upsert {
		return newest(b)
	}
	docs, err = each(b)
	return docs, nil, err
}

// newest returns the indexes of the batch's rows that are the newest document, and the newest tombstone, of their key, each
// in the order of the keys, so that writers lock rows in one order and indexes are filled from left to right. A row without
// a key is a *RejectedError.
func newest(b Batch) (docs, tombs []int, err error) {
	if b.Rows == nil || b.Rows.NumRows() == 0 {
		return nil, nil, nil
	}
	keys, err := columnAs[*array.String](b, b.Table.Key)
	if err != nil {
		return nil, nil, err
	}
	if keys.NullN() > 0 {
		return nil, nil, &RejectedError{Column: b.Table.Key, Err: errors.New("the key is null")}
	}
	offsets, err := columnAs[*array.Int64](b, b.Table.Offset)
	if err != nil {
		return nil, nil, err
	}
	version, _, err := timesOf(b, b.Table.Version)
	if err != nil {
		return nil, nil, err
	}
	deleted, isDeleted, err := timesOf(b, b.Table.Deleted)
	if err != nil {
		return nil, nil, err
	}
	for i := range keys.Len() {
		if isDeleted(i) {
			tombs = append(tombs, i)
		} else {
			docs = append(docs, i)
		}
	}
	pick := func(rows []int, version func(int) int64) []int {
		slices.SortFunc(rows, func(i, j int) int {
			return cmp.Or(strings.Compare(keys.Value(i), keys.Value(j)), -cmp.Compare(version(i), version(j)),
				-cmp.Compare(offsets.Value(i), offsets.Value(j)), cmp.Compare(i, j))
		})
		return slices.CompactFunc(rows, func(i, j int) bool { return keys.Value(i) == keys.Value(j) })
	}
	if b.Table.Version == "" {
		deleted = version
	}
	return pick(docs, version), pick(tombs, deleted), nil
}

// timesOf reads a column of times that the batch may lack; a null one comes before all.
func timesOf(b Batch, name string) (at func(int) int64, valid func(int) bool, err error) {
	if name == "" || !b.Rows.Schema().HasField(name) {
		return func(int) int64 { return math.MinInt64 }, func(int) bool { return false }, nil
	}
	a, err := columnAs[*array.Timestamp](b, name)
	if err != nil {
		return nil, nil, err
	}
	return func(i int) int64 {
		if a.IsNull(i) {
			return math.MinInt64
		}
		return int64(a.Value(i))
	}, a.IsValid, nil
}

// deletion is the columns of a held row that a tombstone sets: those of the deletion, and those that name the load which wrote
// the row last, for readers who ask what has changed since theirs.
func deletion(b Batch) []string {
	return append([]string{b.Table.Deleted, b.Table.DeletedOffset}, loadMarks(b)...)
}

// loadMarks is the columns of the batch that name a row's load. They are the same in all of its rows.
func loadMarks(b Batch) (marks []string) {
	for _, name := range []string{"_load_id", "_loaded_at"} {
		if b.Rows.Schema().HasField(name) {
			marks = append(marks, name)
		}
	}
	return marks
}

// refilled is the columns of the batch that a replay sets in a held row of the same version and offset.
func refilled(b Batch) (set []arrow.Field) {
	t := b.Table
	for _, f := range b.Rows.Schema().Fields() {
		if !slices.Contains([]string{t.Key, t.Version, t.Offset, t.Deleted, t.DeletedOffset}, f.Name) {
			set = append(set, f)
		}
	}
	return set
}

func columnAs[A arrow.Array](b Batch, name string) (A, error) {
	var none A
	at := b.Rows.Schema().FieldIndices(name)
	if len(at) != 1 {
		return none, fmt.Errorf("batch %s of %s has no column %q", b.ID, b.Table.Name, name)
	}
	a, ok := b.Rows.Column(at[0]).(A)
	if !ok {
		return none, fmt.Errorf("batch %s of %s: column %s is of type %s", b.ID, b.Table.Name, name, b.Rows.Column(at[0]).DataType())
	}
	return a, nil
}
