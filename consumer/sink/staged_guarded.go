package sink

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A warehouse whose transactions are of one statement commits guarded: where the ledger stands is checked first; then the steps of
// the merge run, each a transaction of its own; then one statement moves the ledger, all ranges of the batch or none, from where the
// batch begins and from nowhere else.
//
// So after a crash rows may be ahead of the ledger, never behind it. That is as good as one transaction, because no step does
// anything when it runs again, whatever has run in between: a version is known by its key, time and offset, and the newest wins, so
// what the next consumer reads again from Kafka changes nothing. A consumer that has lost its partition without knowing can write
// rows that are true, and cannot move the ledger. The line of the load comes last: a crash in front of it loses the line only.
//
// The warehouse has to refuse one of two statements that change a table at once, even where both only insert.

// guard merges what is staged, and moves the ledger.
func (s *staged) guard(ctx context.Context, conn *sql.Conn, b Batch, steps []statement, started time.Time) (stats Stats, err error) {
	next, err := s.ledger(ctx, conn, partitions(b.Ranges))
	if err != nil {
		return Stats{}, err
	}
	if err := fenced(b.Ranges, next); err != nil {
		return Stats{}, err
	}
	run := func(sql string) (Stats, error) {
		return s.yielding(ctx, func() (Stats, error) { return s.run(ctx, conn, sql) })
	}
	for _, step := range steps {
		done, err := run(step.sql)
		if err != nil {
			return Stats{}, err
		}
		if !step.uncounted {
			stats.Inserted += done.Inserted
			stats.Updated += done.Updated
		}
	}
	if b.Rows != nil {
		stats.Unchanged = b.Rows.NumRows() - stats.Inserted - stats.Updated
	}
	ended := time.Now()
	if slices.ContainsFunc(b.Ranges, func(r Range) bool { return r.From == 0 }) {
		if _, err := run(s.begun(b.Ranges, ended)); err != nil {
			return Stats{}, err
		}
	}
	if len(b.Ranges) > 0 {
		done, err := run(s.moved(b.Ranges, ended))
		if err != nil {
			return Stats{}, s.overtaken(ctx, conn, b.Ranges, err)
		}
		if done.Updated != int64(len(b.Ranges)) {
			return Stats{}, fmt.Errorf("%d of %d partitions are in the ledger: somebody has removed the others", done.Updated, len(b.Ranges))
		}
	}
	line, err := s.line(b, stats, started, ended)
	if err != nil || line == "" {
		return stats, err
	}
	if _, err := run(line); err != nil {
		return Stats{}, fmt.Errorf("the rows are loaded, the line in %s is not written: %w", loadsTable, err)
	}
	return stats, nil
}

// begun is the statement that puts ranges into the ledger which it does not have: they stand at 0, as before.
func (s *staged) begun(ranges []Range, at time.Time) string {
	q := s.quote("partition")
	return fmt.Sprintf("MERGE INTO %s AS held USING (%s) AS fresh ON %s\nWHEN NOT MATCHED THEN INSERT (cluster, consumer_group, topic, %s, next_offset, updated_at) VALUES (fresh.cluster, fresh.consumer_group, fresh.topic, fresh.%[4]s, 0, %[5]s)",
		s.table(s.dataset, ledgerTable), s.spans(ranges), s.samePartition(), q, s.time(at))
}

// moved is the statement that moves the ledger from where the ranges begin to where they end, or fails and changes nothing.
func (s *staged) moved(ranges []Range, at time.Time) string {
	text := s.types[kindText]
	refuse := s.literal("the ledger stands at ") + " || CAST(held.next_offset AS " + text + ") || " + s.literal(", the batch starts at ") + " || CAST(fresh.begins AS " + text + ")"
	return fmt.Sprintf("MERGE INTO %s AS held USING (%s) AS fresh ON %s\nWHEN MATCHED THEN UPDATE SET next_offset = CASE WHEN held.next_offset = fresh.begins THEN fresh.ends ELSE CAST(%s AS %s) END, updated_at = %s",
		s.table(s.dataset, ledgerTable), s.spans(ranges), s.samePartition(), fmt.Sprintf(s.raise, refuse), s.types[kindInt64], s.time(at))
}

// spans are the ranges as rows.
func (s *staged) spans(ranges []Range) string {
	number := s.types[kindInt64]
	var rows []string
	for _, r := range ranges {
		rows = append(rows, fmt.Sprintf("SELECT %s AS cluster, %s AS consumer_group, %s AS topic, CAST(%d AS %s) AS %s, CAST(%d AS %[5]s) AS begins, CAST(%[8]d AS %[5]s) AS ends",
			s.literal(r.Cluster), s.literal(r.Group), s.literal(r.Topic), r.ID, number, s.quote("partition"), r.From, r.To))
	}
	return strings.Join(rows, " UNION ALL ")
}

func (s *staged) samePartition() string {
	return "held.cluster = fresh.cluster AND held.consumer_group = fresh.consumer_group AND held.topic = fresh.topic AND held." + s.quote("partition") + " = fresh." + s.quote("partition")
}

// overtaken is ErrFenced where the ledger was not moved since somebody else has; else it is the error as it was.
func (s *staged) overtaken(ctx context.Context, conn *sql.Conn, ranges []Range, failed error) error {
	if !s.refused(failed) {
		return failed
	}
	next, err := s.ledger(ctx, conn, partitions(ranges))
	if err != nil {
		return failed
	}
	if err := fenced(ranges, next); err != nil {
		return err
	}
	return failed
}
