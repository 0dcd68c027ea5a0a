package sinktest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
)

// loaded is the table that replays meet: rows say when they were loaded.
func loaded(columns ...arrow.Field) sink.Table {
	t := Table("things", append(columns, Column("_loaded_at", Timestamp))...)
	t.Deleted, t.DeletedOffset = "_deleted_at", "_deleted_offset"
	t.Schema = arrow.NewSchema(append(t.Schema.Fields(), Column("_deleted_at", Timestamp), Column("_deleted_offset", Int64)), nil)
	return t
}

// replay makes a batch of a group of its own that is marked as a replay.
func (s *suite) replay(t sink.Table, rows []Row) sink.Batch {
	b := s.batch(t, rows, Span(0, 0, 1000))
	b.Ranges[0].Group = b.ID
	b.Again = true
	return b
}

// load is the row as a load at the time writes it.
func load(r Row, n int) Row {
	r = maps.Clone(r)
	r["_load_id"], r["_loaded_at"] = fmt.Sprint("load at ", n), at(n)
	return r
}

// with is the row with another value.
func with(r Row, column string, v any) Row {
	r = maps.Clone(r)
	r[column] = v
	return r
}

var agains = []testCase{
	{"a replay fills a column that was added", func(s *suite) {
		narrow, wide := loaded(Column("text", String)), loaded(Column("text", String), Column("doc", JSON))
		to := s.open()
		s.prepare(to, narrow)
		a, b, c := thing("a", "one", 1, 0), thing("b", "two", 1, 1), thing("c", "newer", 9, 2)
		undated := thing("u", "undated", -1, 3)
		s.write(to, s.batch(narrow, []Row{load(a, 1), load(b, 1), load(c, 1), load(undated, 1)}, Span(0, 0, 4)), sink.Stats{Inserted: 4})
		s.prepare(to, wide)
		old := with(thing("c", "older", 3, 1), "doc", "{}") // loses as ever
		a2, u2 := with(load(a, 2), "doc", `{"x":1}`), with(load(undated, 2), "doc", `[]`)
		d2 := load(thing("d", "new", 1, 5), 2)
		rows := []Row{a2, load(b, 2), load(old, 2), u2, d2}
		s.write(to, s.replay(wide, rows), sink.Stats{Inserted: 1, Updated: 2, Unchanged: 2})
		b2 := load(b, 1) // equal, so not written
		if s.d.KeepsVersions {
			b2 = load(b, 2)
		}
		s.wantRows(wide, a2, b2, load(c, 1), u2, d2)
		s.write(to, s.replay(wide, rows), sink.Stats{Unchanged: 5})
		s.wantRows(wide, a2, b2, load(c, 1), u2, d2)
	}},
	{"the last replay of a value counts", func(s *suite) {
		t := loaded(Column("text", String))
		to := s.open()
		s.prepare(to, t)
		for i, text := range []any{"first", "second", nil, "third"} {
			want := sink.Stats{Updated: 1}
			if i == 0 {
				want = sink.Stats{Inserted: 1}
			}
			a := load(with(thing("a", "", 1, 0), "text", text), i)
			s.write(to, s.replay(t, []Row{a}), want)
			s.wantRows(t, a)
		}
	}},
	{"without Again an equal version stays as it is", func(s *suite) {
		if s.d.KeepsVersions {
			s.Skip("every load is kept")
		}
		t := loaded(Column("text", String))
		to := s.open()
		s.prepare(to, t)
		a := load(thing("a", "one", 1, 0), 1)
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.write(to, s.batch(t, []Row{load(thing("a", "two", 1, 0), 2)}, Span(0, 1, 2)), sink.Stats{Unchanged: 1})
		s.wantRows(t, a)
	}},
	{"a replay by an older schema empties no column", func(s *suite) {
		if s.d.KeepsVersions {
			s.Skip("a row is what one file says")
		}
		narrow, wide := loaded(Column("text", String)), loaded(Column("text", String), Column("n", Int64))
		to := s.open()
		s.prepare(to, wide)
		a := load(with(thing("a", "one", 1, 0), "n", int64(7)), 1)
		s.write(to, s.batch(wide, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		b := s.replay(wide, nil)
		b.Rows = Record(narrow.Schema, []Row{load(thing("a", "one", 1, 0), 2)})
		s.write(to, b, sink.Stats{Unchanged: 1})
		s.wantRows(wide, a)
		b = s.replay(wide, nil)
		b.Rows = Record(narrow.Schema, []Row{load(thing("a", "uno", 1, 0), 3)})
		s.write(to, b, sink.Stats{Updated: 1})
		s.wantRows(wide, with(load(thing("a", "uno", 1, 0), 3), "n", int64(7)))
	}},
	{"a replay of a document leaves it deleted", func(s *suite) {
		t := loaded(Column("text", String))
		to := s.open()
		s.prepare(to, t)
		a, dead := thing("a", "one", 1, 0), load(gone("a", 5), 2)
		delete(dead, "_extracted_at")
		s.write(to, s.batch(t, []Row{load(a, 1)}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.write(to, s.batch(t, []Row{dead}, Span(0, 1, 6)), sink.Stats{Updated: 1})
		again := load(with(a, "text", "uno"), 3)
		s.write(to, s.replay(t, []Row{again, dead}), sink.Stats{Updated: 1, Unchanged: 1})
		want := with(with(again, "_deleted_at", at(5)), "_deleted_offset", int64(5))
		s.wantRows(t, want)
	}},
	{"any order of live loads and one replay fills every row", func(s *suite) {
		for seed := range uint64(s.some(4)) {
			s.refilled(rand.New(rand.NewPCG(seed, 7)), fmt.Sprint("refilled ", seed))
		}
	}},
}

// refilled delivers a log whose live rows lack a value, and a whole replay that has it, in pieces that go in any order. The
// replay alone decides what is in a row that it has.
func (s *suite) refilled(rnd *rand.Rand, name string) {
	t := loaded(Column("text", String), Column("n", Int64))
	t.Name = name
	var log, filled []Row
	for offset := range s.some(60) {
		id := fmt.Sprint("key ", rnd.IntN(6))
		r := gone(id, offset)
		if rnd.IntN(4) > 0 {
			r = thing(id, fmt.Sprint("at ", offset), rnd.IntN(40)-1, int64(offset))
		}
		delete(r, "_extracted_at")
		log = append(log, load(r, 1))
		if r[t.Deleted] == nil {
			r = with(r, "n", int64(offset))
		}
		filled = append(filled, load(r, 2))
	}
	type piece struct {
		rows  []Row
		again bool
	}
	var pieces []piece
	for _, p := range []piece{{log, false}, {filled, true}, {filled, true}} {
		for rest := p.rows; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(9))
			pieces = append(pieces, piece{rest[:n], p.again})
			rest = rest[n:]
		}
	}
	rnd.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	to := s.open()
	s.prepare(to, t)
	for _, p := range pieces {
		b := s.replay(t, p.rows)
		b.Again = p.again
		if _, err := to.Write(s.Context(), b); err != nil {
			s.Fatalf("Write %s: %v", b.ID, err)
		}
	}
	ofLoad := func(rows []Row) []Row { // which load wrote a row last depends on the order
		rows = slices.Clone(rows)
		for i, r := range rows {
			rows[i] = with(with(r, "_load_id", nil), "_loaded_at", nil)
		}
		return rows
	}
	want := whole(t, filled)
	for _, r := range want { // a tombstone without a document has no version
		delete(r, "_extracted_at")
	}
	if d := Diff(t, ofLoad(want), ofLoad(s.d.Read(s.T, t))); d != "" {
		s.Errorf("%s (-want +got):\n%s", name, d)
	}
}
