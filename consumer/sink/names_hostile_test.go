//go:build cgo

package sink_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

// hostileNames are column names that SQL, a file or a URL may take for something else.
var hostileNames = []string{
	`"`, `""`, `'`, `;`, `--`, `/*`, `a"); DROP TABLE things; --`, `\`, `%s`, `$1`, ` `, "\n", "\t", "é", "😀", "a.b", "a b", "select", "user", "xmin", "ctid", "rowid", "%", "{", "\u202e", strings.Repeat("x", 62), strings.Repeat("x", 64), strings.Repeat("é", 40),
}

// TestHostileNames: such names are columns like others, in each destination that can be had here.
func TestHostileNames(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) sinktest.Destination{
		"duckdb": func(t *testing.T) sinktest.Destination {
			return duckDBIn(t, filepath.Join(t.TempDir(), "names.duckdb"))
		},
		"postgres": func(t *testing.T) sinktest.Destination {
			rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
			return postgresIn(t, rawURL, newSchema(t, rawURL))
		},
		"files": func(t *testing.T) sinktest.Destination { return filesIn(t) },
		"bigquery": func(t *testing.T) sinktest.Destination {
			return scratch(t, sink.StartBigQuery(t, e2e.Emulator(t, "TEST_BIGQUERY_URL")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			row := sinktest.Row{"_id": "a", "_kafka_offset": int64(0)}
			var columns []arrow.Field
			for _, n := range hostileNames {
				columns = append(columns, sinktest.Column(n, sinktest.String))
				row[n] = "value of " + n
			}
			table := sinktest.Table("things", columns...)
			d := open(t)
			to := d.Open(t)
			defer to.Close()
			if err := to.Prepare(t.Context(), table); err != nil {
				t.Fatal(err)
			}
			if _, err := to.Write(t.Context(), sink.Batch{ID: "1", Table: table, Ranges: []sink.Range{sinktest.Span(0, 0, 1)}, Rows: sinktest.Record(table.Schema, []sinktest.Row{row})}); err != nil {
				t.Fatal(err)
			}
			if name == "postgres" {
				return // names are cut there; pgName has its own test
			}
			if diff := sinktest.Diff(table, []sinktest.Row{row}, d.Read(t, table)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPostgresHostileValues: what the server refuses is a *RejectedError that names the column, and what else was in the
// batch is taken once that row is out of it.
func TestPostgresHostileValues(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	to := openPostgres(t, rawURL, newSchema(t, rawURL))
	defer to.Close()
	table := sinktest.Table("things", sinktest.Column("text", sinktest.String), sinktest.Column("doc", sinktest.JSON))
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	write := func(rows ...sinktest.Row) error {
		for i := range rows {
			rows[i]["_kafka_offset"] = next + int64(i)
		}
		_, err := to.Write(t.Context(), sink.Batch{ID: fmt.Sprint(next), Table: table, Ranges: []sink.Range{sinktest.Span(0, next, next+int64(len(rows)))}, Rows: sinktest.Record(table.Schema, rows)})
		if err == nil {
			next += int64(len(rows))
		}
		return err
	}
	for name, tt := range map[string]struct {
		bad    sinktest.Row
		column string
	}{
		"NUL":            {sinktest.Row{"_id": "bad", "text": "a\x00b"}, "text"},
		"NUL in JSON":    {sinktest.Row{"_id": "bad", "doc": `{"a":"\u0000"}`}, "doc"},
		"NUL in a key":   {sinktest.Row{"_id": "b\x00d"}, "_id"},
		"no UTF-8":       {sinktest.Row{"_id": "bad", "text": "\xff"}, "text"},
		"no JSON":        {sinktest.Row{"_id": "bad", "doc": `{`}, "doc"},
		"a huge number":  {sinktest.Row{"_id": "bad", "doc": `1e1000000`}, "doc"},
		"a half emoji":   {sinktest.Row{"_id": "bad", "doc": `"\ud83d"`}, "doc"},
		"too deep":       {sinktest.Row{"_id": "bad", "doc": strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)}, "doc"},
		"a key of 10 kB": {sinktest.Row{"_id": unlike(10_000)}, ""},
	} {
		good := func(id string) sinktest.Row { return sinktest.Row{"_id": name + id, "text": "x", "doc": `{}`} }
		err := write(good("1"), tt.bad, good("2"))
		var rejected *sink.RejectedError
		if !errors.As(err, &rejected) || rejected.Column != tt.column {
			t.Errorf("%s: %.500v, want it to be rejected with column %q", name, err, tt.column)
			continue
		}
		if err := write(good("1"), good("2")); err != nil {
			t.Errorf("%s: the others: %v", name, err)
		}
	}
}

// unlike is text that does not compress.
func unlike(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; {
		x = x*1664525 + 1013904223
		fmt.Fprintf(&b, "%08x", x)
	}
	return b.String()[:n]
}
