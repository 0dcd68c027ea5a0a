//go:build cgo

package sink_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/ops"
)

func TestDuckDB(t *testing.T) {
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		return duckDBIn(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	})
}

func TestDuckDBLoads(t *testing.T) {
	wantLoads(t, duckDBIn(t, filepath.Join(t.TempDir(), "warehouse.duckdb")))
}

func TestDuckDBCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	child := func() *exec.Cmd { return streamForever(t, "duckdb://"+path, "Test set") }
	sinktest.Crash(t, duckDBIn(t, path), child, func() {
		_, err := sink.Open(t.Context(), "duckdb://"+path, "Test set")
		if err == nil || !strings.Contains(err.Error(), "another program has "+path+" open") {
			t.Errorf("Open while another process has it: %v", err)
		}
	})
}

// Other programs read the file while the sink is closed, and a build with other settings may open it.
func TestDuckDBSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	s, err := sink.Open(t.Context(), "duckdb://"+path+"?threads=1&checkpoint_threshold=1MB", "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	if _, err := sink.Open(t.Context(), "duckdb://"+path+"?no_such_setting=1", "tiledesk"); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("Open with a setting that is none: %v", err)
	}
	if _, err := sink.Open(t.Context(), "duckdb:///", "tiledesk"); err == nil || !strings.Contains(err.Error(), "it takes a path") {
		t.Errorf("Open without a path: %v", err)
	}
}

// A reader in this process, such as the console, keeps DuckDB's own handle alive while the sink closes and opens.
// A file named as its dataset has an error that says so, not DuckDB's of an ambiguous reference.
func TestDuckDBNamedAsDataset(t *testing.T) {
	for name, file := range map[string]string{"as it is": "tiledesk.duckdb", "case": "Tiledesk.db", "no ending": "tiledesk"} {
		t.Run(name, func(t *testing.T) {
			_, err := sink.Open(t.Context(), "duckdb://"+filepath.Join(t.TempDir(), file), "tiledesk")
			var usage *ops.UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), "WAREHOUSE_DATASET") {
				t.Errorf("error is %v, want a *ops.UsageError that says what to do", err)
			}
		})
	}
}

func TestDuckDBOpensBesideReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	d := duckDBIn(t, path)
	things := sinktest.Table("things", sinktest.Column("text", sinktest.String))
	var reader *sql.Conn
	for i := range int64(3) {
		to := d.Open(t)
		if err := to.Prepare(t.Context(), things); err != nil {
			t.Fatal(err)
		}
		b := sink.Batch{ID: "load", Table: things, Ranges: []sink.Range{sinktest.Span(0, i, i+1)}, Rows: sinktest.Record(things.Schema, []sinktest.Row{{"_id": "a", "_kafka_offset": i}})}
		if _, err := to.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if reader == nil {
			db, err := sql.Open("duckdb", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if reader, err = db.Conn(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
	}
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
	if err := db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?`, schema, table.Name).Scan(&exists); err != nil {
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
