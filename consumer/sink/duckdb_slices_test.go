//go:build cgo

package sink

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// A batch of more bytes than DuckDB may hold is loaded in slices, as one load.
func TestDuckDBLargeBatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	to, err := Open(t.Context(), "duckdb://"+path, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	table := Table{Name: "notes", Key: "_id", Offset: "_kafka_offset", Schema: arrow.NewSchema([]arrow.Field{
		{Name: "_id", Type: arrow.BinaryTypes.String}, {Name: "_kafka_offset", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String},
	}, nil)}
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	const rows, size = 1000, 120_000
	b := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema)
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.StringBuilder).Append(strings.Repeat("k", i))
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		b.Field(2).(*array.StringBuilder).Append(strings.Repeat(string(rune('a'+i%26)), size))
	}
	batch := Batch{ID: "load", Table: table, Rows: b.NewRecordBatch(), Ranges: []Range{{Partition: Partition{Cluster: "c", Group: "g", Topic: "t"}, To: rows}}}
	defer batch.Rows.Release()
	got, err := to.Write(t.Context(), batch)
	if want := (Stats{Inserted: rows}); err != nil || got != want {
		t.Fatalf("Write: %+v, %v, want %+v", got, err, want)
	}
	batch.Ranges[0].From, batch.Ranges[0].To = rows, rows+1
	if got, err := to.Write(t.Context(), batch); err != nil || got != (Stats{Unchanged: rows}) {
		t.Errorf("the same again: %+v, %v, want all unchanged", got, err)
	}
}

func TestDuckDBSlices(t *testing.T) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for _, n := range []int{1, duckSlice / 2, duckSlice / 3, duckSlice * 2, 1, 1} {
		b.Append(strings.Repeat("x", n))
	}
	values := b.NewStringArray()
	defer values.Release()
	m := duckMerge{columns: []duckColumn{{values: values}}}
	var got []int
	for _, piece := range m.slices([]int{0, 1, 2, 3, 4, 5}) {
		got = append(got, len(piece))
	}
	if want := []int{3, 1, 2}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("slices of %d rows, want %d", got, want)
	}
}
