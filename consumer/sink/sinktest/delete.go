package sinktest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"tilestream/consumer/sink"
)

// listed describes a table whose rows can be deleted, ordered by what reads them: a list that is read whole, by
// extraction; other tables by their own dates.
func listed(name, version string) sink.Table {
	t := Table(name, Column("text", String), Column("_extracted_at", Timestamp), Column("_deleted_at", Timestamp), Column("_deleted_offset", Int64))
	t.Version, t.Deleted, t.DeletedOffset = version, "_deleted_at", "_deleted_offset"
	return t
}

// read is a document of a listed table, as it was read at a time; the offset is that time, too.
func read(id, text string, version, offset int) Row {
	return Row{"_id": id, "text": text, "updated_at": at(version), "_extracted_at": at(offset), "_kafka_offset": int64(offset)}
}

// gone is a tombstone as load makes it.
func gone(id string, offset int) Row {
	return Row{"_id": id, "_extracted_at": at(offset), "_kafka_offset": int64(offset), "_deleted_at": at(offset), "_deleted_offset": int64(offset)}
}

// deleted is the row with its deletion.
func deleted(r Row, offset int) Row {
	r = maps.Clone(r)
	r["_deleted_at"], r["_deleted_offset"] = at(offset), int64(offset)
	return r
}

var deletions = []testCase{
	{"what a tombstone does, record by record", func(s *suite) {
		first, last := read("a", "first", 5, 1), read("a", "last", 9, 3)
		for i, c := range []struct {
			name    string
			records []Row
			want    []Row
		}{
			{"a deleted row keeps its values", []Row{first, last, gone("a", 4)}, []Row{deleted(last, 4)}},
			{"a document comes back as it was", []Row{last, gone("a", 4), read("a", "last", 9, 6)}, []Row{read("a", "last", 9, 6)}},
			{"a document comes back older than it was", []Row{last, gone("a", 4), read("a", "restored", 2, 6)}, []Row{read("a", "restored", 2, 6)}},
			{"and is deleted again", []Row{last, gone("a", 4), read("a", "restored", 2, 6), gone("a", 7)}, []Row{deleted(read("a", "restored", 2, 6), 7)}},
			{"a late replay revives nothing", []Row{first, last, gone("a", 4), first, last}, []Row{deleted(last, 4)}},
			{"a late deletion deletes nothing", []Row{read("a", "back", 9, 6), gone("a", 4)}, []Row{read("a", "back", 9, 6)}},
			{"a deletion of what nobody has seen", []Row{gone("a", 4)}, []Row{stub("a", 4)}},
			{"the document after its deletion", []Row{gone("a", 4), first, last}, []Row{deleted(last, 4)}},
			{"the newest document after its deletion", []Row{gone("a", 4), last, first}, []Row{deleted(last, 4)}},
			{"two deletions, then the document", []Row{gone("a", 2), gone("a", 4), first}, []Row{deleted(first, 4)}},
			{"two deletions, the newer first", []Row{first, gone("a", 4), gone("a", 2)}, []Row{deleted(first, 4)}},
			{"others stay", []Row{first, read("b", "other", 1, 2), gone("a", 4)}, []Row{deleted(first, 4), read("b", "other", 1, 2)}},
		} {
			for _, size := range []int{1, 2, len(c.records)}[:s.some(3)] { // batches of one record, of two, of all
				t := listed(fmt.Sprintf("case %d by %d", i, size), "_extracted_at")
				to := s.open()
				s.prepare(to, t)
				s.deliver(to, t, slices.Collect(slices.Chunk(c.records, size)))
				if d := Diff(t, c.want, s.d.Read(s.T, t)); d != "" {
					s.Errorf("%s, in batches of %d (-want +got):\n%s", c.name, size, d)
				}
			}
		}
	}},
	{"a deletion counts as an update, and names its load", func(s *suite) {
		to, t := s.open(), listed("tags", "_extracted_at")
		s.prepare(to, t)
		a := read("a", "one", 1, 0)
		a["_load_id"] = "first"
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		g := gone("a", 1)
		g["_load_id"] = "second"
		s.write(to, s.batch(t, []Row{g, gone("b", 2)}, Span(0, 1, 3)), sink.Stats{Inserted: 1, Updated: 1})
		want := deleted(a, 1)
		if !s.d.KeepsVersions {
			want["_load_id"] = "second"
		}
		s.wantRows(t, want, stub("b", 2))
		again := Span(0, 0, 3)
		again.Group = "replay"
		s.write(to, s.batch(t, []Row{a, g, gone("b", 2)}, again), sink.Stats{Unchanged: 3})
		s.wantRows(t, want, stub("b", 2))
	}},
	{"any order and repetition of records gives the same table", func(s *suite) {
		for i, version := range []string{"_extracted_at", "updated_at", ""} {
			for _, hard := range []bool{false, true} {
				if hard && s.d.KeepsVersions {
					continue
				}
				for seed := range uint64(s.some(4)) {
					t := listed(fmt.Sprint("table ", i, " ", hard, " ", seed), version)
					t.HardDelete = hard
					s.shuffled(t, rand.New(rand.NewPCG(seed, uint64(i))))
				}
			}
		}
	}},
}

