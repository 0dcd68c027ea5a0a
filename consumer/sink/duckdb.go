//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

const noDuckDB = "" // this build has it

// duckDB loads into a DuckDB file. A Write is one transaction that merges straight from Arrow columns, which a table
// function shows to DuckDB, and moves the ledger. Tables have no index: the keys stay unique because every Write merges,
// one after the other.
type duckDB struct {
	file     *duckFile
	schema   string
	mu       sync.Mutex
	prepared map[string]string // table name -> what Prepare made it fit
	close    func() error
}

func openDuckDB(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	path, err := localPath(u)
	if err != nil {
		return nil, err
	}
	file, release, err := openDuckFile(path, u.RawQuery)
	if err != nil {
		return nil, err
	}
	d := &duckDB{file: file, schema: dataset, prepared: map[string]string{}, close: sync.OnceValue(release)}
	if err := file.write(ctx, d.setup); err != nil {
		return nil, errors.Join(fmt.Errorf("create the system tables: %w", err), d.Close())
	}
	return d, nil
}

func (d *duckDB) Close() error { return d.close() }

func (d *duckDB) Next(ctx context.Context, ps []Partition) (next map[Partition]int64, err error) {
	err = d.file.read(ctx, func(ctx context.Context, tx *sql.Tx) error {
		next, err = d.next(ctx, tx, ps)
		return err
	})
	return next, err
}

func (d *duckDB) next(ctx context.Context, tx *sql.Tx, ps []Partition) (map[Partition]int64, error) {
	next := make(map[Partition]int64, len(ps))
	if len(ps) == 0 {
		return next, nil
	}
	q, err := tx.PrepareContext(ctx, `SELECT next_offset FROM `+d.table(ledgerTable)+` WHERE (cluster, consumer_group, topic, "partition") = (?, ?, ?, ?)`)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer q.Close()
	for _, p := range ps {
		var n int64
		if err := q.QueryRowContext(ctx, p.Cluster, p.Group, p.Topic, p.ID).Scan(&n); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		next[p] = n
	}
	return next, nil
}

func (d *duckDB) Write(ctx context.Context, b Batch) (Stats, error) {
	started := time.Now()
	docs, tombs, err := picked(b)
	if err != nil {
		return Stats{}, err
	}
	var stats Stats
	err = d.file.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		next, err := d.next(ctx, tx, partitions(b.Ranges))
		if err != nil {
			return err
		}
		if err := fenced(b.Ranges, next); err != nil {
			return err
		}
		if len(docs)+len(tombs) > 0 {
			if stats, err = d.merge(ctx, tx, b, docs, tombs); err != nil {
				return err
			}
		}
		return d.account(ctx, tx, b, stats, started)
	})
	if err != nil {
		if errors.Is(err, ErrFenced) {
			return Stats{}, err
		}
		d.forget(b.Table.Name)
		return Stats{}, fmt.Errorf("write %s: %w", b.Table.Name, err)
	}
	return stats, nil
}

// account moves the ledger and writes the line of the load.
func (d *duckDB) account(ctx context.Context, tx *sql.Tx, b Batch, stats Stats, started time.Time) error {
	for _, r := range b.Ranges {
		if _, err := tx.ExecContext(ctx, `INSERT INTO `+d.table(ledgerTable)+` VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET next_offset = EXCLUDED.next_offset, updated_at = EXCLUDED.updated_at`,
			r.Cluster, r.Group, r.Topic, r.ID, r.To, time.Now()); err != nil {
			return fmt.Errorf("move the ledger: %w", err)
		}
	}
	if b.Rows == nil {
		return nil
	}
	ranges, err := json.Marshal(rangesJSON(b.Ranges))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO `+d.table(loadsTable)+` VALUES (?, ?, ?, ?, ?, ?, ?, ?::JSON, ?, ?)`,
		b.ID, b.Table.Name, b.Rows.NumRows(), stats.Inserted, stats.Updated, stats.Unchanged, b.Bytes, string(ranges), started, time.Now())
	return err
}

// forget makes the next Prepare look at the table again.
func (d *duckDB) forget(table string) {
	d.mu.Lock()
	delete(d.prepared, table)
	d.mu.Unlock()
}

// table is the quoted name of a table in the dataset.
func (d *duckDB) table(name string) string { return duckQuote(d.schema) + "." + duckQuote(name) }

// sourceColumn finds the column of the table function in DuckDB's words about a cast.
var sourceColumn = regexp.MustCompile(`source column c(\d+)`)

// duckRejects makes a *RejectedError of an error that is about the values.
func duckRejects(err error, columns []duckColumn) error {
	var e *duckdb.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Type {
	case duckdb.ErrorTypeConversion, duckdb.ErrorTypeOutOfRange, duckdb.ErrorTypeInvalidInput, duckdb.ErrorTypeConstraint:
	default:
		return err
	}
	rejected := &RejectedError{}
	if m := sourceColumn.FindStringSubmatch(e.Msg); m != nil {
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(columns) {
			rejected.Column = columns[i].name
		}
	}
	// What follows is the value, which may be long and is nobody's business in a log, and the statement.
	msg, _, _ := strings.Cut(e.Msg, "\n")
	msg, _, _ = strings.Cut(msg, "  Input: ")
	if len(msg) > 300 {
		msg = strings.ToValidUTF8(msg[:300], "") + "..."
	}
	rejected.Err = &duckdb.Error{Type: e.Type, Msg: msg}
	return rejected
}
