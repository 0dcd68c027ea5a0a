//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
)

var oneByOne sync.Mutex

// OpenTrial opens a staged warehouse that is here: DuckDB, which reads the stage from Parquet files. Its dialect is that of a
// warehouse with MERGE. Guarded, it commits each statement on its own, as one does that has no transactions.
func OpenTrial(ctx context.Context, path, dataset string, guarded bool) (Sink, error) {
	db, err := sql.Open("duckdb", path)
	if err != nil {
		return nil, err
	}
	d := *duckDialect
	d.first = ""
	d.parse, d.plain, d.json, d.iso = "CAST(%s AS JSON)", "CAST(%s AS VARCHAR)", "to_json(%s)", `strftime(%s AT TIME ZONE 'UTC', '%%Y-%%m-%%dT%%H:%%M:%%S.%%gZ')`
	s := &staged{dialect: &d, db: db, dataset: dataset, prepared: map[string]string{}, engine: engine{
		stage: func(ctx context.Context, _ *sql.Conn, name string, rows arrow.RecordBatch) (string, func(context.Context) error, error) {
			file := filepath.Join(filepath.Dir(path), name+".parquet")
			f, err := os.Create(file)
			if err != nil {
				return "", nil, err
			}
			defer f.Close()
			rows.Retain()
			if err := writeParquet(ctx, f, rows.Schema(), slices.Values([]arrow.RecordBatch{rows})); err != nil {
				return "", nil, err
			}
			return "read_parquet(" + duckLiteral(file) + ")", func(context.Context) error { return os.Remove(file) }, f.Close()
		},
		lock: func(dataset string) []string {
			return []string{"BEGIN", "UPDATE " + d.table(dataset, lockTable) + " SET turns = turns + 1"}
		},
		conflict: func(err error) bool { return strings.Contains(err.Error(), "onflict") },
	}}
	s.engine.merge = func(ctx context.Context, conn *sql.Conn, statement string) (stats Stats, err error) {
		if guarded { // one statement at a time changes a table
			oneByOne.Lock()
			defer oneByOne.Unlock()
		}
		rows, err := conn.QueryContext(ctx, statement+" RETURNING merge_action")
		if err != nil {
			return stats, err
		}
		defer rows.Close()
		for rows.Next() {
			var action string
			if err := rows.Scan(&action); err != nil {
				return stats, err
			}
			if action == "INSERT" {
				stats.Inserted++
			} else {
				stats.Updated++
			}
		}
		return stats, rows.Err()
	}
	if guarded {
		d.only = true
		s.raise, s.refused = "error(%s)", func(err error) bool { return !errors.Is(err, ErrCut) }
	}
	if err := s.setup(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// ErrCut is a reply that is lost.
var ErrCut = errors.New("the connection was cut")

// OnMerge puts a hook around each MERGE of a trial warehouse, in which run runs it.
func OnMerge(to Sink, hook func(statement string, run func() error) error) {
	s := to.(*staged)
	merge := s.engine.merge
	s.engine.merge = func(ctx context.Context, conn *sql.Conn, statement string) (stats Stats, err error) {
		err = hook(statement, func() error {
			stats, err = merge(ctx, conn, statement)
			return err
		})
		return stats, err
	}
}
