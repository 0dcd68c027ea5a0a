//go:build cgo

package sink

import (
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// A column is shown as one row only where that loses nothing: not a null, not the sign of a zero.
func TestDuckDBSameInAllRows(t *testing.T) {
	texts := func(valid []bool, values ...string) *array.String {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		b.AppendValues(values, valid)
		return b.NewStringArray()
	}
	doubles := func(values ...float64) *array.Float64 {
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		b.AppendValues(values, nil)
		return b.NewFloat64Array()
	}
	shown := func(a arrow.Array) bool {
		rows := make([]int, a.Len())
		for i := range rows {
			rows[i] = i
		}
		c, err := newDuckColumn(0, "c", a, rows)
		if err != nil {
			t.Fatal(err)
		}
		return c.same
	}
	for _, c := range []struct {
		name string
		want bool
		got  bool
	}{
		{"one text", true, shown(texts(nil, "a", "a", "a"))},
		{"another at the end", false, shown(texts(nil, "a", "a", "b"))},
		{"nulls", true, shown(texts([]bool{false, false}, "a", "b"))},
		{"a null at the end", false, shown(texts([]bool{true, false}, "a", "a"))},
		{"a null at the start", false, shown(texts([]bool{false, true}, "a", "a"))},
		{"zeros", true, shown(doubles(0, 0))},
		{"zeros of both signs", false, shown(doubles(0, math.Copysign(0, -1)))},
	} {
		if c.got != c.want {
			t.Errorf("%s: same is %v, want %v", c.name, c.got, c.want)
		}
	}
}
