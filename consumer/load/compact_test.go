package load

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// TestCompactCommand compacts what a consumer would have loaded, and says so.
func TestCompactCommand(t *testing.T) {
	url := "file://" + t.TempDir()
	to, err := sink.Open(t.Context(), url, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	l := newLayout("tags", 0, nil)
	for i := range int64(3) {
		p := sink.Partition{Cluster: "c", Group: "g", Topic: "t.tags"}
		tombstone := row{offset: i, time: 1000 * i, key: []byte("a")}
		rows, _, err := l.rows(t.Context(), &batch{rows: 1, parts: []*part{{partition: &partition{Partition: p}, rows: []row{tombstone}}}}, loadOf{"load", time.UnixMilli(i)})
		if err != nil {
			t.Fatal(err)
		}
		b := sink.Batch{ID: "load", Table: l.table, Rows: rows, Ranges: []sink.Range{{Partition: p, From: i, To: i + 1}}}
		if err := to.Prepare(t.Context(), l.table); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	c, err := sink.OpenCompactor(t.Context(), url, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, run := range []struct {
		how  sink.Compaction
		want string
	}{
		{sink.Compaction{Memory: 1 << 20, DryRun: true, Grace: time.Hour}, "tags 3 → 1 0.0 → 0.0 3 → 1 2 0 0 nothing was changed"},
		{sink.Compaction{Memory: 1 << 20, Grace: time.Hour}, "tags 3 → 1 0.0 → 0.0 3 → 1 2 0 3"},
		{sink.Compaction{Memory: 1 << 20}, "tags 1 → 1 0.0 → 0.0 1 → 1 0 3 0"},
	} {
		var out bytes.Buffer
		if err := compactAll(t.Context(), ops.Options{Stdout: &out}, c, schemas.Resources, nil, run.how); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); !strings.HasPrefix(got, "table files MiB rows dropped removed waiting "+run.want) {
			t.Errorf("%+v says %q, want %q", run.how, got, run.want)
		}
	}
}
