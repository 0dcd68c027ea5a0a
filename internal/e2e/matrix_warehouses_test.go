package e2e

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
)

// stock is a warehouse under test: where it is, and how to count what is in it.
type stock struct {
	name    string
	url     string // as the child gets it
	dataset string
	open    func(t testing.TB) *sql.DB // to read; closed after each count, since DuckDB lets one process in
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

// count holds the warehouse against the topics: every record was loaded exactly once, and what shows of each key is its
// newest record.
func (k *stock) count(t testing.TB, ts *topics) (lost, twice int) {
	t.Helper()
	db := k.open(t)
	defer db.Close()
	for _, p := range ts.of {
		if p.records == 0 {
			continue
		}
		type place struct {
			partition int32
			offset    int64
		}
		shown := map[string]place{}
		seen := map[place]bool{}
		rows, err := db.QueryContext(t.Context(), fmt.Sprintf(k.rows, p.resource.Name))
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id string
			var at place
			if err := rows.Scan(&id, &at.partition, &at.offset); err != nil {
				t.Fatal(err)
			}
			if _, known := shown[id]; seen[at] || known && k.name != "file" {
				twice++
				t.Errorf("%s: %s %s is there twice, from %d/%d", k.name, p.resource.Name, id, at.partition, at.offset)
			}
			seen[at] = true
			if at.offset >= shown[id].offset {
				shown[id] = at
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for id, want := range p.newest {
			if got, ok := shown[id]; !ok || got != (place{want.partition, want.offset}) {
				lost++
				t.Errorf("%s: %s %s is %v (there: %v), in the topic at %d/%d", k.name, p.resource.Name, id, got, ok, want.partition, want.offset)
			}
		}
		var loaded int
		if err := db.QueryRowContext(t.Context(), fmt.Sprintf(k.loads, p.resource.Name)).Scan(&loaded); err != nil {
			t.Fatal(err)
		}
		if loaded != p.records {
			t.Errorf("%s: %s: %d records were loaded, %d are in the topic", k.name, p.resource.Name, loaded, p.records)
			lost += max(0, p.records-loaded)
			twice += max(0, loaded-p.records)
		}
	}
	return lost, twice
}
