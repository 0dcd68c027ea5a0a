//go:build cgo

package sink_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
	"tilestream/internal/ops"
)

// What a user may ask of a warehouse that is being loaded, and what not.
func TestQuery(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (url, dataset string){
		"duckdb": func(t *testing.T) (string, string) {
			return "duckdb://" + filepath.Join(t.TempDir(), "w.duckdb"), "tiledesk"
		},
		"postgres": func(t *testing.T) (string, string) {
			url := e2e.Service(t, "TEST_POSTGRES_URL")
			return url, newSchema(t, url)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dataset := open(t)
			to, err := sink.Open(t.Context(), url, dataset)
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			if err := to.Prepare(t.Context(), readTable); err != nil {
				t.Fatal(err)
			}
			p := sink.Partition{Cluster: "c", Group: "g", Topic: "t.things"}
			if _, err := to.Next(t.Context(), []sink.Partition{p}); err != nil {
				t.Fatal(err)
			}
			rows := sinktest.Record(readTable.Schema, []sinktest.Row{
				{"_id": "a", "n": int64(1), "updated_at": time.Now(), "_kafka_offset": int64(0)},
				{"_id": "b", "n": int64(2), "t": "<script>", "updated_at": time.Now(), "_kafka_offset": int64(1)},
			})
			defer rows.Release()
			if _, err := to.Write(t.Context(), sink.Batch{ID: "L1", Table: readTable, Ranges: []sink.Range{{Partition: p, From: 0, To: 2}}, Rows: rows}); err != nil {
				t.Fatal(err)
			}
			r, err := sink.OpenReader(t.Context(), url, dataset)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			ask := func(ctx context.Context, question string, most int) (*sink.Answer, error) {
				v, err := r.View(ctx)
				if err != nil {
					t.Fatal(err)
				}
				a, err := v.Query(ctx, question, most)
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
				return a, err
			}
			things := fmt.Sprintf("%q.things", dataset)
			for question, want := range map[string]*sink.Answer{
				"SELECT _id, n, t FROM " + things + " ORDER BY n":                                           {Columns: []string{"_id", "n", "t"}, Rows: [][]any{{"a", int64(1), nil}, {"b", int64(2), "<script>"}}},
				" WITH x AS (SELECT n FROM " + things + ") SELECT n FROM x ORDER BY n DESC -- of both\n;":   {Columns: []string{"n"}, Rows: [][]any{{int64(2)}, {int64(1)}}},
				"SELECT n FROM " + things + " WHERE n < 0":                                                  {Columns: []string{"n"}},
				"SELECT count(*) AS n FROM " + things + " WHERE random() >= 0 AND pg_typeof(n) IS NOT NULL": {Columns: []string{"n"}, Rows: [][]any{{int64(2)}}},
			} {
				if got, err := ask(t.Context(), question, 10); err != nil || !cmp.Equal(got, want) {
					t.Errorf("%s: %v\n%s", question, err, cmp.Diff(want, got))
				}
			}
			if got, err := ask(t.Context(), "SELECT n FROM "+things, 1); err != nil || len(got.Rows) != 1 || !got.More {
				t.Errorf("one of two rows: %v, %v", got, err)
			}
			elsewhere := filepath.Join(t.TempDir(), "elsewhere.csv")
			for _, question := range []string{
				"", ";", "nonsense", "SELECT * FROM nothing",
				"DELETE FROM " + things, "DROP TABLE " + things, "CREATE TABLE other AS SELECT 1", "INSERT INTO " + things + " (_id) VALUES ('c')",
				"WITH gone AS (DELETE FROM " + things + " RETURNING n) SELECT * FROM gone",
				"SELECT 1; DROP TABLE " + things, "SELECT 1) AS a; DROP TABLE " + things + "; SELECT * FROM (SELECT 2", "COMMIT", "SET search_path = x", "BEGIN",
				"COPY (SELECT 1) TO '" + elsewhere + "'", "COPY (SELECT 1) TO PROGRAM 'touch " + elsewhere + "'",
				"ATTACH '" + elsewhere + "' AS other", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM read_csv('/etc/passwd')", "FROM glob('/etc/*')", "LOAD httpfs",
				"SELECT nextval('" + dataset + ".s')",
				// What both engines, or one of them, know; the other one refuses the name.
				"SELECT pg_read_file('/etc/passwd')", `SELECT "pg_read_file" /* x */ ('/etc/passwd')`, "SELECT PG_READ_BINARY_FILE('/etc/passwd')", "SELECT * FROM pg_ls_dir('/')", "SELECT pg_sleep(60)",
				`SELECT U&"pg\005fread\005ffile"('/etc/passwd')`, "SELECT * FROM pg_authid", "SELECT * FROM pg_catalog.pg_shadow", "SELECT * FROM pg_settings", "SELECT query FROM pg_stat_activity", "SELECT * FROM pg_user_mappings",
				"SELECT * FROM information_schema.user_mapping_options", "SELECT current_setting('data_directory')", "SELECT set_config('role', 'postgres', false)", "SHOW data_directory",
				"SELECT query_to_xml('SELECT pg_read_' || 'file(''/etc/passwd'')', true, true, '')", "SELECT * FROM ts_stat('SELECT 1')", "SELECT lo_import('/etc/passwd')", "SELECT lo_export/**/(1, '" + elsewhere + "')",
				"SELECT * FROM dblink('host=localhost', 'SELECT 1') AS t(a int)", "SELECT dblink_exec('host=localhost', 'SELECT 1')", "SELECT pg_terminate_backend(1)", "SELECT pg_notify('a', 'b')", "SELECT pg_advisory_lock(1)",
				"SELECT getenv('HOME')", "SELECT * FROM duckdb_secrets()", "SELECT * FROM duckdb_settings()", "FROM duckdb_databases", "SELECT * FROM pragma_database_list", "SELECT getvariable('x')",
				"SELECT * FROM query('SELECT 1')", "SELECT * FROM query\u00a0('SELECT 1')", "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))", "SELECT * FROM query_table('" + dataset + ".things')", "SELECT * FROM which_secret('s3://x', 's3')",
				"SELECT * FROM enable_logging()", "SELECT write_log('x')", "SELECT * FROM force_checkpoint()", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_blob('/etc/passwd')", "SELECT * FROM sniff_csv('/etc/passwd')",
				"INSTALL httpfs", "PRAGMA database_list", "CALL pragma_version()", "EXPORT DATABASE '" + elsewhere + "'", "SUMMARIZE", "SELECT * FROM 'https://example.com/x.parquet'",
			} {
				var usage *ops.UsageError
				if got, err := ask(t.Context(), question, 10); !errors.As(err, &usage) {
					t.Errorf("%q: got %v, %v, want a refusal", question, got, err)
				}
			}
			if _, err := os.Stat(elsewhere); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a question has written %s (%v)", elsewhere, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, err := ask(ctx, "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM x WHERE n < 100000000) SELECT sum(n) FROM x", 1); err == nil || !strings.Contains(err.Error(), "too long") {
				t.Errorf("a long question: %v", err)
			}
			if got, err := ask(t.Context(), "SELECT count(*) FROM "+things, 1); err != nil || got.Rows[0][0] != int64(2) {
				t.Errorf("after all that: %v, %v", got, err)
			}
		})
	}
}
