package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"tilestream/internal/ops"
)

// postgres loads into PostgreSQL 12 or later. A Write is one transaction: it locks its ledger rows, copies the batch in
// binary into a temporary table, merges that into the table with INSERT ... ON CONFLICT, and moves the ledger.
type postgres struct {
	pool     *pgxpool.Pool
	schema   string // as the server knows it, not quoted
	mu       sync.Mutex
	prepared map[string]string // table name -> what Prepare made it fit
}

func openPostgres(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	cfg, err := postgresConfig(u, "tilestream")
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &postgres{pool: pool, schema: pgDialect.name(dataset), prepared: map[string]string{}}
	if err := p.setup(ctx); err != nil {
		defer pool.Close()
		if err = p.advise(err); away(err) {
			return nil, fmt.Errorf("%w: %w", errAway, err)
		}
		return nil, err
	}
	return p, nil
}

// postgresConfig reads the URL: what libpq takes, and what pgxpool does. The server shows the name where the URL has none.
func postgresConfig(u *url.URL, name string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, ops.Usagef("not a PostgreSQL URL: it takes postgres://USER:PASSWORD@HOST:5432/DATABASE and the parameters of libpq")
	}
	if given := cfg.ConnConfig.RuntimeParams; given["application_name"] == "" {
		given["application_name"] = name
	}
	return cfg, nil
}

func (p *postgres) Close() error {
	p.pool.Close()
	return nil
}

func (p *postgres) Next(ctx context.Context, ps []Partition) (map[Partition]int64, error) {
	clusters, groups, topics, ids := unzip(ps)
	rows, err := p.pool.Query(ctx, `SELECT cluster, consumer_group, topic, partition, next_offset FROM `+p.table(ledgerTable)+`
		JOIN unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS q (cluster, consumer_group, topic, partition)
		USING (cluster, consumer_group, topic, partition)`, clusters, groups, topics, ids)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	held, err := scanLedger(rows)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", p.advise(err))
	}
	next := make(map[Partition]int64, len(ps))
	for _, q := range ps {
		next[q] = held[q] // 0 where it holds none
	}
	return next, nil
}

func scanLedger(rows pgx.Rows) (map[Partition]int64, error) {
	next := map[Partition]int64{}
	var q Partition
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&q.Cluster, &q.Group, &q.Topic, &q.ID, &n}, func() error {
		next[q] = n
		return nil
	})
	return next, err
}

func (p *postgres) Write(ctx context.Context, b Batch) (Stats, error) {
	started := time.Now()
	docs, tombs, err := picked(b)
	if err != nil {
		return Stats{}, err
	}
	var stats Stats
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := p.fence(ctx, tx, b.Ranges); err != nil {
			return err
		}
		if len(docs)+len(tombs) > 0 {
			if stats, err = p.merge(ctx, tx, b, docs, tombs); err != nil {
				return err
			}
		}
		return p.account(ctx, tx, b, stats, started)
	})
	if err != nil {
		if errors.Is(err, ErrFenced) {
			return Stats{}, err
		}
		p.forget(b.Table.Name) // someone may have changed it
		return Stats{}, fmt.Errorf("write %s: %w", b.Table.Name, p.advise(err))
	}
	return stats, nil
}

