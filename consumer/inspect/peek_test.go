package inspect

import (
	"encoding/json"
	"testing"

	"tilestream/schemas"
)

// TestPeek shows the newest records of a topic, decoded.
func TestPeek(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "file://"+t.TempDir(), "tiledesk")
	w.fill()
	rs, err := schemas.ByName("leads")
	if err != nil {
		t.Fatal(err)
	}
	look := Config{Kafka: w.kafka}
	all, err := look.Peek(t.Context(), rs[0], 1000)
	if err != nil {
		t.Fatal(err)
	}
	some, err := look.Peek(t.Context(), rs[0], 3)
	if err != nil || len(some) != 3 || len(all) < 10 {
		t.Fatalf("got %d and %d records: %v", len(all), len(some), err)
	}
	rows, gone := 0, 0
	for i, p := range all {
		if i > 0 && p.Time.After(all[i-1].Time) {
			t.Errorf("record %d is newer than the one before", i)
		}
		var row map[string]any
		switch {
		case p.Deleted:
			gone++
		case p.Undecoded != "":
		case json.Unmarshal(p.Row, &row) != nil || row["_id"] != p.Key:
			t.Errorf("the row of %s is %s", p.Key, p.Row)
		default:
			rows++
		}
	}
	if rows == 0 || gone == 0 {
		t.Errorf("%d rows, %d tombstones", rows, gone)
	}
	if !some[0].Time.Equal(all[0].Time) {
		t.Errorf("the newest of 3 is of %s, of all of %s", some[0].Time, all[0].Time)
	}
}
