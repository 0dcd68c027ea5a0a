package sinktest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
)

var beginning = at(0).AddDate(-2025, -4, -3) // of undated versions: year 1

var modes = []testCase{
	{"append and history keep every version once, in any order and repetition", func(s *suite) {
		for _, mode := range []sink.Mode{sink.Append, sink.History} {
			for i, version := range []string{"_extracted_at", "updated_at", ""} {
				for seed := range uint64(s.some(3)) {
					t := listed(fmt.Sprint("table ", i, " ", mode, " ", seed), version)
					t.Mode = mode
					s.versions(t, rand.New(rand.NewPCG(seed, uint64(i))))
				}
			}
		}
	}},
	{"a late version mends both neighbours", func(s *suite) {
		t := thingsTable()
		t.Mode = sink.History
		to := s.open()
		s.prepare(to, t)
		first, middle, last := thing("a", "1", 1, 0), thing("a", "2", 2, 1), thing("a", "3", 3, 2)
		s.write(to, s.batch(t, []Row{first, last}, Span(0, 0, 3)), sink.Stats{Inserted: 2})
		s.wantVersions(t, held(first, 1, 3), held(last, 3, 0))
		s.write(to, s.batch(t, []Row{middle, last}, Span(1, 0, 2)), sink.Stats{Inserted: 1, Unchanged: 1})
		s.wantVersions(t, held(first, 1, 2), held(middle, 2, 3), held(last, 3, 0))
	}},
	{"a version that ends names the load that ended it", func(s *suite) {
		if s.d.KeepsVersions {
			s.Skip("what was loaded stays as it is")
		}
		t := loaded(Column("text", String))
		t.Mode = sink.History
		to := s.open()
		s.prepare(to, t)
		a, b, other := thing("a", "1", 1, 0), thing("a", "2", 2, 1), thing("b", "1", 1, 2)
		s.write(to, s.batch(t, []Row{load(a, 1), load(other, 1)}, Span(0, 0, 3)), sink.Stats{Inserted: 2})
		s.write(to, s.batch(t, []Row{load(b, 2)}, Span(1, 0, 2)), sink.Stats{Inserted: 1})
		s.wantVersions(t, held(load(a, 2), 1, 2), held(load(b, 2), 2, 0), held(load(other, 1), 1, 0))
	}},
	{"a replay fills a version", func(s *suite) {
		for _, mode := range []sink.Mode{sink.Append, sink.History} {
			narrow, wide := loaded(Column("text", String)), loaded(Column("text", String), Column("n", Int64))
			narrow.Name += string(mode)
			narrow.Mode, wide.Name, wide.Mode = mode, narrow.Name, mode
			to := s.open()
			s.prepare(to, narrow)
			a, b := thing("a", "one", 1, 0), thing("a", "two", 2, 1)
			first := s.replay(narrow, []Row{load(a, 1), load(b, 1)})
			first.Again = false
			s.write(to, first, sink.Stats{Inserted: 2})
			s.prepare(to, wide)
			a2 := with(load(a, 2), "n", int64(1))
			s.write(to, s.replay(wide, []Row{a2, load(b, 1)}), sink.Stats{Updated: 1, Unchanged: 1})
			want := []Row{a2, load(b, 1)}
			if mode == sink.History {
				want = []Row{held(a2, 1, 2), held(load(b, 1), 2, 0)}
			}
			s.wantVersions(wide, want...)
		}
	}},
	{"a table keeps the mode in which it was made", func(s *suite) {
		if s.d.KeepsVersions {
			s.Skip("files are the same in every mode")
		}
		all := []sink.Mode{sink.Upsert, sink.Append, sink.History}
		for _, made := range all {
			t := thingsTable()
			t.Name, t.Mode = "made_"+made.String(), made
			s.prepare(s.open(), t)
			for _, used := range all {
				t.Mode = used
				err := s.open().Prepare(s.Context(), t)
				if (err == nil) != (made == used) {
					s.Errorf("made as %s, used as %s: %v", made, used, err)
				}
				for _, word := range []string{t.Name, made.String(), used.String(), "WRITE_MODE", "WAREHOUSE_DATASET", "consumer replay"} {
					if err != nil && !strings.Contains(err.Error(), word) {
						s.Errorf("made as %s, used as %s: %v: does not say %q", made, used, err, word)
					}
				}
			}
		}
	}},
	{"tables that keep every version remove none", func(s *suite) {
		if s.d.KeepsVersions {
			s.Skip("hard deletes are refused for files altogether")
		}
		t := listed("tags", "_extracted_at")
		t.Mode, t.HardDelete = sink.Append, true
		if err := s.open().Prepare(s.Context(), t); err == nil || !strings.Contains(err.Error(), "DELETE_MODE=soft") {
			s.Errorf("Prepare: %v", err)
		}
	}},
}

