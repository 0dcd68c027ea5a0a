package sinktest

import (
	"errors"

	"tilestream/consumer/sink"
)

var merges = []testCase{
	{"rows arrive and the ledger moves", func(s *suite) {
		to, things := s.open(), Table("things", Column("text", String))
		s.prepare(to, things)
		a := Row{"_id": "a", "text": "one", "updated_at": at(1), "_kafka_offset": int64(0)}
		s.write(to, s.batch(things, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.wantRows(things, a)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 1, Part(1): 0})
	}},
}

var types, tables, sequences []testCase

var fences = []testCase{
	{"a fenced write changes nothing", func(s *suite) {
		to, things := s.open(), Table("things", Column("text", String))
		s.prepare(to, things)
		a := Row{"_id": "a", "text": "one", "updated_at": at(1), "_kafka_offset": int64(7)}
		if _, err := to.Write(s.Context(), s.batch(things, []Row{a}, Span(0, 7, 8))); !errors.Is(err, sink.ErrFenced) {
			s.Fatalf("Write: %v, want ErrFenced", err)
		}
		s.wantRows(things)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 0})
	}},
}
