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
)

// duckDB measures loads into a file, beside MERGE and INSERT of the same rows from tables in memory: nothing gets rows into a file faster.
func (b *bench) duckDB(context.Context) ([]trial, error) {
	load := func(ctx context.Context, mode string) (string, cost, error) {
		file := fresh("warehouse") + ".duckdb"
		url := b.fileURL("duckdb", file)
		file = filepath.Join(b.dir, file)
		c, err := b.load(ctx, url, "tiledesk", mode, func() (int, error) { return rowsIn(ctx, url, "tiledesk") })
		if err == nil {
			c.disk, err = size(file)
		}
		return file, c, err
	}
	raw := &rawDuckDB{b: b}
	b.close = append([]func() error{raw.close}, b.close...)
	upsert := func(ctx context.Context) (cost, error) {
		file, c, err := load(ctx, "")
		if err == nil && raw.db == nil {
			err = raw.take(ctx, file)
		}
		return c, err
	}
	return []trial{
		{"duckdb, upsert", "duckdb, raw upsert", upsert},
		{"duckdb, raw upsert", "", func(ctx context.Context) (cost, error) { return raw.load(ctx, raw.upsert) }},
		{"duckdb, append", "duckdb, raw append", func(ctx context.Context) (cost, error) {
			_, c, err := load(ctx, "append")
			return c, err
		}},
		{"duckdb, raw append", "", func(ctx context.Context) (cost, error) { return raw.load(ctx, raw.append) }},
	}, nil
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

// load writes the batches, a transaction for each, into a file that is new.
func (r *rawDuckDB) load(ctx context.Context, write func(batch string) string) (c cost, err error) {
	file := filepath.Join(r.b.dir, fresh("raw")+".duckdb")
	if err := r.do(ctx, fmt.Sprintf("ATTACH '%s' AS raw", file), "CREATE TABLE raw.messages AS FROM "+r.batches[0]+" LIMIT 0"); err != nil {
		return c, err
	}
	began := time.Now()
	for _, b := range r.batches {
		if err := r.do(ctx, write(b)); err != nil {
			return c, err
		}
	}
	if err := r.do(ctx, "DETACH raw"); err != nil { // which writes what is in its log to its place, as the consumer's end does
		return c, err
	}
	c.rows, c.took = r.b.rows, time.Since(began)
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
