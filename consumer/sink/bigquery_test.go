package sink_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

func TestBigQuery(t *testing.T) {
	at := sink.StartBigQuery(t, e2e.Emulator(t, "TEST_BIGQUERY_URL"))
	sinktest.Run(t, func(t testing.TB) sinktest.Destination { return scratch(t, at) })
}

// bigQueryDataset is the name of a dataset that goes with the test.
func bigQueryDataset(t testing.TB, url string) string {
	dataset := "tilestream_test_" + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		if err := sink.Drop(t.Context(), url, dataset); err != nil {
			t.Error(err)
		}
	})
	return dataset
}

// A table that somebody drops is missed, and made again by the next Prepare; a system table that is gone is said to be.
func TestBigQueryDropped(t *testing.T) {
	t.Parallel()
	at := sink.StartBigQuery(t, e2e.Emulator(t, "TEST_BIGQUERY_URL"))
	d := scratch(t, at)
	to := d.Open(t)
	defer to.Close()
	table := sinktest.Table("things", sinktest.Column("text", sinktest.String))
	row := sinktest.Row{"_id": "a", "text": "one", "_kafka_offset": int64(0)}
	b := sink.Batch{ID: "load", Table: table, Rows: sinktest.Record(table.Schema, []sinktest.Row{row}), Ranges: []sink.Range{sinktest.Span(0, 0, 1)}}
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if err := sink.Statement(t.Context(), to, "DROP TABLE %s", "things"); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), b); err == nil || !strings.Contains(err.Error(), "there is no table") {
		t.Errorf("Write into a table that was dropped: %v", err)
	}
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if diff := sinktest.Diff(table, []sinktest.Row{row}, d.Read(t, table)); diff != "" {
		t.Error(diff)
	}
	if err := sink.Statement(t.Context(), to, "DROP TABLE %s", "_tilestream_ledger"); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Next(t.Context(), []sink.Partition{sinktest.Part(0)}); err == nil || !strings.Contains(err.Error(), "one of Tilestream's own tables was dropped") {
		t.Errorf("Next without a ledger: %v", err)
	}
}

// TestBigQueryLarge uploads a batch in more than one request, as the client does beyond 16 MiB.
func TestBigQueryLarge(t *testing.T) {
	t.Parallel()
	d := scratch(t, sink.StartBigQuery(t, e2e.Emulator(t, "TEST_BIGQUERY_URL")))
	to := d.Open(t)
	defer to.Close()
	table := sinktest.Table("things", sinktest.Column("text", sinktest.String))
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	var rows []sinktest.Row
	for i := range 40 {
		text := make([]byte, 1<<19)
		_, _ = rand.Read(text) // never fails
		rows = append(rows, sinktest.Row{"_id": fmt.Sprint(i), "text": hex.EncodeToString(text), "_kafka_offset": int64(i)})
	}
	b := sink.Batch{ID: "load", Table: table, Rows: sinktest.Record(table.Schema, rows), Ranges: []sink.Range{sinktest.Span(0, 0, 40)}}
	if stats, err := to.Write(t.Context(), b); err != nil || stats.Inserted != 40 {
		t.Fatal(stats, err)
	}
	if diff := sinktest.Diff(table, rows, d.Read(t, table)); diff != "" {
		t.Errorf("rows differ: %.500s", diff)
	}
}

// bigQueryRefuses is what docs/bigquery.md says of values.
func bigQueryRefuses(f arrow.Field, value any) bool {
	text, ok := value.(string)
	return ok && arrow.TypeEqual(f.Type, sinktest.JSON) && (strings.Contains(text, "1e400") || strings.Contains(text, ".123456789}"))
}
