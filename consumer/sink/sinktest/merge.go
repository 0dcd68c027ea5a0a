package sinktest

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
)

// thing is a row of the table that most cases use.
func thing(id, text string, version int, offset int64) Row {
	r := Row{"_id": id, "text": text, "_kafka_offset": offset}
	if version >= 0 {
		r["updated_at"] = at(version)
	}
	return r
}

func thingsTable() sink.Table { return Table("things", Column("text", String)) }

// things opens the warehouse with the table of things.
func (s *suite) things() (sink.Sink, sink.Table) {
	s.Helper()
	to, t := s.open(), thingsTable()
	s.prepare(to, t)
	return to, t
}

var merges = []testCase{
	{"rows arrive and the ledger moves", func(s *suite) {
		to, t := s.things()
		a, b := thing("a", "one", 1, 0), thing("b", "two", 1, 1)
		s.write(to, s.batch(t, []Row{a, b}, Span(0, 0, 2)), sink.Stats{Inserted: 2})
		s.wantRows(t, a, b)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 2, Part(1): 0})
	}},
	{"a newer version replaces the row", func(s *suite) {
		to, t := s.things()
		s.write(to, s.batch(t, []Row{thing("a", "one", 1, 0), thing("b", "two", 1, 1)}, Span(0, 0, 2)), sink.Stats{Inserted: 2})
		a := thing("a", "uno", 2, 2)
		s.write(to, s.batch(t, []Row{a, thing("c", "three", 1, 3)}, Span(0, 2, 4)), sink.Stats{Inserted: 1, Updated: 1})
		s.wantRows(t, a, thing("b", "two", 1, 1), thing("c", "three", 1, 3))
	}},
	{"a row may be replaced again and again", func(s *suite) {
		to, t := s.things()
		for i := range 5 {
			want := sink.Stats{Updated: 2}
			if i == 0 {
				want = sink.Stats{Inserted: 2}
			}
			rows := []Row{thing("a", fmt.Sprint("a", i), i, int64(2*i)), thing("b", fmt.Sprint("b", i), i, int64(2*i+1))}
			s.write(to, s.batch(t, rows, Span(0, int64(2*i), int64(2*i+2))), want)
			s.wantRows(t, rows...)
		}
	}},
	{"an older version loses", func(s *suite) {
		to, t := s.things()
		a := thing("a", "new", 5, 0)
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.write(to, s.batch(t, []Row{thing("a", "old", 4, 1)}, Span(0, 1, 2)), sink.Stats{Unchanged: 1})
		s.wantRows(t, a)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 2})
	}},
	{"of equal versions the greater offset wins", func(s *suite) {
		to, t := s.things()
		s.write(to, s.batch(t, []Row{thing("a", "at 5", 1, 5), thing("b", "at 5", 1, 5)}, Span(0, 0, 6)), sink.Stats{Inserted: 2})
		rows := []Row{thing("a", "at 4", 1, 4), thing("b", "at 6", 1, 6)}
		s.write(to, s.batch(t, rows, Span(1, 0, 7)), sink.Stats{Updated: 1, Unchanged: 1})
		s.wantRows(t, thing("a", "at 5", 1, 5), thing("b", "at 6", 1, 6))
	}},
	{"the newest of a batch wins", func(s *suite) {
		to, t := s.things()
		rows := []Row{
			thing("a", "3", 3, 0), thing("a", "1", 1, 1), thing("a", "2", 2, 2), // by version
			thing("b", "late", 1, 4), thing("b", "early", 1, 3), // by offset
			thing("c", "dated", 0, 5), thing("c", "undated", -1, 6), // a null version is the oldest
			thing("d", "first", -1, 7), thing("d", "last", -1, 8),
		}
		s.write(to, s.batch(t, rows, Span(0, 0, 9)), sink.Stats{Inserted: 4, Unchanged: 5})
		s.wantRows(t, rows[0], rows[3], rows[5], rows[8])
	}},
	{"the newest of a batch wins over the table once", func(s *suite) {
		to, t := s.things()
		s.write(to, s.batch(t, []Row{thing("a", "0", 0, 0), thing("b", "9", 9, 1)}, Span(0, 0, 2)), sink.Stats{Inserted: 2})
		rows := []Row{thing("a", "2", 2, 2), thing("a", "1", 1, 3), thing("b", "3", 3, 4), thing("b", "4", 4, 5)}
		s.write(to, s.batch(t, rows, Span(0, 2, 6)), sink.Stats{Updated: 1, Unchanged: 3})
		s.wantRows(t, rows[0], thing("b", "9", 9, 1))
	}},
	{"a null version is older than any other", func(s *suite) {
		to, t := s.things()
		s.write(to, s.batch(t, []Row{thing("a", "undated", -1, 9), thing("b", "dated", 0, 1), thing("c", "undated", -1, 2)}, Span(0, 0, 10)), sink.Stats{Inserted: 3})
		rows := []Row{thing("a", "dated", 0, 0), thing("b", "undated", -1, 11), thing("c", "later", -1, 3)}
		s.write(to, s.batch(t, rows, Span(0, 10, 12)), sink.Stats{Updated: 2, Unchanged: 1})
		s.wantRows(t, rows[0], thing("b", "dated", 0, 1), rows[2])
	}},
	{"times before 1970 are versions too", func(s *suite) {
		to, t := s.things()
		early, later := thing("a", "1900", -1, 0), thing("a", "1950", -1, 1)
		early["updated_at"], later["updated_at"] = at(0).AddDate(-126, 0, 0), at(0).AddDate(-76, 0, 0)
		s.write(to, s.batch(t, []Row{thing("a", "undated", -1, 5)}, Span(0, 0, 6)), sink.Stats{Inserted: 1})
		s.write(to, s.batch(t, []Row{later}, Span(0, 6, 7)), sink.Stats{Updated: 1})
		s.write(to, s.batch(t, []Row{early}, Span(0, 7, 8)), sink.Stats{Unchanged: 1})
		s.wantRows(t, later)
	}},
	{"a table without versions goes by offset", func(s *suite) {
		to, t := s.open(), thingsTable()
		t.Version = ""
		s.prepare(to, t)
		s.write(to, s.batch(t, []Row{thing("a", "one", -1, 1), thing("b", "one", -1, 2)}, Span(0, 0, 3)), sink.Stats{Inserted: 2})
		s.write(to, s.batch(t, []Row{thing("a", "two", -1, 4), thing("b", "zero", -1, 0)}, Span(0, 3, 5)), sink.Stats{Updated: 1, Unchanged: 1})
		s.wantRows(t, thing("a", "two", -1, 4), thing("b", "one", -1, 2))
	}},
	{"a replay by another group changes nothing", func(s *suite) {
		to, t := s.things()
		rows := []Row{thing("a", "one", 1, 0), thing("b", "two", -1, 1), thing("a", "newer", 2, 2)}
		s.write(to, s.batch(t, rows, Span(0, 0, 3)), sink.Stats{Inserted: 2, Unchanged: 1})
		again := Span(0, 0, 3)
		again.Group = "tilestream-replay"
		s.write(to, s.batch(t, rows, again), sink.Stats{Unchanged: 3})
		s.wantRows(t, rows[1], rows[2])
		s.wantNext(to, map[sink.Partition]int64{Part(0): 3, again.Partition: 3})
	}},
	{"keys are equal by their bytes", func(s *suite) {
		to, t := s.things()
		var rows []Row
		for i, id := range []string{"a", "A", "a ", " a", "ä", "a\u0308", "Ä", "", "𝄞", "\u200f", "0", "00", "a'b", `a"b`, `a\b`, "a\nb", "NULL"} {
			r := thing(id, fmt.Sprintf("%q", id), 1, int64(i))
			if s.refuses(t, r) {
				s.wantRefused(to, t, r)
				continue
			}
			rows = append(rows, r)
		}
		s.write(to, s.batch(t, rows, Span(0, 0, 20)), sink.Stats{Inserted: int64(len(rows))})
		again := Span(0, 0, 20)
		again.Group = "replay"
		s.write(to, s.batch(t, rows, again), sink.Stats{Unchanged: int64(len(rows))})
		s.wantRows(t, rows...)
	}},
	{"a column that the batch lacks becomes null", func(s *suite) {
		to, wide := s.open(), Table("things", Column("text", String), Column("doc", JSON), Column("n", Int64))
		s.prepare(to, wide)
		full := func(id string, offset int64) Row {
			return Row{"_id": id, "text": "x", "doc": `{"a":1}`, "n": int64(1), "updated_at": at(1), "_kafka_offset": offset}
		}
		s.write(to, s.batch(wide, []Row{full("a", 0), full("b", 1)}, Span(0, 0, 2)), sink.Stats{Inserted: 2})
		b := s.batch(wide, nil, Span(0, 2, 4))
		rows := []Row{thing("a", "narrow", 2, 2), thing("c", "narrow", 2, 3)}
		b.Rows = Record(thingsTable().Schema, rows)
		s.write(to, b, sink.Stats{Inserted: 1, Updated: 1})
		s.wantRows(wide, rows[0], full("b", 1), rows[1])
	}},
	{"a batch without the version column counts as undated", func(s *suite) {
		to, t := s.things()
		s.write(to, s.batch(t, []Row{thing("a", "dated", 1, 0)}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		b := s.batch(t, nil, Span(0, 1, 3))
		b.Rows = Record(arrow.NewSchema([]arrow.Field{{Name: "_id", Type: String}, Column("text", String), {Name: "_kafka_offset", Type: Int64}}, nil),
			[]Row{thing("a", "undated", -1, 1), thing("b", "undated", -1, 2)})
		s.write(to, b, sink.Stats{Inserted: 1, Unchanged: 1})
		s.wantRows(t, thing("a", "dated", 1, 0), thing("b", "undated", -1, 2))
	}},
	{"a slice of a batch writes its own rows", func(s *suite) {
		to, t := s.things()
		rows := []Row{thing("a", "one", 1, 0), thing("b", "two", -1, 1), thing("c", "three", 2, 2), thing("d", "four", 2, 3)}
		whole := Record(t.Schema, rows)
		b := s.batch(t, nil, Span(0, 0, 3))
		b.Rows = whole.NewSlice(1, 3)
		s.write(to, b, sink.Stats{Inserted: 2})
		s.wantRows(t, rows[1], rows[2])
	}},
	{"many rows", func(s *suite) {
		const n = 20_000 // more than any sink writes in one piece
		to, t := s.things()
		rows := make([]Row, n)
		for i := range rows {
			rows[i] = thing(fmt.Sprintf("%06d", (i*7919)%n), fmt.Sprint("row ", i), i%50, int64(i))
			if i%10 == 3 {
				delete(rows[i], "text")
			}
		}
		s.write(to, s.batch(t, rows, Span(0, 0, n)), sink.Stats{Inserted: n})
		s.wantRows(t, rows...)
	}},
}
