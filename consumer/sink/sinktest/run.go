package sinktest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
)

// Destination is one empty warehouse of the kind under test.
type Destination struct {
	// Open opens the warehouse; again and again it is the same one, as after a restart. The suite closes what it opens.
	Open func(t testing.TB) sink.Sink
	// Read returns the newest version of each row in the table, by the order of sink.Table; no rows where there is no
	// table. Names of columns are those of the table's schema, as far as the warehouse's own names can be told from them.
	Read func(t testing.TB, table sink.Table) []Row
	// KeepsVersions marks a warehouse that stores each version and finds the newest on reading: its Stats then count
	// every row as inserted.
	KeepsVersions bool
	// Ahead marks a warehouse in which rows may be ahead of the ledger: a Write that ends halfway, or is fenced at its end, has
	// written rows, which the next one finds.
	Ahead bool
	// Slow marks a warehouse of which each statement takes a second: of random cases it gets few.
	Slow bool
	// Refuses tells values of a column that this kind of warehouse cannot hold, though most can: they have to be refused, not
	// changed. Nil: there are none.
	Refuses func(column arrow.Field, value any) bool
}

// Run proves one kind of warehouse. empty makes a new, empty one, and cleans up after the test.
func Run(t *testing.T, empty func(t testing.TB) Destination) {
	for _, group := range [][]testCase{types, merges, agains, modes, deletions, fences, tables, changes, sequences} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(&suite{T: t, d: empty(t)})
			})
		}
	}
}

type testCase struct {
	name string
	run  func(s *suite)
}

// suite is what a case works with: one empty warehouse.
type suite struct {
	*testing.T
	d     Destination
	loads int
}

func (s *suite) open() sink.Sink {
	s.Helper()
	to := s.d.Open(s.T)
	s.Cleanup(func() { to.Close() })
	return to
}

func (s *suite) prepare(to sink.Sink, t sink.Table) {
	s.Helper()
	if err := to.Prepare(s.Context(), t); err != nil {
		s.Fatalf("Prepare %s: %v", t.Name, err)
	}
}

// Part names a partition of the group and topic that most cases use.
func Part(id int32) sink.Partition {
	return sink.Partition{Cluster: "test-cluster", Group: "tilestream", Topic: "tiledesk.things", ID: id}
}

// Span makes a range of Part(id).
func Span(id int32, from, to int64) sink.Range {
	return sink.Range{Partition: Part(id), From: from, To: to}
}

// batch makes a batch that has rows of the table's schema.
func (s *suite) batch(t sink.Table, rows []Row, ranges ...sink.Range) sink.Batch {
	s.loads++
	return sink.Batch{ID: fmt.Sprintf("load-%d", s.loads), Table: t, Ranges: ranges, Rows: Record(t.Schema, rows), Bytes: int64(100 * len(rows))}
}

// write writes and wants the stats; -1 for a number that the case leaves open.
func (s *suite) write(to sink.Sink, b sink.Batch, want sink.Stats) {
	s.Helper()
	got, err := to.Write(s.Context(), b)
	if err != nil {
		s.Fatalf("Write %s: %v", b.ID, err)
	}
	if s.d.KeepsVersions {
		want = sink.Stats{}
		if b.Rows != nil {
			want.Inserted = b.Rows.NumRows()
		}
	}
	if got != want {
		s.Errorf("Write %s: %+v, want %+v", b.ID, got, want)
	}
}

// some is how many of n repetitions a warehouse gets: of a slow one, a few.
func (s *suite) some(n int) int {
	if s.d.Slow {
		return (n + 7) / 8
	}
	return n
}

// refuses tells whether the row has a value that this kind of warehouse cannot hold.
func (s *suite) refuses(t sink.Table, r Row) bool {
	for _, f := range t.Schema.Fields() {
		if v, ok := r[f.Name]; ok && s.d.Refuses != nil && s.d.Refuses(f, v) {
			return true
		}
	}
	return false
}

// wantRefused writes a row on its own, and wants it to be refused.
func (s *suite) wantRefused(to sink.Sink, t sink.Table, r Row) {
	s.Helper()
	span := Span(7, 0, 1000)
	span.Group = "refused"
	var rejected *sink.RejectedError
	if _, err := to.Write(s.Context(), s.batch(t, []Row{r}, span)); !errors.As(err, &rejected) {
		s.Errorf("Write %v: %v, want a *RejectedError", r[t.Key], err)
	}
}

func (s *suite) wantRows(t sink.Table, want ...Row) {
	s.Helper()
	if d := Diff(t, want, s.d.Read(s.T, t)); d != "" {
		s.Errorf("%s differs (-want +got):\n%s", t.Name, d)
	}
}

func (s *suite) wantNext(to sink.Sink, want map[sink.Partition]int64) {
	s.Helper()
	var ps []sink.Partition
	for p := range want {
		ps = append(ps, p)
	}
	got, err := to.Next(s.Context(), ps)
	if err != nil {
		s.Fatalf("Next: %v", err)
	}
	for p, n := range want {
		if g, ok := got[p]; g != n || !ok {
			s.Errorf("Next of %v: %d, %v, want %d", p, g, ok, n)
		}
	}
}

// at is a time that is easy to tell apart: n seconds into a day.
func at(n int) time.Time { return time.Date(2026, 5, 4, 0, 0, n, 0, time.UTC) }
