package sink_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

func TestPostgres(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	sinktest.Run(t, func(t testing.TB) sinktest.Destination { return postgresIn(t, rawURL, newSchema(t, rawURL)) })
}

func TestPostgresLoads(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	wantLoads(t, postgresIn(t, rawURL, newSchema(t, rawURL)))
}

func TestPostgresCrash(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_POSTGRES_URL")
	schema := newSchema(t, rawURL)
	sinktest.Crash(t, postgresIn(t, rawURL, schema), func() *exec.Cmd { return streamForever(t, rawURL, schema) }, nil)
}

// newSchema names a schema that is dropped when the test ends.
func newSchema(t testing.TB, rawURL string) string {
	schema := "Test " + strings.ToLower(rand.Text()[:10]) // the capital and the space must be quoted
	t.Cleanup(func() {
		withPostgres(t, rawURL, func(ctx context.Context, c *pgx.Conn) {
			if _, err := c.Exec(ctx, `DROP SCHEMA IF EXISTS "`+schema+`" CASCADE`); err != nil {
				t.Error(err)
			}
		})
	})
	return schema
}

func withPostgres(t testing.TB, rawURL string, do func(ctx context.Context, c *pgx.Conn)) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, rawURL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	do(ctx, c)
}

// modest is the URL for one of many tests that share a server.
func modest(t testing.TB, rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("pool_max_conns", "4")
	u.RawQuery = q.Encode()
	return u.String()
}

func postgresIn(t testing.TB, rawURL, schema string) sinktest.Destination {
	at := modest(t, rawURL)
	return sinktest.Destination{
		Open: func(t testing.TB) sink.Sink {
			s, err := sink.Open(t.Context(), at, schema)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Read: func(t testing.TB, table sink.Table) (out []sinktest.Row) {
			withPostgres(t, rawURL, func(ctx context.Context, c *pgx.Conn) { out = readPostgres(t, ctx, c, schema, table) })
			return out
		},
	}
}

func readPostgres(t testing.TB, ctx context.Context, c *pgx.Conn, schema string, table sink.Table) []sinktest.Row {
	full := pgx.Identifier{schema, sink.PGName(table.Name)}.Sanitize()
	var exists bool
	if err := c.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, full).Scan(&exists); err != nil {
		t.Fatal(err)
	}
	if !exists {
		return nil
	}
	names := map[string]string{} // in the server -> in the table's schema
	var list []string
	for _, f := range table.Schema.Fields() {
		quoted := pgx.Identifier{sink.PGName(f.Name)}.Sanitize()
		if arrow.TypeEqual(f.Type, sinktest.JSON) {
			quoted += "::text AS " + quoted
		}
		names[sink.PGName(f.Name)] = f.Name
		list = append(list, quoted)
	}
	rows, err := c.Query(ctx, `SELECT `+strings.Join(list, ", ")+` FROM `+full)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (sinktest.Row, error) {
		m, err := pgx.RowToMap(r)
		row := sinktest.Row{}
		for name, v := range m {
			row[names[name]] = v
		}
		return row, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func BenchmarkPostgres(b *testing.B) {
	rawURL := e2e.Service(b, "TEST_POSTGRES_URL")
	sinktest.BenchmarkWrite(b, func(t testing.TB) sinktest.Destination { return postgresIn(t, rawURL, newSchema(t, rawURL)) })
}
