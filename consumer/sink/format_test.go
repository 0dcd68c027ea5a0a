//go:build cgo

package sink_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
	"tilestream/internal/ops"
)

// systemColumns is what a dataset's system tables look like, as the engine tells it.
const systemColumns = `SELECT coalesce(string_agg(table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || coalesce(' default ' || column_default, ''), ', ' ORDER BY table_name, ordinal_position), '')
	FROM information_schema.columns WHERE table_schema = '@'`

// TestDatasetFormats opens datasets that were written down when format 1 was made, and others. Whoever changes a system table sees it here,
// raises datasetFormat, and keeps the older golden readable.
func TestDatasetFormats(t *testing.T) {
	refused := func(t *testing.T, err error) {
		t.Helper()
		var usage *ops.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "has format 2, and this version") || !strings.Contains(err.Error(), "WAREHOUSE_DATASET") {
			t.Errorf("a dataset of format 2: %v", err)
		}
	}
	for engine, start := range map[string]func(t *testing.T) (driver, dsn, url, dataset string){
		"duckdb": func(t *testing.T) (string, string, string, string) {
			path := filepath.Join(t.TempDir(), "w.duckdb")
			return "duckdb", path, "duckdb://" + path, "tiledesk"
		},
		"postgres": func(t *testing.T) (string, string, string, string) {
			url := e2e.Service(t, "TEST_POSTGRES_URL")
			dataset := "test_" + strings.ToLower(rand.Text()[:10])
			t.Cleanup(func() {
				withPostgres(t, url, func(ctx context.Context, c *pgx.Conn) {
					if _, err := c.Exec(ctx, `DROP SCHEMA IF EXISTS `+dataset+` CASCADE`); err != nil {
						t.Error(err)
					}
				})
			})
			return "pgx", url, modest(t, url), dataset
		},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", "formats", engine+".sql"))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ name, then string }{
			{"made by this version", ""},
			{"of format 1", string(text)},
			{"of before there were formats", string(text) + `DROP TABLE @._tilestream_format;`},
			{"killed before its format was there", string(text) + `DELETE FROM @._tilestream_format;`},
			{"newer", string(text) + `UPDATE @._tilestream_format SET version = 2;`},
		} {
			t.Run(engine+" "+c.name, func(t *testing.T) {
				driver, dsn, url, dataset := start(t)
				do := func(query string, to ...any) {
					t.Helper()
					db, err := sql.Open(driver, dsn)
					if err != nil {
						t.Fatal(err)
					}
					defer db.Close()
					query = strings.ReplaceAll(query, "@", dataset)
					if len(to) > 0 {
						err = db.QueryRowContext(t.Context(), query).Scan(to...)
					} else {
						_, err = db.ExecContext(t.Context(), query)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				var want, got string
				do(string(text))
				do(systemColumns, &want)
				do(`DROP SCHEMA @ CASCADE`)
				if c.then != "" {
					do(c.then)
				}
				to, err := sink.Open(t.Context(), url, dataset)
				if c.name == "newer" {
					refused(t, err)
					_, err := ledgerThrough(t, url, dataset)
					refused(t, err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer to.Close()
				next, err := to.Next(t.Context(), []sink.Partition{sinktest.Part(3)})
				if at := next[sinktest.Part(3)]; err != nil || c.then != "" && at != 7 {
					t.Errorf("Next: %d, %v, want 7", at, err)
				}
				span := sinktest.Span(3, next[sinktest.Part(3)], 9)
				things := sinktest.Table("things", sinktest.Column("text", sinktest.String))
				if err := to.Prepare(t.Context(), things); err != nil {
					t.Fatal(err)
				}
				b := sink.Batch{ID: "load-2", Table: things, Ranges: []sink.Range{span}, Rows: sinktest.Record(things.Schema, []sinktest.Row{{"_id": "a", "_kafka_offset": int64(8)}}), Bytes: 9}
				if _, err := to.Write(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				if err := to.Close(); err != nil {
					t.Fatal(err)
				}
				if at, err := ledgerThrough(t, url, dataset); err != nil || at[sinktest.Part(3)] != 9 {
					t.Errorf("Ledger: %v, %v, want 9", at, err)
				}
				if c.then == "" {
					do(`DROP TABLE @.things`)
					do(`DROP TABLE @._tilestream_schemas`)
					do(systemColumns, &got)
					if d := cmp.Diff(strings.Split(want, ", "), strings.Split(got, ", ")); d != "" {
						t.Errorf("the system tables are not what format 1 has (-want +got):\n%s", d)
					}
				}
			})
		}
	}
	t.Run("staged newer", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "w.duckdb")
		to, err := sink.OpenTrial(t.Context(), path, "tiledesk", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Statement(t.Context(), to, "UPDATE %s SET version = 2", "_tilestream_format"); err != nil {
			t.Fatal(err)
		}
		if err := to.Close(); err != nil {
			t.Fatal(err)
		}
		_, err = sink.OpenTrial(t.Context(), path, "tiledesk", false)
		refused(t, err)
	})
}

func ledgerThrough(t *testing.T, url, dataset string) (map[sink.Partition]int64, error) {
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
	return v.Ledger(t.Context())
}

// TestIcebergFormats reads the ledger of a table that says nothing of formats, and refuses that of a newer one.
func TestIcebergFormats(t *testing.T) {
	to, d, things := icebergThings(t)
	b, _ := icebergBatch(things, 0)
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	const golden = `[{"cluster":"test-cluster","group":"tilestream","topic":"tiledesk.things","next":{"0":1},"epoch":1}]`
	if format, ledger, err := sink.IcebergMarks(t.Context(), to, "things"); err != nil || format != "1" || ledger != golden {
		t.Errorf("a snapshot says format %q, ledger %s, %v; want 1 and %s", format, ledger, err, golden)
	}
	part := []sink.Partition{sinktest.Part(0)}
	for _, c := range []struct {
		format string
		want   string
	}{{"", ""}, {"2", "has format 2, and this version"}, {"two", "is damaged"}} {
		if err := sink.MarkIceberg(t.Context(), to, "things", c.format, golden); err != nil {
			t.Fatal(err)
		}
		again := d.Open(t)
		next, err := again.Next(t.Context(), part)
		if c.want == "" && (err != nil || next[part[0]] != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("format %q: %v, %v, want %q", c.format, next, err, c.want)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}
