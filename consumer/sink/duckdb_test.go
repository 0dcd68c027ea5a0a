//go:build cgo

package sink_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

func TestDuckDB(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		return duckDBIn(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	})
}

func duckDBIn(t testing.TB, path string) sinktest.Destination {
	return sinktest.Destination{
		Open: func(t testing.TB) sink.Sink {
			s, err := sink.Open(t.Context(), "duckdb://"+path, "Test set")
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readDuckDB(t, path, "Test set", table) },
	}
}

func readDuckDB(t testing.TB, path, schema string, table sink.Table) []sinktest.Row {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?`, schema, table.Name).Scan(&exists); err != nil {
		t.Fatal(err)
	}
	if !exists {
		return nil
	}
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	var list []string
	for _, f := range table.Schema.Fields() {
		name := quote(f.Name)
		if f.Type == sinktest.JSON {
			name += "::VARCHAR" // the driver would decode it
		}
		list = append(list, name)
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM %s.%s`, strings.Join(list, ", "), quote(schema), quote(table.Name)))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []sinktest.Row
	for rows.Next() {
		values := make([]any, len(list))
		into := make([]any, len(list))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := sinktest.Row{}
		for i, f := range table.Schema.Fields() {
			row[f.Name] = values[i]
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func BenchmarkDuckDB(b *testing.B) {
	sinktest.BenchmarkWrite(b, func(t testing.TB) sinktest.Destination {
		return duckDBIn(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	})
}