// stub is what a table shows of a tombstone without a document.
func stub(id string, offset int) Row {
	return Row{"_id": id, "_deleted_at": at(offset), "_deleted_offset": int64(offset)}
}

// deliver writes batches, each under a group of its own, as replays are.
func (s *suite) deliver(to sink.Sink, t sink.Table, batches [][]Row) {
	s.Helper()
	for _, rows := range batches {
		b := s.batch(t, rows, Span(0, 0, 100))
		b.Ranges[0].Group = b.ID
		if _, err := to.Write(s.Context(), b); err != nil {
			s.Fatalf("Write %s: %v", b.ID, err)
		}
	}
}

// shuffled delivers a log of few keys in pieces: cut anywhere, in any order, some of them again and again.
func (s *suite) shuffled(t sink.Table, rnd *rand.Rand) {
	var log []Row
	for offset := range s.some(60) {
		id := fmt.Sprint("key ", rnd.IntN(6))
		if rnd.IntN(3) == 0 {
			log = append(log, gone(id, offset))
		} else {
			log = append(log, read(id, fmt.Sprint("at ", offset), rnd.IntN(60), offset))
		}
	}
	var pieces [][]Row
	for rest := log; len(rest) > 0; {
		n := min(len(rest), 1+rnd.IntN(8))
		pieces = append(pieces, rest[:n])
		rest = rest[n:]
	}
	for range 6 { // replays
		from := rnd.IntN(len(log))
		pieces = append(pieces, log[from:min(len(log), from+1+rnd.IntN(30))])
	}
	rnd.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
	to := s.open()
	s.prepare(to, t)
	s.deliver(to, t, pieces)
	if d := Diff(t, whole(t, log), s.d.Read(s.T, t)); d != "" {
		s.Errorf("%s, ordered by %q (-want +got):\n%s", t.Name, t.Version, d)
	}
}

// whole is the table that a log makes: of each key the newest document, and the newest tombstone where it is newer.
func whole(t sink.Table, log []Row) (rows []Row) {
	rank := func(r Row) [2]int64 { return rankOf(t, r) }
	docs, tombs := map[string]Row{}, map[string]Row{}
	for _, r := range log {
		best := docs
		if r[t.Deleted] != nil {
			best = tombs
		}
		id := r["_id"].(string)
		if held := best[id]; held == nil || less(rank(held), rank(r)) {
			best[id] = r
		}
	}
	for id, r := range docs {
		if dead := tombs[id]; dead == nil || less(rank(dead), rank(r)) {
			rows = append(rows, r)
		} else if !t.HardDelete {
			rows = append(rows, deleted(r, int(dead[t.Offset].(int64))))
		}
	}
	for id, r := range tombs {
		if docs[id] == nil && !t.HardDelete {
			dead := stub(id, int(r[t.Offset].(int64)))
			if t.Version != "_extracted_at" { // else it is of the document, which is not there
				dead["_extracted_at"] = r["_extracted_at"]
			}
			rows = append(rows, dead)
		}
	}
	return rows
}

func less(a, b [2]int64) bool { return slices.Compare(a[:], b[:]) < 0 }
