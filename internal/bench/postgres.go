package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"tilestream/internal/bench/messages"
)

// batch is how many rows are loaded at once by what we are held against.
const batch = 50_000

// postgres measures loads into the server of TEST_POSTGRES_URL, beside COPY into a stage and INSERT ... ON CONFLICT of the same bytes.
func (b *bench) postgres(ctx context.Context) ([]trial, error) {
	server := os.Getenv("TEST_POSTGRES_URL")
	if server == "" {
		b.where += "; no PostgreSQL (TEST_POSTGRES_URL is not set)"
		return nil, nil
	}
	db, err := pgx.Connect(ctx, server)
	if err != nil {
		return nil, err
	}
	b.close = append([]func() error{func() error { return db.Close(context.WithoutCancel(ctx)) }}, b.close...)
	dataset := func() string {
		d := fresh(b.kafka.Prefix)
		b.drops(ctx, server, d)
		return d
	}
	load := func(ctx context.Context, dataset, mode string, held int) (cost, error) {
		table := pgx.Identifier{dataset, "messages"}.Sanitize()
		before := postgresCPU()
		c, err := b.load(ctx, server, dataset, mode, func() (int, error) {
			n, err := rowsIn(ctx, server, dataset)
			return n - held, err
		})
		if err != nil {
			return c, err
		}
		c.server = postgresCPU() - before
		return c, db.QueryRow(ctx, "SELECT pg_total_relation_size($1)", table).Scan(&c.disk)
	}
	var full string // a dataset that has all rows, once there is one
	raw := &rawPostgres{db: db}
	upsert := func(ctx context.Context) (cost, error) {
		d := dataset()
		c, err := load(ctx, d, "", 0)
		if err == nil && full == "" {
			full = d
			err = raw.take(ctx, d)
		}
		return c, err
	}
	trials := []trial{
		{"postgres, upsert", []string{"postgres, raw upsert", "postgres, Kafka Connect"}, upsert},
		{"postgres, raw upsert", nil, func(ctx context.Context) (cost, error) { return raw.load(ctx, dataset()) }},
		{"postgres, upsert of rows that are there", []string{"postgres, raw upsert of rows that are there"}, func(ctx context.Context) (cost, error) { return load(ctx, full, "", 0) }},
		{"postgres, raw upsert of rows that are there", nil, func(ctx context.Context) (cost, error) { return raw.again(ctx) }},
		{"postgres, append", []string{"postgres, raw upsert"}, func(ctx context.Context) (cost, error) { return load(ctx, dataset(), "append", 0) }},
	}
	if libs := os.Getenv("TEST_CONNECT_LIBS"); libs != "" {
		trials = append(trials, trial{"postgres, Kafka Connect", nil, func(ctx context.Context) (cost, error) { return b.connect(ctx, db, server, libs, dataset()) }})
	}
	if b.held > 0 {
		held := fmt.Sprintf("upsert into %d rows", b.held)
		trials = append(trials,
			trial{"postgres, " + held, []string{"postgres, raw " + held}, func(ctx context.Context) (cost, error) {
				d := dataset()
				if err := raw.fill(ctx, d, b.held); err != nil {
					return cost{}, err
				}
				return load(ctx, d, "", b.held)
			}},
			trial{"postgres, raw " + held, nil, func(ctx context.Context) (cost, error) {
				if err := raw.fill(ctx, dataset(), b.held); err != nil {
					return cost{}, err
				}
				return raw.again(ctx)
			}})
	}
	return trials, nil
}

// drops has a dataset go when the bench ends.
func (b *bench) drops(ctx context.Context, server, dataset string) {
	b.close = append([]func() error{func() error {
		ctx := context.WithoutCancel(ctx)
		db, err := pgx.Connect(ctx, server)
		if err != nil {
			return err
		}
		defer db.Close(ctx)
		_, err = db.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{dataset}.Sanitize()+" CASCADE")
		return err
	}}, b.close...)
}

