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

// newest returns the indexes of the batch's rows that are the newest of their key, in the order of the keys, so that
// writers lock rows in one order and indexes are filled from left to right. A row without a key is a *RejectedError.
func newest(b Batch) ([]int, error) {
	if b.Rows == nil || b.Rows.NumRows() == 0 {
		return nil, nil
	}
	keys, err := columnAs[*array.String](b, b.Table.Key)
	if err != nil {
		return nil, err
	}
	if keys.NullN() > 0 {
		return nil, &RejectedError{Column: b.Table.Key, Err: errors.New("the key is null")}
	}
	offsets, err := columnAs[*array.Int64](b, b.Table.Offset)
	if err != nil {
		return nil, err
	}
	version := func(int) int64 { return math.MinInt64 }
	if b.Rows.Schema().HasField(b.Table.Version) {
		versions, err := columnAs[*array.Timestamp](b, b.Table.Version)
		if err != nil {
			return nil, err
		}
		version = func(i int) int64 {
			if versions.IsNull(i) {
				return math.MinInt64
			}
			return int64(versions.Value(i))
		}
	}
	order := make([]int, keys.Len())
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(strings.Compare(keys.Value(i), keys.Value(j)), -cmp.Compare(version(i), version(j)),
			-cmp.Compare(offsets.Value(i), offsets.Value(j)), cmp.Compare(i, j))
	})
	return slices.CompactFunc(order, func(i, j int) bool { return keys.Value(i) == keys.Value(j) }), nil
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
