package load

import (
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"tilestream/schemas"
)

// A batch of tombstones alone names the columns that order its table, whether or not a schema is known.
func TestTombstonesAreOrdered(t *testing.T) {
	for _, r := range schemas.Resources {
		want := "updated_at"
		if r.Walk == schemas.WholeList {
			want = "_extracted_at"
		}
		w := newWarehouse()
		l, writer, ps := offline(Config{BatchAge: time.Second}, w)
		l.feed(t, ps[0], 7)
		b, _ := writer.t.take(time.Now(), true)
		b.parts[0].rows[0].time = 1_700_000_000_000
		layout := newLayout(r.Name, 0, nil)
		if got := layout.table; got.Version != want || got.Deleted != "_deleted_at" || got.DeletedOffset != "_deleted_offset" || !got.Schema.HasField(want) {
			t.Errorf("%s: versions by %q, deletions by %q and %q, of %v", r.Name, got.Version, got.Deleted, got.DeletedOffset, got.Schema)
		}
		rows, _, err := layout.rows(t.Context(), b, loadOf{"L", time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"_extracted_at", "_deleted_at"} {
			if got := column[*array.Timestamp](rows, name).Value(0); got != arrow.Timestamp(1_700_000_000_000) {
				t.Errorf("%s: %s is %d", r.Name, name, got)
			}
		}
		for _, name := range []string{"_kafka_offset", "_deleted_offset"} {
			if got := column[*array.Int64](rows, name).Value(0); got != 7 {
				t.Errorf("%s: %s is %d", r.Name, name, got)
			}
		}
		rows.Release()
	}
}
