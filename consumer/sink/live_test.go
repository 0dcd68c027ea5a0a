package sink_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// TestLive runs the whole suite on the warehouse that WAREHOUSE_URL names, in datasets of its own that it drops again. It is for whoever
// has an account:
//
//	WAREHOUSE_URL=... go test ./consumer/sink -run Live -timeout 2h
func TestLive(t *testing.T) {
	url := os.Getenv("WAREHOUSE_URL")
	if url == "" {
		t.Skip("WAREHOUSE_URL is not set")
	}
	sinktest.Run(t, func(t testing.TB) sinktest.Destination { return scratch(t, url) })
}

// scratch is a dataset of the warehouse that is dropped when the test ends. It is read as verify reads.
func scratch(t testing.TB, url string) sinktest.Destination {
	dataset := "tilestream_test_" + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		if err := sink.Drop(t.Context(), url, dataset); err != nil {
			t.Errorf("drop dataset %s: %v", dataset, err)
		}
	})
	kind, _, _ := strings.Cut(url, ":")
	var refuses func(arrow.Field, any) bool
	switch kind {
	case "redshift":
		refuses = redshiftRefuses
	case "bigquery":
		refuses = bigQueryRefuses
	}
	return sinktest.Destination{
		Refuses:       refuses,
		Slow:          kind == "redshift" || kind == "bigquery" || strings.HasPrefix(kind, "iceberg+"),
		KeepsVersions: kind == "file" || kind == "s3" || kind == "gs" || kind == "azblob" || strings.HasPrefix(kind, "iceberg+"),
		Ahead:         kind == "databricks",
		Open: func(t testing.TB) sink.Sink {
			to, err := sink.Open(t.Context(), url, dataset)
			if err != nil {
				t.Fatal(err)
			}
			return to
		},
		Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readThrough(t, url, dataset, table) },
	}
}

// readThrough reads a table as verify does.
func readThrough(t testing.TB, url, dataset string, table sink.Table) (rows []sinktest.Row) {
	t.Helper()
	r, err := sink.OpenReader(t.Context(), url, dataset)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := r.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	columns, err := v.Columns(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[int]arrow.Field{}
	for _, f := range table.Schema.Fields() {
		if at := v.Find(columns, f.Name); at >= 0 {
			fields[at] = f
		}
	}
	for values, err := range v.Rows(t.Context(), table, columns) {
		if err != nil {
			t.Fatal(err)
		}
		row := sinktest.Row{}
		for at, f := range fields {
			if j, ok := values[at].(sink.JSON); ok {
				row[f.Name] = string(j)
			} else if values[at] != nil {
				row[f.Name] = values[at]
			}
		}
		rows = append(rows, row)
	}
	return rows
}
