package sink_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

func openPostgres(t *testing.T, rawURL, schema string) sink.Sink {
	to := postgresIn(t, rawURL, schema).Open(t)
	t.Cleanup(func() { to.Close() })
	return to
}

// The server ends every connection of the sink, as a restart does.
func TestPostgresConnectsAgain(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	schema := newSchema(t, rawURL)
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("application_name", schema)
	u.RawQuery = q.Encode()
	d := postgresIn(t, u.String(), schema)
	to := d.Open(t)
	defer to.Close()
	things := sinktest.Table("things")
	if err := to.Prepare(t.Context(), things); err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		withPostgres(t, rawURL, func(ctx context.Context, c *pgx.Conn) {
			if _, err := c.Exec(ctx, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1`, schema); err != nil {
				t.Fatal(err)
			}
		})
		b := sink.Batch{ID: "load", Table: things, Ranges: []sink.Range{sinktest.Span(0, i, i+1)}, Rows: sinktest.Record(things.Schema, []sinktest.Row{{"_id": "a", "_kafka_offset": i}})}
		for tries := 1; ; tries++ { // each connection of the pool may have to fail once
			if _, err = to.Write(t.Context(), b); err == nil {
				break
			}
			if errors.Is(err, sink.ErrFenced) || tries > 6 {
				t.Fatalf("Write %d after the server went away: %v", tries, err)
			}
		}
	}
	if diff := sinktest.Diff(things, []sinktest.Row{{"_id": "a", "_kafka_offset": int64(2)}}, d.Read(t, things)); diff != "" {
		t.Error(diff)
	}
}

// A consumer that hangs inside its transaction holds the ledger's row: the next one waits, as long as its context lets
// it, and does not pass.
func TestPostgresWaitsForZombie(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	schema := newSchema(t, rawURL)
	to := openPostgres(t, rawURL, schema)
	first := sink.Batch{Ranges: []sink.Range{sinktest.Span(0, 0, 1)}}
	if _, err := to.Write(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	withPostgres(t, rawURL, func(ctx context.Context, c *pgx.Conn) {
		tx, err := c.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `UPDATE `+pgx.Identifier{schema, "_tilestream_ledger"}.Sanitize()+` SET next_offset = 2`); err != nil {
			t.Fatal(err)
		}
		second := sink.Batch{Ranges: []sink.Range{sinktest.Span(0, 1, 5)}}
		waiting, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := to.Write(waiting, second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write beside a zombie: %v, want to have waited", err)
		}
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(t.Context(), second); !errors.Is(err, sink.ErrFenced) {
			t.Errorf("Write after the zombie's commit: %v, want ErrFenced", err)
		}
	})
}

func TestPostgresNamesTheColumn(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	to := openPostgres(t, rawURL, newSchema(t, rawURL))
	things := sinktest.Table("things", sinktest.Column("it's: a, column", sinktest.String), sinktest.Column("doc", sinktest.JSON))
	if err := to.Prepare(t.Context(), things); err != nil {
		t.Fatal(err)
	}
	for column, value := range map[string]string{"it's: a, column": "a\x00b", "doc": `{"a":"\u0000"}`} {
		rows := []sinktest.Row{{"_id": "a", column: value, "_kafka_offset": int64(0)}}
		_, err := to.Write(t.Context(), sink.Batch{Table: things, Ranges: []sink.Range{sinktest.Span(0, 0, 1)}, Rows: sinktest.Record(things.Schema, rows)})
		var rejected *sink.RejectedError
		if !errors.As(err, &rejected) || rejected.Column != column {
			t.Errorf("%s = %q: %v, want it to be rejected by the column's name", column, value, err)
		}
	}
}

func TestPostgresTableOfOthers(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	schema := newSchema(t, rawURL)
	to := openPostgres(t, rawURL, schema)
	for _, c := range []struct{ columns, want string }{
		{`(_id text, updated_at timestamptz, _load_id text, _kafka_offset bigint)`, "without a primary key"},
		{`(_id text PRIMARY KEY, updated_at date)`, "column updated_at is date"},
	} {
		withPostgres(t, rawURL, func(ctx context.Context, c2 *pgx.Conn) {
			name := pgx.Identifier{schema, "things"}.Sanitize()
			if _, err := c2.Exec(ctx, `DROP TABLE IF EXISTS `+name+`; CREATE TABLE `+name+` `+c.columns); err != nil {
				t.Fatal(err)
			}
		})
		if err := to.Prepare(t.Context(), sinktest.Table("things")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Prepare of a table %s: %v, want %q", c.columns, err, c.want)
		}
	}
}

// Someone drops a column, or the table, under the sink: the write fails, and Prepare makes it again.
func TestPostgresPreparesAgain(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	schema := newSchema(t, rawURL)
	d := postgresIn(t, rawURL, schema)
	to := openPostgres(t, rawURL, schema)
	things := sinktest.Table("things", arrow.Field{Name: "text", Type: sinktest.String, Nullable: true, Metadata: arrow.MetadataFrom(map[string]string{"doc": "what the visitor's text is"})})
	row := sinktest.Row{"_id": "a", "text": "x", "_kafka_offset": int64(0)}
	b := sink.Batch{ID: "load", Table: things, Ranges: []sink.Range{sinktest.Span(0, 0, 1)}, Rows: sinktest.Record(things.Schema, []sinktest.Row{row})}
	for _, change := range []string{`DROP TABLE `, `ALTER TABLE ONLY `} {
		if err := to.Prepare(t.Context(), things); err != nil {
			t.Fatal(err)
		}
		name := pgx.Identifier{schema, "things"}.Sanitize()
		if strings.HasPrefix(change, "ALTER") {
			name += ` DROP COLUMN text`
		}
		withPostgres(t, rawURL, func(ctx context.Context, c *pgx.Conn) {
			if _, err := c.Exec(ctx, change+name); err != nil {
				t.Fatal(err)
			}
		})
		var rejected *sink.RejectedError
		if _, err := to.Write(t.Context(), b); err == nil || errors.As(err, &rejected) {
			t.Fatalf("Write after %s: %v", change, err)
		}
	}
	if err := to.Prepare(t.Context(), things); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if diff := sinktest.Diff(things, []sinktest.Row{row}, d.Read(t, things)); diff != "" {
		t.Error(diff)
	}
	withPostgres(t, rawURL, func(ctx context.Context, c *pgx.Conn) {
		var doc string
		if err := c.QueryRow(ctx, `SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = 'text'`,
			pgx.Identifier{schema, "things"}.Sanitize()).Scan(&doc); err != nil || doc != "what the visitor's text is" {
			t.Errorf("comment on the column: %q, %v", doc, err)
		}
	})
}

func TestPostgresPasswordStaysHidden(t *testing.T) {
	u, err := url.Parse(e2e.Service(t, "TEST_POSTGRES_URL"))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/no_such_database"
	u.User = url.UserPassword("nobody", "s3cret")
	for _, host := range []string{u.Host, "127.0.0.1:1"} {
		u.Host = host
		_, err := sink.Open(t.Context(), u.String(), "tiledesk")
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "nobody:****@") {
			t.Errorf("Open: %v", err)
		}
	}
}
