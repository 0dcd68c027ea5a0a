package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// stock is a warehouse under test: where it is, and how to count what is in it.
type stock struct {
	name    string
	url     string // as the child gets it
	dataset string
	env     map[string]string          // what the child needs besides
	steps   []step                     // of a load, where there is somebody to ask
	open    func(t testing.TB) *sql.DB // to read; closed after each count, since DuckDB lets one process in. nil: as our own reader does
	rows    string                     // SQL of _id, _kafka_partition and _kafka_offset of all rows of table %s
	loads   string                     // SQL of the number of records that loads have brought into table %s
}

func duckDBStock(t testing.TB) *stock {
	file := filepath.Join(t.TempDir(), "matrix.duckdb")
	return &stock{
		name: "duckdb", url: "duckdb://" + file, dataset: "tiledesk",
		open:  func(t testing.TB) *sql.DB { return openDuckDB(t, file+"?access_mode=read_only").db },
		rows:  `SELECT _id, _kafka_partition, _kafka_offset FROM tiledesk."%s"`,
		loads: `SELECT coalesce(sum(rows), 0) FROM tiledesk._tilestream_loads WHERE table_name = '%s'`,
	}
}

// filesStock reads every version: files keep them all.
func filesStock(t testing.TB) *stock {
	dir := t.TempDir()
	files := filepath.Join(dir, "tiledesk", "%s", "*", "*.parquet")
	return &stock{
		name: "file", url: "file://" + dir, dataset: "tiledesk",
		open:  func(t testing.TB) *sql.DB { return openDuckDB(t, "").db },
		rows:  `SELECT _id, _kafka_partition, _kafka_offset FROM read_parquet('` + files + `', union_by_name = true, hive_partitioning = false)`,
		loads: `SELECT count(*) FROM read_parquet('` + files + `', union_by_name = true, hive_partitioning = false)`,
	}
}

// postgresStock is a schema of its own; the child comes through the proxy.
func postgresStock(t testing.TB, direct, proxied string) *stock {
	t.Helper()
	dataset := unique("matrix")
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = proxied
	t.Cleanup(func() {
		db, err := sql.Open("pgx", direct)
		if err == nil {
			_, err = db.Exec(fmt.Sprintf(`DROP SCHEMA IF EXISTS %q CASCADE`, dataset))
			_ = db.Close()
		}
		if err != nil {
			t.Errorf("drop the schema: %v", err)
		}
	})
	return &stock{
		name: "postgres", url: u.String(), dataset: dataset,
		open:  func(t testing.TB) *sql.DB { return openPostgres(t, direct, dataset).db },
		rows:  fmt.Sprintf(`SELECT _id, _kafka_partition, _kafka_offset FROM %q."%%s"`, dataset),
		loads: fmt.Sprintf(`SELECT coalesce(sum(rows), 0) FROM %q._tilestream_loads WHERE table_name = '%%s'`, dataset),
	}
}

// check holds the warehouse against the topics: every record was loaded exactly once, and what shows of each key is its
// newest record. It lists what is not so.
func (k *stock) check(ctx context.Context, t testing.TB, ts *topics) (lost, twice []string, err error) {
	var db *sql.DB
	if k.open != nil {
		db = k.open(t)
		defer db.Close()
	}
	for _, p := range ts.of {
		if p.records == 0 {
			continue
		}
		shown, again, loaded, err := k.read(ctx, db, p.resource.Name)
		if err != nil {
			return nil, nil, err
		}
		twice = append(twice, again...)
		for id, want := range p.newest {
			if got, ok := shown[id]; !ok || got != (place{want.partition, want.offset}) {
				lost = append(lost, fmt.Sprintf("%s %s is %v (there: %v), in the topic at %d/%d", p.resource.Name, id, got, ok, want.partition, want.offset))
			}
		}
		what := fmt.Sprintf("%s: %d records were loaded, %d are in the topic", p.resource.Name, loaded, p.records)
		if loaded < p.records {
			lost = append(lost, what)
		}
		if loaded > p.records {
			twice = append(twice, what)
		}
	}
	return lost, twice, nil
}

// place is where a record lies in its topic.
type place struct {
	partition int32
	offset    int64
}

// read returns where the newest row of each key came from, what is there twice, and how many records were loaded.
func (k *stock) read(ctx context.Context, db *sql.DB, table string) (shown map[string]place, twice []string, loaded int, err error) {
	if db == nil {
		return k.readOurs(ctx, table)
	}
	if err := db.QueryRowContext(ctx, fmt.Sprintf(k.loads, table)).Scan(&loaded); err != nil {
		return nil, nil, 0, err
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf(k.rows, table))
	if err != nil {
		return nil, nil, 0, err
	}
	defer rows.Close()
	shown = map[string]place{}
	seen := map[place]bool{}
	for rows.Next() {
		var id string
		var at place
		if err := rows.Scan(&id, &at.partition, &at.offset); err != nil {
			return nil, nil, 0, err
		}
		before, known := shown[id]
		if seen[at] || known && k.name != "file" {
			twice = append(twice, fmt.Sprintf("%s %s is there twice, from %d/%d", table, id, at.partition, at.offset))
		}
		seen[at] = true
		if !known || at.offset > before.offset {
			shown[id] = at
		}
	}
	return shown, twice, loaded, rows.Err()
}

// count is check, with what it finds as failures of the test.
func (k *stock) count(t testing.TB, ts *topics) (lost, twice int) {
	t.Helper()
	l, w, err := k.check(t.Context(), t, ts)
	if err != nil {
		t.Fatal(err)
	}
	report(t, k.name, "lost", l)
	report(t, k.name, "twice", w)
	return len(l), len(w)
}

// report fails the test where there is something to report, in a few lines.
func report(t testing.TB, where, what string, found []string) {
	t.Helper()
	if len(found) > 0 {
		t.Errorf("%s: %d %s, such as\n%s", where, len(found), what, strings.Join(found[:min(5, len(found))], "\n"))
	}
}
