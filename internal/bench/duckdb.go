//go:build cgo

package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"tilestream/internal/bench/messages"
)

// duckDB measures loads into a file, beside MERGE and INSERT of the same rows from tables in memory: nothing gets rows into a file faster.
func (b *bench) duckDB(context.Context) ([]trial, error) {
	load := func(ctx context.Context, file, mode string, held int) (cost, error) {
		url := b.fileURL("duckdb", file)
		c, err := b.load(ctx, url, "tiledesk", mode, func() (int, error) {
			n, err := rowsIn(ctx, url, "tiledesk")
			return n - held, err
		})
		if err == nil {
			c.disk, err = size(filepath.Join(b.dir, file))
		}
		return c, err
	}
	name := func() string { return fresh("warehouse") + ".duckdb" }
	raw := &rawDuckDB{b: b}
	b.close = append([]func() error{raw.close}, b.close...)
	upsert := func(ctx context.Context) (cost, error) {
		file := name()
		c, err := load(ctx, file, "", 0)
		if err == nil && raw.db == nil {
			err = raw.take(ctx, filepath.Join(b.dir, file))
		}
		return c, err
	}
	trials := []trial{
		{"duckdb, upsert", []string{"duckdb, raw upsert"}, upsert},
		{"duckdb, raw upsert", nil, func(ctx context.Context) (cost, error) { return raw.load(ctx, raw.upsert, 0) }},
		{"duckdb, append", []string{"duckdb, raw append"}, func(ctx context.Context) (cost, error) {
			return load(ctx, name(), "append", 0)
		}},
		{"duckdb, raw append", nil, func(ctx context.Context) (cost, error) { return raw.load(ctx, raw.append, 0) }},
	}
	if b.held > 0 {
		held := fmt.Sprintf("upsert into %d rows", b.held)
		trials = append(trials,
			trial{"duckdb, " + held, []string{"duckdb, raw " + held}, func(ctx context.Context) (cost, error) {
				file := name()
				if err := raw.fill(ctx, filepath.Join(b.dir, file), "tiledesk", b.held); err != nil {
					return cost{}, err
				}
				return load(ctx, file, "", b.held)
			}},
			trial{"duckdb, raw " + held, nil, func(ctx context.Context) (cost, error) { return raw.load(ctx, raw.upsert, b.held) }})
	}
	return trials, nil
}

func size(file string) (int64, error) {
	s, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return s.Size(), nil
}

// rawDuckDB has the rows of a file in memory, in batches.
type rawDuckDB struct {
	b       *bench
	db      *sql.DB
	columns []string
	batches []string
}

func (r *rawDuckDB) take(ctx context.Context, file string) (err error) {
	if r.db, err = sql.Open("duckdb", ""); err != nil {
		return err
	}
	r.db.SetMaxOpenConns(1) // memory belongs to a connection
	if err := r.do(ctx, fmt.Sprintf("ATTACH '%s' AS loaded (READ_ONLY)", file)); err != nil {
		return err
	}
	rows, err := r.db.QueryContext(ctx, "SELECT column_name FROM duckdb_columns() WHERE database_name = 'loaded' AND table_name = 'messages' ORDER BY column_index")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		r.columns = append(r.columns, `"`+name+`"`)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for at := 0; at < r.b.rows; at += batch {
		name := fmt.Sprint("batch_", at)
		if err := r.do(ctx, fmt.Sprintf("CREATE TABLE %s AS FROM loaded.tiledesk.messages ORDER BY _kafka_offset, _kafka_partition LIMIT %d OFFSET %d", name, batch, at)); err != nil {
			return err
		}
		r.batches = append(r.batches, name)
	}
	return r.do(ctx, "DETACH loaded")
}

func (r *rawDuckDB) do(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := r.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// fill makes a file whose table has so many other rows: short ones, whose keys are as long as any and in no order.
func (r *rawDuckDB) fill(ctx context.Context, file, schema string, rows int) error {
	return r.do(ctx, fmt.Sprintf("ATTACH '%s' AS raw", file), "CREATE SCHEMA IF NOT EXISTS raw."+schema,
		"CREATE TABLE raw."+schema+".messages AS FROM "+r.batches[0]+" LIMIT 0",
		fmt.Sprintf(`INSERT INTO raw.%s.messages (_id, text, updated_at, _kafka_partition, _kafka_offset)
			SELECT substr(md5(i::VARCHAR), 1, 24), 'short', now(), 0, i FROM range(%d) AS r(i)`, schema, rows),
		"DETACH raw")
}

// load writes the batches, a transaction for each, into a file that is new, or has so many other rows.
func (r *rawDuckDB) load(ctx context.Context, write func(batch string) string, held int) (c cost, err error) {
	file := filepath.Join(r.b.dir, fresh("raw")+".duckdb")
	if err := r.fill(ctx, file, "main", held); err != nil {
		return c, err
	}
	if err := r.do(ctx, fmt.Sprintf("ATTACH '%s' AS raw", file)); err != nil {
		return c, err
	}
	began, before := time.Now(), messages.CPU(os.Getpid())
	for _, b := range r.batches {
		if err := r.do(ctx, write(b)); err != nil {
			return c, err
		}
	}
	if err := r.do(ctx, "DETACH raw"); err != nil { // which writes what is in its log to its place, as the consumer's end does
		return c, err
	}
	c.rows, c.took, c.cpu = r.b.rows, time.Since(began), messages.CPU(os.Getpid())-before
	c.disk, err = size(file)
	return c, err
}

func (r *rawDuckDB) append(batch string) string { return "INSERT INTO raw.messages FROM " + batch }

func (r *rawDuckDB) upsert(batch string) string {
	var set []string
	for _, c := range r.columns {
		set = append(set, c+" = fresh."+c)
	}
	return fmt.Sprintf(`MERGE INTO raw.messages AS held USING %s AS fresh ON held._id = fresh._id
		WHEN MATCHED AND (held.updated_at, held._kafka_offset) < (fresh.updated_at, fresh._kafka_offset) THEN UPDATE SET %s
		WHEN NOT MATCHED THEN INSERT (%s) VALUES (fresh.%s)`, batch, strings.Join(set, ", "), strings.Join(r.columns, ", "), strings.Join(r.columns, ", fresh."))
}

func (r *rawDuckDB) close() error {
	if r.db == nil {
		return nil
	}
	return r.db.Close()
}
