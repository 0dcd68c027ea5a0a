package sink_test

import (
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// wantLoads writes a batch, an empty one and a fenced one, and wants one line in _tilestream_loads.
func wantLoads(t *testing.T, d sinktest.Destination) {
	to := d.Open(t)
	defer to.Close()
	things := sinktest.Table("things", sinktest.Column("text", sinktest.String))
	if err := to.Prepare(t.Context(), things); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Millisecond)
	rows := []sinktest.Row{{"_id": "a", "_kafka_offset": int64(4)}, {"_id": "a", "_kafka_offset": int64(5)}, {"_id": "b", "_kafka_offset": int64(6)}}
	b := sink.Batch{ID: "load-1", Table: things, Ranges: []sink.Range{sinktest.Span(3, 0, 7), sinktest.Span(1, 0, 2)}, Rows: sinktest.Record(things.Schema, rows), Bytes: 321}
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), b); err == nil {
		t.Error("the batch was written twice")
	}
	if _, err := to.Write(t.Context(), sink.Batch{ID: "load-2", Table: things, Ranges: []sink.Range{sinktest.Span(3, 7, 9)}}); err != nil {
		t.Fatal(err)
	}
	loads := sink.Table{Name: "_tilestream_loads", Key: "load_id", Schema: arrow.NewSchema([]arrow.Field{
		sinktest.Column("load_id", sinktest.String), sinktest.Column("table_name", sinktest.String), sinktest.Column("rows", sinktest.Int64),
		sinktest.Column("inserted", sinktest.Int64), sinktest.Column("updated", sinktest.Int64), sinktest.Column("unchanged", sinktest.Int64),
		sinktest.Column("bytes", sinktest.Int64), sinktest.Column("ranges", sinktest.JSON),
		sinktest.Column("started_at", sinktest.Timestamp), sinktest.Column("finished_at", sinktest.Timestamp)}, nil)}
	got := d.Read(t, loads)
	for _, r := range got {
		started, finished := r["started_at"].(time.Time), r["finished_at"].(time.Time)
		// One clock may be the server's.
		if started.Before(before) || started.After(time.Now()) || finished.Before(started.Add(-time.Minute)) {
			t.Errorf("started %v, finished %v; the write began after %v", started, finished, before)
		}
		delete(r, "started_at")
		delete(r, "finished_at")
	}
	want := []sinktest.Row{{"load_id": "load-1", "table_name": "things", "rows": int64(3), "inserted": int64(2), "updated": int64(0), "unchanged": int64(1), "bytes": int64(321),
		"ranges": `[{"cluster":"test-cluster","group":"tilestream","topic":"tiledesk.things","partition":3,"from":0,"to":7},{"cluster":"test-cluster","group":"tilestream","topic":"tiledesk.things","partition":1,"from":0,"to":2}]`}}
	if diff := sinktest.Diff(loads, want, got); diff != "" {
		t.Errorf("_tilestream_loads differs (-want +got):\n%s", diff)
	}
}
