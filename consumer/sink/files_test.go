//go:build cgo

package sink_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	_ "github.com/duckdb/duckdb-go/v2"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

func TestFiles(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		dir := filepath.Join(t.TempDir(), "ware[h]ouse's")
		return sinktest.Destination{
			KeepsVersions: true,
			Open: func(t testing.TB) sink.Sink {
				to, err := sink.Open(t.Context(), "file://"+strings.ReplaceAll(filepath.ToSlash(dir), "%", "%25"), "tiledesk")
				if err != nil {
					t.Fatal(err)
				}
				return to
			},
			Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readFiles(t, dir, table) },
		}
	})
}

// readFiles reads a table's current state with DuckDB, by the documented query.
func readFiles(t testing.TB, dir string, table sink.Table) []sinktest.Row {
	t.Helper()
	text := sink.FilesQuery(dir, "tiledesk", table)
	var asText []string
	for _, f := range table.Schema.Fields() {
		if arrow.TypeEqual(f.Type, sinktest.JSON) { // the driver would decode it, and lose digits
			asText = append(asText, fmt.Sprintf(`CAST("%s" AS VARCHAR) AS "%[1]s"`, strings.ReplaceAll(f.Name, `"`, `""`)))
		}
	}
	if asText != nil {
		text = "SELECT * REPLACE (" + strings.Join(asText, ", ") + ") FROM (" + text + ")"
	}
	rows, err := query(t, text)
	if err != nil {
		if strings.Contains(err.Error(), "No files found") {
			return nil
		}
		t.Fatal(err)
	}
	return rows
}

func query(t testing.TB, text string) ([]sinktest.Row, error) {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	var out []sinktest.Row
	for rows.Next() {
		values := make([]any, len(types))
		into := make([]any, len(types))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := sinktest.Row{}
		for i, c := range types {
			row[c.Name()] = values[i]
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
