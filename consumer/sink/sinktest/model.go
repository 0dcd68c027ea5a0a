package sinktest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"tilestream/consumer/sink"
)

// model is what a warehouse must hold, in memory.
type model struct {
	ledger map[sink.Partition]int64
	rows   map[string]Row
}

// write does to the model what Write must do to a warehouse.
func (m *model) write(rows []Row, ranges []sink.Range) (st sink.Stats, fenced bool) {
	for _, r := range ranges {
		if m.ledger[r.Partition] != r.From {
			return st, true
		}
	}
	best := map[string]Row{}
	for _, r := range rows {
		key := r["_id"].(string)
		if held, ok := best[key]; !ok || newer(r, held) {
			best[key] = r
		}
	}
	st.Unchanged = int64(len(rows))
	for key, r := range best {
		held, ok := m.rows[key]
		if ok && !newer(r, held) {
			continue
		}
		m.rows[key] = r
		st.Unchanged--
		if ok {
			st.Updated++
		} else {
			st.Inserted++
		}
	}
	for _, r := range ranges {
		m.ledger[r.Partition] = r.To
	}
	return st, false
}

func newer(a, b Row) bool {
	va, vb := millis(a["updated_at"]), millis(b["updated_at"])
	if va != vb {
		return va > vb
	}
	return a["_kafka_offset"].(int64) > b["_kafka_offset"].(int64)
}

var sequences = []testCase{
	{"any sequence of batches ends as in the model", func(s *suite) {
		for seed := range uint64(s.some(3)) {
			s.sequence(rand.New(rand.NewPCG(seed, 4)), fmt.Sprint("random_", seed), fmt.Sprint("group-", seed))
		}
	}},
}

// sequence writes random batches: of few keys and versions, so that they meet; some replayed, some fenced, some empty,
// with restarts in between.
func (s *suite) sequence(rnd *rand.Rand, name, group string) {
	m := model{ledger: map[sink.Partition]int64{}, rows: map[string]Row{}}
	t := Table(name, Column("text", String), Column("n", Int64))
	to := s.open()
	s.prepare(to, t)
	var past [][]Row
	for step := range s.some(40) {
		if rnd.IntN(8) == 0 {
			to = s.open()
			s.prepare(to, t)
		}
		var ranges []sink.Range
		for _, id := range rnd.Perm(3)[:1+rnd.IntN(3)] {
			r := Span(int32(id), 0, 0)
			r.Group = group
			r.From = m.ledger[r.Partition]
			if rnd.IntN(10) == 0 {
				r.From += int64(rnd.IntN(3)) - 1
			}
			r.To = r.From + int64(rnd.IntN(20))
			ranges = append(ranges, r)
		}
		var rows []Row
		switch {
		case rnd.IntN(6) == 0 && len(past) > 0:
			rows = past[rnd.IntN(len(past))]
		case rnd.IntN(8) > 0:
			for range rnd.IntN(30) {
				rows = append(rows, randomRow(rnd, int64(step*100)))
			}
			past = append(past, rows)
		}
		want, fenced := m.write(rows, ranges)
		b := s.batch(t, rows, ranges...)
		if fenced {
			s.wantFenced(to, b)
			continue
		}
		s.write(to, b, want)
	}
	s.wantRows(t, slices.Collect(maps.Values(m.rows))...)
	s.wantNext(to, m.ledger)
}

func randomRow(rnd *rand.Rand, offset int64) Row {
	r := Row{"_id": fmt.Sprint("key ", rnd.IntN(40)), "_kafka_offset": offset + int64(rnd.IntN(100))}
	// Equal version and offset mean the same record, so the values follow from them.
	if v := rnd.IntN(12); v > 0 {
		r["updated_at"] = at(v)
	}
	r["n"] = r["_kafka_offset"].(int64)*100 + millis(r["updated_at"])%100_000/1000
	if r["n"].(int64)%3 > 0 {
		r["text"] = fmt.Sprint(r["_id"], " at ", r["n"])
	}
	return r
}
