//go:build cgo

package sink_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// guardedTable is a table in which a batch takes every step that there is.
func guardedTable(mode sink.Mode, hard bool) sink.Table {
	t := sinktest.Table("things", sinktest.Column("text", sinktest.String), sinktest.Column("_deleted_at", sinktest.Timestamp), sinktest.Column("_deleted_offset", sinktest.Int64))
	t.Deleted, t.DeletedOffset, t.Mode, t.HardDelete = "_deleted_at", "_deleted_offset", mode, hard
	return t
}

// guardedLog is records of few keys: versions, some of them late, and deletions.
func guardedLog() (log []sinktest.Row) {
	at := func(n int) time.Time { return time.Date(2026, 5, 4, 0, 0, n, 0, time.UTC) }
	for i := range 24 {
		id := fmt.Sprint("key ", i*5%7)
		if i%4 == 3 {
			log = append(log, sinktest.Row{"_id": id, "_kafka_offset": int64(i), "_deleted_at": at(i), "_deleted_offset": int64(i)})
			continue
		}
		log = append(log, sinktest.Row{"_id": id, "text": fmt.Sprint("at ", i), "updated_at": at(i*11%24 + 1), "_kafka_offset": int64(i)})
	}
	return log
}

// guardedPart makes a batch of the log from one offset to another, in two partitions that move together.
func guardedPart(t sink.Table, from, to int64) sink.Batch {
	return sink.Batch{ID: fmt.Sprint("load of ", from), Table: t, Rows: sinktest.Record(t.Schema, guardedLog()[from:to]), Ranges: []sink.Range{sinktest.Span(0, from, to), sinktest.Span(1, from, to)}}
}

func openGuarded(t *testing.T, path string, table sink.Table) sink.Sink {
	t.Helper()
	to, err := sink.OpenTrial(t.Context(), path, "guarded", true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close() })
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	return to
}

func mustWrite(t *testing.T, to sink.Sink, b sink.Batch) {
	t.Helper()
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func guardedNext(t *testing.T, to sink.Sink) int64 {
	t.Helper()
	next, err := to.Next(t.Context(), []sink.Partition{sinktest.Part(0), sinktest.Part(1)})
	if err != nil {
		t.Fatal(err)
	}
	if next[sinktest.Part(0)] != next[sinktest.Part(1)] {
		t.Fatalf("the ledger has moved by half: %v", next)
	}
	return next[sinktest.Part(0)]
}

// guardedRows is all that the table holds, each version, without what depends on how records were batched.
func guardedRows(t *testing.T, path string, table sink.Table) string {
	t.Helper()
	var lines []string
	if table.Mode == sink.History {
		table.Schema = arrow.NewSchema(append(table.Schema.Fields(), sinktest.Column("_valid_from", sinktest.Timestamp), sinktest.Column("_valid_to", sinktest.Timestamp)), nil)
	}
	for _, r := range readDuckDB(t, path, "guarded", table) {
		delete(r, "_load_id")
		lines = append(lines, fmt.Sprint(r))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestGuardedCut cuts the connection at each statement of a write, before it has run and after, and wants the next consumer to end
// where one ends that was never disturbed, though it reads the same records in other batches.
func TestGuardedCut(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]sink.Table{
		"upsert": guardedTable(sink.Upsert, false), "hard": guardedTable(sink.Upsert, true), "append": guardedTable(sink.Append, false), "history": guardedTable(sink.History, false),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "whole.duckdb")
			whole := openGuarded(t, path, table)
			mustWrite(t, whole, guardedPart(table, 0, 12))
			steps := 0
			sink.OnMerge(whole, func(_ string, run func() error) error { steps++; return run() })
			mustWrite(t, whole, guardedPart(table, 12, 24))
			want := guardedRows(t, path, table)
			for cut := range steps {
				for _, executed := range []bool{false, true} {
					path := filepath.Join(t.TempDir(), fmt.Sprint(cut, executed, ".duckdb"))
					first := openGuarded(t, path, table)
					mustWrite(t, first, guardedPart(table, 0, 12))
					n := 0
					sink.OnMerge(first, func(_ string, run func() error) error {
						if n++; n != cut+1 {
							return run()
						}
						if executed {
							if err := run(); err != nil {
								t.Error(err)
							}
						}
						return sink.ErrCut
					})
					if _, err := first.Write(t.Context(), guardedPart(table, 12, 24)); !errors.Is(err, sink.ErrCut) || errors.Is(err, sink.ErrFenced) {
						t.Fatalf("Write: %v, want a reply that is lost", err)
					}
					next := openGuarded(t, path, table)
					at := guardedNext(t, next)
					if moved := executed && cut == steps-1; moved != (at == 24) || !moved && at != 12 {
						t.Fatalf("cut at %d, executed %v: the ledger stands at %d", cut, executed, at)
					}
					for _, to := range []int64{15, 16, 24} {
						if at < to {
							mustWrite(t, next, guardedPart(table, at, to))
							at = to
						}
					}
					if got := guardedRows(t, path, table); got != want {
						t.Errorf("cut at %d, executed %v:\n%s\nwant:\n%s", cut, executed, got, want)
					}
				}
			}
			if steps < 2 {
				t.Errorf("%d statements were cut", steps)
			}
		})
	}
}

// TestGuardedOvertaken lets another consumer write the same records, and more, between any two statements of one that has lost its
// partitions without knowing: it is fenced, and what it has written is true.
func TestGuardedOvertaken(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]sink.Table{"hard": guardedTable(sink.Upsert, true), "history": guardedTable(sink.History, false)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want string
			for at := 0; ; at++ {
				path := filepath.Join(t.TempDir(), fmt.Sprint(at, ".duckdb"))
				zombie, owner := openGuarded(t, path, table), openGuarded(t, path, table)
				mustWrite(t, zombie, guardedPart(table, 0, 12))
				n := 0
				sink.OnMerge(zombie, func(_ string, run func() error) error {
					if n++; n == at+1 {
						mustWrite(t, owner, guardedPart(table, 12, 15))
						mustWrite(t, owner, guardedPart(table, 15, 24))
					}
					return run()
				})
				_, err := zombie.Write(t.Context(), guardedPart(table, 12, 20))
				if n <= at { // it came through undisturbed: every place was tried
					if at < 3 || err != nil {
						t.Errorf("%d statements, %v", at, err)
					}
					return
				}
				if !errors.Is(err, sink.ErrFenced) {
					t.Fatalf("overtaken at %d: %v, want ErrFenced", at, err)
				}
				if next := guardedNext(t, owner); next != 24 {
					t.Errorf("overtaken at %d: the ledger stands at %d", at, next)
				}
				got := guardedRows(t, path, table)
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("overtaken at %d:\n%s\nwant:\n%s", at, got, want)
				}
			}
		})
	}
}