// held is a version with the time in which it held; to 0: still.
func held(r Row, from, to int) Row {
	r = with(r, "_valid_from", at(from))
	if to > 0 {
		r["_valid_to"] = at(to)
	}
	return r
}

// wantVersions compares rows of which a key may have several.
func (s *suite) wantVersions(t sink.Table, want ...Row) {
	s.Helper()
	if d := Diff(t, versionRows(t, want), versionRows(t, s.readVersions(t))); d != "" {
		s.Errorf("%s differs (-want +got):\n%s", t.Name, d)
	}
}

func (s *suite) readVersions(t sink.Table) []Row {
	if t.Mode == sink.History {
		t.Schema = arrow.NewSchema(append(t.Schema.Fields(), Column("_valid_from", Timestamp), Column("_valid_to", Timestamp)), nil)
	}
	return s.d.Read(s.T, t)
}

// versionRows gives each version a key of its own, for Diff.
func versionRows(t sink.Table, rows []Row) []Row {
	rows = slices.Clone(rows)
	for i, r := range rows {
		rows[i] = with(r, t.Key, fmt.Sprint(r[t.Key], " ", rankOf(t, r)))
	}
	return rows
}

// versions delivers a log as shuffled does, and compares with every version of it, and what is current with the upsert table.
func (s *suite) versions(t sink.Table, rnd *rand.Rand) {
	var log []Row
	for offset := range s.some(60) {
		id := fmt.Sprint("key ", rnd.IntN(6))
		if rnd.IntN(3) == 0 {
			log = append(log, gone(id, offset))
			continue
		}
		r := read(id, fmt.Sprint("at ", offset), rnd.IntN(60), offset)
		if rnd.IntN(6) == 0 && t.Version == "updated_at" {
			delete(r, "updated_at")
		}
		log = append(log, r)
	}
	pieces := slices.Collect(slices.Chunk(log, 1+rnd.IntN(8)))
	for range 6 { // replays
		from := rnd.IntN(len(log))
		pieces = append(pieces, log[from:min(len(log), from+1+rnd.IntN(30))])
	}
	rnd.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	to := s.open()
	s.prepare(to, t)
	for _, rows := range pieces {
		b := s.replay(t, rows)
		b.Again = rnd.IntN(2) == 0
		if _, err := to.Write(s.Context(), b); err != nil {
			s.Fatalf("Write %s: %v", b.ID, err)
		}
	}
	want := log
	if t.Mode == sink.History {
		want = history(t, log)
	}
	s.wantVersions(t, want...)

	if t.Mode != sink.History {
		return
	}
	var now, living []Row
	for _, r := range s.readVersions(t) {
		if r["_valid_to"] == nil && r[t.Deleted] == nil {
			now = append(now, with(with(r, "_valid_from", nil), "_valid_to", nil))
		}
	}
	for _, r := range whole(t, log) {
		if r[t.Deleted] == nil {
			living = append(living, r)
		}
	}
	if d := Diff(t, living, now); d != "" {
		s.Errorf("%s: what is current differs from upsert (-want +got):\n%s", t.Name, d)
	}
}

// rankOf orders versions, tombstones among them.
func rankOf(t sink.Table, r Row) [2]int64 {
	column := t.Version
	if r[t.Deleted] != nil {
		column = t.Deleted
	}
	if t.Version == "" {
		return [2]int64{0, r[t.Offset].(int64)}
	}
	return [2]int64{millis(r[column]), r[t.Offset].(int64)}
}

// history is the log with the time in which each version held.
func history(t sink.Table, log []Row) []Row {
	log = slices.SortedFunc(slices.Values(log), func(a, b Row) int {
		ra, rb := rankOf(t, a), rankOf(t, b)
		return slices.Compare(ra[:], rb[:])
	})
	last := map[string]Row{}
	var out []Row
	for _, r := range log {
		r = maps.Clone(r)
		column := t.Version
		if r[t.Deleted] != nil {
			column = t.Deleted
		}
		r["_valid_from"] = beginning
		if t.Version != "" && r[column] != nil {
			r["_valid_from"] = r[column]
		}
		id := r[t.Key].(string)
		if before := last[id]; before != nil {
			before["_valid_to"] = r["_valid_from"]
		}
		last[id] = r
		out = append(out, r)
	}
	return out
}
