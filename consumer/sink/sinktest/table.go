package sinktest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
)

// nullableKey is the table's schema with a key that may be null.
func nullableKey(t sink.Table) *arrow.Schema {
	fields := append([]arrow.Field(nil), t.Schema.Fields()...)
	fields[0].Nullable = true
	return arrow.NewSchema(fields, nil)
}

var tables = []testCase{
	{"a column added twice is added once", func(s *suite) {
		to, narrow := s.things()
		a := thing("a", "one", 1, 0)
		s.write(to, s.batch(narrow, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		wide := Table("things", Column("text", String), Column("n", Int64), Column("doc", JSON), Column("seen", Timestamp))
		s.prepare(to, wide)
		s.prepare(to, wide)
		other := s.open()
		s.prepare(other, wide)
		s.prepare(other, narrow) // never drops
		b := Row{"_id": "b", "n": int64(7), "doc": "[]", "seen": at(3), "updated_at": at(1), "_kafka_offset": int64(1)}
		s.write(to, s.batch(wide, []Row{b}, Span(0, 1, 2)), sink.Stats{Inserted: 1})
		s.wantRows(wide, a, b)
	}},
	{"a batch of the old schema after the new one", func(s *suite) {
		to, narrow := s.things()
		wide := Table("things", Column("text", String), Column("n", Int64))
		s.prepare(to, wide)
		b := Row{"_id": "b", "n": int64(7), "updated_at": at(1), "_kafka_offset": int64(0)}
		s.write(to, s.batch(wide, []Row{b}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		rows := []Row{thing("a", "old schema", 1, 1), thing("b", "old schema", 2, 2)}
		s.write(to, s.batch(narrow, rows, Span(0, 1, 3)), sink.Stats{Inserted: 1, Updated: 1})
		s.wantRows(wide, rows...)
	}},
	{"an int32 becomes an int64", func(s *suite) { s.widen(Int32, int32(-2147483648), Int64, int64(-9007199254740993)) }},
	{"an int32 becomes a float64", func(s *suite) { s.widen(Int32, int32(-2147483648), Float64, 0.5) }},
	{"an int64 becomes a float64", func(s *suite) { s.widen(Int64, int64(9007199254740992), Float64, 0.5) }},
	{"an int64 that a column of float64 does not hold asks for text", func(s *suite) {
		w, row := s.open(), func(id string, n any, offset int64) Row {
			return Row{"_id": id, "n": n, "updated_at": at(1), "_kafka_offset": offset}
		}
		float, integer, text := Table("things", Column("n", Float64)), Table("things", Column("n", Int64)), Table("things", Column("n", String))
		s.prepare(w, float)
		s.write(w, s.batch(float, []Row{row("a", 0.5, 0)}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.prepare(w, integer)
		b := s.batch(integer, []Row{row("b", int64(9007199254740992), 1), row("c", int64(9007199254740993), 2)}, Span(0, 1, 3))
		stats, err := w.Write(s.Context(), b)
		var rejected *sink.RejectedError
		switch {
		case err == nil:
			s.Logf("kept beside doubles: %+v", stats)
			return
		case !errors.As(err, &rejected) || !rejected.Text || rejected.Column != "n":
			s.Fatalf("Write: %v, want a *RejectedError about n that asks for text", err)
		}
		s.prepare(w, text)
		s.write(w, b, sink.Stats{Inserted: 2})
		s.wantRows(text, row("a", "0.5", 0), row("b", "9007199254740992", 1), row("c", "9007199254740993", 2))
	}},
	{"Prepare by many at once", func(s *suite) {
		var wg sync.WaitGroup
		for i := range 4 {
			to := s.open()
			wg.Go(func() {
				for _, t := range []sink.Table{
					thingsTable(),
					Table("things", Column("text", String), Column(fmt.Sprint("own_", i), Int64)),
					Table("things", Column("text", String), Column("shared", JSON)),
					Table(fmt.Sprint("table_", i%2), Column("text", String)),
				} {
					if err := to.Prepare(s.Context(), t); err != nil {
						s.Errorf("Prepare %s by %d: %v", t.Name, i, err)
					}
				}
			})
		}
		wg.Wait()
		t := Table("things", Column("text", String), Column("own_0", Int64), Column("own_3", Int64), Column("shared", JSON))
		a := thing("a", "one", 1, 0)
		a["own_0"], a["own_3"], a["shared"] = int64(0), int64(3), "{}"
		to := s.open()
		s.prepare(to, t)
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.wantRows(t, a)
	}},
	{"odd names", func(s *suite) {
		long := strings.Repeat("a_long_name_", 8)
		to := s.open()
		var next int64
		for _, table := range []string{"select", "Upper Case", "dot.ted", `quo"ted`, "o'clock", "größe", "日本語", "semi;colon", "100%", long + "1", long + "2"} {
			t := Table(table)
			columns := []arrow.Field{{Name: "_id", Type: String}, Column("updated_at", Timestamp), {Name: "_kafka_offset", Type: Int64}}
			row := Row{"_id": table, "updated_at": at(1), "_kafka_offset": next}
			for _, c := range []string{"user", "order", "Upper Case", "dot.ted", `quo"ted`, "o'clock", "größe", "日本語", "a b", "100%", "$1", "?", "xmin", "rowid", "old", long + "1", long + "2"} {
				columns = append(columns, Column(c, String))
				row[c] = "value of " + c
			}
			t.Schema = arrow.NewSchema(columns, nil)
			s.prepare(to, t)
			s.write(to, s.batch(t, []Row{row}, Span(0, next, next+1)), sink.Stats{Inserted: 1})
			row["_kafka_offset"] = next + 1
			s.write(to, s.batch(t, []Row{row}, Span(0, next+1, next+2)), sink.Stats{Updated: 1})
			next += 2
			s.wantRows(t, row)
		}
	}},
	{"tables do not mix", func(s *suite) {
		to := s.open()
		one, two := Table("one", Column("text", String)), Table("two", Column("text", String))
		s.prepare(to, one)
		s.prepare(to, two)
		a, b := thing("a", "in one", 1, 0), thing("a", "in two", 1, 0)
		s.write(to, s.batch(one, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.write(to, s.batch(two, []Row{b}, Span(1, 0, 1)), sink.Stats{Inserted: 1})
		s.wantRows(one, a)
		s.wantRows(two, b)
	}},
}

// widen fills a column of one type, prepares it for another and writes values of both, the old type last.
func (s *suite) widen(from arrow.DataType, old any, to arrow.DataType, fresh any) {
	w := s.open()
	before, after := Table("things", Column("n", from)), Table("things", Column("n", to))
	row := func(id string, n any, offset int64) Row {
		return Row{"_id": id, "n": n, "updated_at": at(1), "_kafka_offset": offset}
	}
	s.prepare(w, before)
	s.write(w, s.batch(before, []Row{row("a", old, 0), row("null", nil, 1)}, Span(0, 0, 2)), sink.Stats{Inserted: 2})
	s.prepare(w, after)
	s.write(w, s.batch(after, []Row{row("b", fresh, 2)}, Span(0, 2, 3)), sink.Stats{Inserted: 1})
	s.prepare(w, before) // a consumer that still holds the old schema
	s.write(w, s.batch(before, []Row{row("c", old, 3)}, Span(0, 3, 4)), sink.Stats{Inserted: 1})
	wide := old
	if arrow.TypeEqual(to, Float64) {
		switch n := old.(type) {
		case int32:
			wide = float64(n)
		case int64:
			wide = float64(n)
		}
	}
	s.wantRows(after, row("a", wide, 0), row("null", nil, 1), row("b", fresh, 2), row("c", wide, 3))
}
