//go:build cgo

package sink_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	_ "github.com/duckdb/duckdb-go/v2"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

func TestFiles(t *testing.T) { sinktest.Run(t, filesIn) }

func BenchmarkFiles(b *testing.B) { sinktest.BenchmarkWrite(b, filesIn) }

func filesIn(t testing.TB) sinktest.Destination {
	dir := filepath.Join(t.TempDir(), "ware[h]ouse's")
	return sinktest.Destination{
		KeepsVersions: true,
		Open: func(t testing.TB) sink.Sink {
			to, err := sink.Open(t.Context(), "file://"+filepath.ToSlash(dir), "tiledesk")
			if err != nil {
				t.Fatal(err)
			}
			return to
		},
		Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readFiles(t, dir, table) },
	}
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

// TestFilesAsDocumented runs the queries of DESIGN.md, and looks at the files with a reader that is not their writer.
func TestFilesAsDocumented(t *testing.T) {
	dir := t.TempDir()
	to, err := sink.Open(t.Context(), "file://"+filepath.ToSlash(dir), "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	table := sinktest.Table("things", sinktest.Column("n", sinktest.Int64), sinktest.Column("i", sinktest.Int32), sinktest.Column("f", sinktest.Float64),
		sinktest.Column("b", sinktest.Boolean), sinktest.Column("doc", sinktest.JSON), sinktest.Column("_extracted_at", sinktest.Timestamp))
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	const rows = 130_000 // more than one row group
	first := make([]sinktest.Row, rows)
	for i := range first {
		first[i] = sinktest.Row{"_id": fmt.Sprint(i), "n": int64(i), "doc": `{"a": 1}`, "_kafka_offset": int64(i), "_extracted_at": time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)}
	}
	second := []sinktest.Row{{"_id": "7", "n": int64(-7), "_kafka_offset": int64(rows), "_extracted_at": time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)}}
	for i, b := range []sink.Batch{
		{ID: "one", Table: table, Ranges: []sink.Range{sinktest.Span(0, 0, rows)}, Rows: sinktest.Record(table.Schema, first), Bytes: 1000},
		{ID: "two", Table: table, Ranges: []sink.Range{sinktest.Span(0, rows, rows+1)}, Rows: sinktest.Record(table.Schema, second), Bytes: 10},
	} {
		if _, err := to.Write(t.Context(), b); err != nil {
			t.Fatal(i, err)
		}
	}
	for _, c := range []struct{ query, want string }{
		{"SELECT count(*), sum(n) FROM (" + sink.FilesQuery(dir, "tiledesk", table) + ")", fmt.Sprint(rows, " ", rows*(rows-1)/2-14)},
		{"SELECT column_name, column_type FROM (DESCRIBE " + sink.FilesQuery(dir, "tiledesk", table) + ")", "_id VARCHAR, n BIGINT, i INTEGER, f DOUBLE, b BOOLEAN, doc JSON, " +
			"_extracted_at TIMESTAMP WITH TIME ZONE, updated_at TIMESTAMP WITH TIME ZONE, _load_id VARCHAR, _kafka_offset BIGINT"},
		{"SELECT load_id, \"table\", rows, bytes, len(files) FROM read_json('DIR/tiledesk/_tilestream_loads/*/*/*/*/*.json') ORDER BY seq", "one things 130000 1000 1, two things 1 10 1"},
		{"SELECT count(*) FROM read_parquet('DIR/tiledesk/things/*/*.parquet', hive_partitioning = true) WHERE extracted_date = DATE '2026-05-05'", "1"},
		{"SELECT typeof(extracted_date) FROM read_parquet('DIR/tiledesk/things/*/*.parquet', hive_partitioning = true) LIMIT 1", "DATE"},
		{"SELECT row_group_num_rows FROM parquet_metadata('DIR/tiledesk/things/extracted_date=2026-05-04/*') WHERE path_in_schema = '_id' AND compression = 'ZSTD' ORDER BY row_group_id", "122880, 7120"},
		{"SELECT DISTINCT repetition_type FROM parquet_schema('DIR/tiledesk/things/*/*') WHERE type IS NOT NULL", "OPTIONAL"},
		{"SELECT decode(key), decode(value) FROM parquet_kv_metadata('DIR/tiledesk/things/extracted_date=2026-05-05/*') ORDER BY ALL", "tilestream.group tilestream, tilestream.load_id two, " +
			`tilestream.ranges [{"partition":0,"from":130000,"to":130001}], tilestream.table things, tilestream.topic tiledesk.things`},
	} {
		if got := fields(t, strings.ReplaceAll(c.query, "DIR", dir)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.query, got, c.want)
		}
	}
}

// fields is the rows of a query, a comma between them and a space between their values.
func fields(t *testing.T, text string) string {
	t.Helper()
	db := openDB(t)
	rows, err := db.Query(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	var out []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	return strings.Join(out, ", ")
}

// TestFilesSaysWhatChanged reads what has changed in a table's schema, by the documented query.
func TestFilesSaysWhatChanged(t *testing.T) {
	dir := t.TempDir()
	to, err := sink.Open(t.Context(), "file://"+filepath.ToSlash(dir), "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	narrow, wide := sinktest.Table("things", sinktest.Column("n", sinktest.Int32)), sinktest.Table("things", sinktest.Column("n", sinktest.Float64), sinktest.Column("mood", sinktest.String))
	narrow.SchemaID, wide.SchemaID = 7, 8
	for _, table := range []sink.Table{narrow, wide, narrow} {
		if err := to.Prepare(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT string_agg(decode(value), ' | ' ORDER BY decode(key)) AS said
		FROM parquet_kv_metadata('`+dir+`/tiledesk/things/*/schema-*.parquet') WHERE decode(key) IN ('tilestream.schema_id', 'tilestream.change') GROUP BY file_name ORDER BY said`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var said string
		if err := rows.Scan(&said); err != nil {
			t.Fatal(err)
		}
		got = append(got, said)
	}
	want := []string{"create table things, 5 columns | 7", "widen column n from INTEGER to DOUBLE\nadd column mood, VARCHAR | 8"}
	if !slices.Equal(got, want) || rows.Err() != nil {
		t.Errorf("%q, %v, want %q", got, rows.Err(), want)
	}
}
