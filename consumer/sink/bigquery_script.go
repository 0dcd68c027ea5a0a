package sink

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// A transaction is one script, and so one job. In a session each of its statements would be a job of its own, with its round trips, and
// what a lost connection leaves open would hold its tables until the session ends ("Multi-statement transactions", "Sessions").
// A script that fails or is cancelled undoes its transaction.
//
// Writers take turns by the lock: of two transactions that change rows of one table at once, the later one is cancelled
// ("Multi-statement transactions", "Concurrency"), and reads are of one snapshot. So the ledger is what the writer before has committed. In
// a process they wait for each other, since being cancelled costs a job and time.

// bigQueryOvertaken tells that the script has refused to go on.
func bigQueryOvertaken(err error) bool { return strings.Contains(err.Error(), bigQueryFenced) }

const (
	bigQueryFenced = "Tilestream: the ledger has moved"

	// variables of the script; no column is called so
	bigQueryHeld, bigQueryInserted, bigQueryUpdated = "tilestream_held", "tilestream_inserted", "tilestream_updated"
)

// transact merges what is staged and moves the ledger.
func (b *bigQuery) transact(ctx context.Context, s *staged, conn *sql.Conn, batch Batch, steps []statement, started time.Time) (stats Stats, err error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return Stats{}, ctx.Err()
	}
	script, err := bigQueryScript(s, batch, steps, started)
	if err != nil {
		return Stats{}, err
	}
	stats, err = s.yielding(ctx, func() (stats Stats, err error) {
		err = conn.QueryRowContext(ctx, script).Scan(&stats.Inserted, &stats.Updated)
		return stats, err
	})
	if err != nil {
		return Stats{}, s.overtaken(ctx, conn, batch.Ranges, err)
	}
	if batch.Rows != nil {
		stats.Unchanged = batch.Rows.NumRows() - stats.Inserted - stats.Updated
	}
	return stats, nil
}

// bigQueryScript is the whole of a transaction; it ends with one row: how many rows were inserted, and how many updated.
func bigQueryScript(s *staged, b Batch, steps []statement, started time.Time) (string, error) {
	var sql []string
	say := func(format string, args ...any) { sql = append(sql, fmt.Sprintf(format, args...)) }
	say("DECLARE %s, %s, %s INT64 DEFAULT 0", bigQueryHeld, bigQueryInserted, bigQueryUpdated)
	say("BEGIN TRANSACTION")
	// It has no row where its maker was killed in between.
	say("MERGE INTO %s AS held USING (SELECT 1 AS turn) AS fresh ON TRUE\nWHEN MATCHED THEN UPDATE SET turns = turns + turn\nWHEN NOT MATCHED THEN INSERT (turns) VALUES (turn)", s.table(s.dataset, lockTable))
	if len(b.Ranges) > 0 {
		say("SELECT IF(count(*) = 0, 0, ERROR(%s)) FROM (%s) AS fresh LEFT JOIN %s AS held ON %s WHERE COALESCE(held.next_offset, 0) <> fresh.begins",
			s.literal(bigQueryFenced), s.spans(b.Ranges), s.table(s.dataset, ledgerTable), s.samePartition())
	}
	table := s.table(s.dataset, b.Table.Name)
	for _, step := range steps {
		both := strings.HasPrefix(step.sql, "MERGE") && strings.Contains(step.sql, "\nWHEN NOT MATCHED")
		if both && !step.uncounted {
			say("SET %s = (SELECT count(*) FROM %s)", bigQueryHeld, table) // which the warehouse knows without reading
		}
		say("%s", step.sql)
		switch {
		case step.uncounted:
		case both: // of which @@row_count is the sum
			say("SET %s = %[1]s + @@row_count", bigQueryUpdated)
			say("SET %s = (SELECT count(*) FROM %s) - %[1]s", bigQueryHeld, table)
			say("SET %s = %[1]s + %s", bigQueryInserted, bigQueryHeld)
			say("SET %s = %[1]s - %s", bigQueryUpdated, bigQueryHeld)
		case strings.HasPrefix(step.sql, "INSERT"):
			say("SET %s = %[1]s + @@row_count", bigQueryInserted)
		default:
			say("SET %s = %[1]s + @@row_count", bigQueryUpdated)
		}
	}
	if len(b.Ranges) > 0 {
		q := s.quote("partition")
		say("MERGE INTO %s AS held USING (%s) AS fresh ON %s\nWHEN MATCHED THEN UPDATE SET next_offset = fresh.ends, updated_at = CURRENT_TIMESTAMP()\n"+
			"WHEN NOT MATCHED THEN INSERT (cluster, consumer_group, topic, %s, next_offset, updated_at) VALUES (fresh.cluster, fresh.consumer_group, fresh.topic, fresh.%[4]s, fresh.ends, CURRENT_TIMESTAMP())",
			s.table(s.dataset, ledgerTable), s.spans(b.Ranges), s.samePartition(), q)
	}
	if b.Rows != nil {
		unchanged := fmt.Sprintf("%d - %s - %s", b.Rows.NumRows(), bigQueryInserted, bigQueryUpdated)
		line, err := s.lineOf(b, bigQueryInserted, bigQueryUpdated, unchanged, s.time(started), "GREATEST("+s.time(started)+", CURRENT_TIMESTAMP())")
		if err != nil {
			return "", err
		}
		say("%s", line)
	}
	say("COMMIT TRANSACTION")
	say("SELECT %s, %s", bigQueryInserted, bigQueryUpdated)
	return strings.Join(sql, ";\n"), nil
}