// rawPostgres loads with nothing between: batches in COPY's own binary form, as the server itself has written them.
type rawPostgres struct {
	db      *pgx.Conn
	like    string // the table that is loaded
	columns []string
	batches [][]byte
	rows    int
	filled  string
}

// take reads the batches from a dataset that has been loaded.
func (r *rawPostgres) take(ctx context.Context, dataset string) error {
	r.like = pgx.Identifier{dataset, "messages"}.Sanitize()
	rows, err := r.db.Query(ctx, "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum", r.like)
	if err != nil {
		return err
	}
	if r.columns, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return err
	}
	for at := 0; ; at += batch {
		var b bytes.Buffer
		tag, err := r.db.PgConn().CopyTo(ctx, &b, fmt.Sprintf("COPY (SELECT * FROM %s ORDER BY _kafka_offset, _kafka_partition LIMIT %d OFFSET %d) TO STDOUT BINARY", r.like, batch, at))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return nil
		}
		r.rows += int(tag.RowsAffected())
		r.batches = append(r.batches, b.Bytes())
	}
}

func (r *rawPostgres) load(ctx context.Context, dataset string) (cost, error) {
	if err := r.fill(ctx, dataset, 0); err != nil {
		return cost{}, err
	}
	return r.again(ctx)
}

// fill makes the table that is loaded next, with so many other rows: short ones, whose keys are as long as any and in no order.
func (r *rawPostgres) fill(ctx context.Context, dataset string, rows int) error {
	r.filled = pgx.Identifier{dataset, "messages"}.Sanitize()
	for _, sql := range []string{
		"CREATE SCHEMA " + pgx.Identifier{dataset}.Sanitize(),
		"CREATE TABLE " + r.filled + " (LIKE " + r.like + " INCLUDING ALL)",
		fmt.Sprintf(`INSERT INTO %s (_id, text, updated_at, _kafka_partition, _kafka_offset)
			SELECT substr(md5(i::text), 1, 24), 'short', now(), 0, i FROM generate_series(1, %d) AS i`, r.filled, rows),
		"ANALYZE " + r.filled,
	} {
		if _, err := r.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%.60s: %w", sql, err)
		}
	}
	return nil
}

// again loads the batches into the table that is there.
func (r *rawPostgres) again(ctx context.Context) (cost, error) {
	var set []string
	for _, c := range slices.DeleteFunc(slices.Clone(r.columns), func(c string) bool { return c == "_id" }) {
		c = pgx.Identifier{c}.Sanitize()
		set = append(set, c+" = EXCLUDED."+c)
	}
	merge := fmt.Sprintf(`INSERT INTO %s AS held SELECT * FROM stage ON CONFLICT (_id) DO UPDATE SET %s
		WHERE (held.updated_at, held._kafka_offset) < (EXCLUDED.updated_at, EXCLUDED._kafka_offset)`, r.filled, strings.Join(set, ", "))
	began, before := time.Now(), postgresCPU()
	for _, rows := range r.batches {
		if err := pgx.BeginFunc(ctx, r.db, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "CREATE TEMP TABLE stage (LIKE "+r.filled+") ON COMMIT DROP"); err != nil {
				return err
			}
			if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(rows), "COPY stage FROM STDIN BINARY"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, merge)
			return err
		}); err != nil {
			return cost{}, err
		}
	}
	c := cost{rows: r.rows, took: time.Since(began), server: postgresCPU() - before}
	return c, r.db.QueryRow(ctx, "SELECT pg_total_relation_size($1)", r.filled).Scan(&c.disk)
}

// postgresCPU is what the servers on this machine have taken so far; 0 where PostgreSQL is elsewhere.
func postgresCPU() (took time.Duration) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		if comm, _ := os.ReadFile(name); string(comm) == "postgres\n" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			took += messages.CPU(pid)
		}
	}
	return took
}