// fence locks the ledger rows of the ranges until the transaction ends and checks where they stand. Rows that do not
// exist yet are inserted first: of two writers that start a partition, the second waits in the INSERT for the first.
//
// A writer that stopped in the middle of its transaction would keep the rows locked, so the server is told to end it.
func (p *postgres) fence(ctx context.Context, tx pgx.Tx, ranges []Range) error {
	ranges = slices.SortedFunc(slices.Values(ranges), compareRanges) // one order of locking for all writers
	clusters, groups, topics, ids := unzip(partitions(ranges))
	var statements pgx.Batch
	statements.Queue(`SELECT set_config('idle_in_transaction_session_timeout', '60s', true), set_config('statement_timeout', '15min', true)`)
	statements.Queue(`INSERT INTO `+p.table(ledgerTable)+` (cluster, consumer_group, topic, partition, next_offset)
		SELECT q.*, 0 FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS q ON CONFLICT DO NOTHING`, clusters, groups, topics, ids)
	statements.Queue(`SELECT l.cluster, l.consumer_group, l.topic, l.partition, l.next_offset FROM `+p.table(ledgerTable)+` l
		JOIN unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS q (cluster, consumer_group, topic, partition)
		USING (cluster, consumer_group, topic, partition)
		ORDER BY l.cluster COLLATE "C", l.consumer_group COLLATE "C", l.topic COLLATE "C", l.partition
		FOR UPDATE OF l`, clusters, groups, topics, ids).Query(func(rows pgx.Rows) error {
		next, err := scanLedger(rows)
		if err != nil {
			return err
		}
		return fenced(ranges, next)
	})
	return tx.SendBatch(ctx, &statements).Close()
}

// account moves the ledger and writes the line of the load.
func (p *postgres) account(ctx context.Context, tx pgx.Tx, b Batch, stats Stats, started time.Time) error {
	clusters, groups, topics, ids := unzip(partitions(b.Ranges))
	to := make([]int64, len(b.Ranges))
	for i, r := range b.Ranges {
		to[i] = r.To
	}
	var statements pgx.Batch
	statements.Queue(`UPDATE `+p.table(ledgerTable)+` l SET next_offset = q.next_offset, updated_at = clock_timestamp()
		FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[]) AS q (cluster, consumer_group, topic, partition, next_offset)
		WHERE (l.cluster, l.consumer_group, l.topic, l.partition) = (q.cluster, q.consumer_group, q.topic, q.partition)`,
		clusters, groups, topics, ids, to)
	if b.Rows != nil {
		ranges, err := json.Marshal(rangesJSON(b.Ranges))
		if err != nil {
			return err
		}
		statements.Queue(`INSERT INTO `+p.table(loadsTable)+`
			(load_id, table_name, rows, inserted, updated, unchanged, bytes, ranges, started_at, finished_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())`,
			b.ID, pgDialect.name(b.Table.Name), b.Rows.NumRows(), stats.Inserted, stats.Updated, stats.Unchanged, b.Bytes, string(ranges), started)
	}
	return tx.SendBatch(ctx, &statements).Close()
}

// forget makes the next Prepare look at the table again.
func (p *postgres) forget(table string) {
	p.mu.Lock()
	delete(p.prepared, table)
	p.mu.Unlock()
}

// table is the quoted name of a table in the dataset.
func (p *postgres) table(name string) string {
	return pgx.Identifier{p.schema, pgDialect.name(name)}.Sanitize()
}

// quote quotes the name of a column.
func (p *postgres) quote(name string) string { return pgx.Identifier{pgDialect.name(name)}.Sanitize() }

// rejected makes a *RejectedError of an error that is about the values. Others stay as they are.
func rejected(err error, columns []pgColumn) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !valueState(pg.Code) {
		return err
	}
	return &RejectedError{Column: columnIn(pg.Where, columns), Err: err}
}

// valueState tells whether a SQLSTATE is about the values of rows: classes 22 (data exception), 23 (integrity constraint) and 54
// (program limit, such as an index row that is too large). Of these, invalid_parameter_value is about a setting or a function's
// argument, and too_many_columns about the table: no row is the cause, and no halving finds one.
func valueState(code string) bool {
	return len(code) == 5 && slices.Contains([]string{"22", "23", "54"}, code[:2]) && code != "22023" && code != "54011"
}

// columnIn finds the column in the server's words about COPY, `COPY stage, line 3, column body` and perhaps more.
func columnIn(where string, columns []pgColumn) string {
	_, rest, _ := strings.Cut(where, "COPY "+pgStageName+", line ")
	_, rest, _ = strings.Cut(rest, ", column ")
	var found, name string
	for _, c := range columns { // the longest, since a name may begin with another
		if n := pgDialect.name(c.name); strings.HasPrefix(rest, n) && len(n) > len(name) {
			found, name = c.name, n
		}
	}
	return found
}
