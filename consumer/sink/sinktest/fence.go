package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"tilestream/consumer/sink"
)

// wantFenced writes and wants to be told that the ledger is elsewhere.
func (s *suite) wantFenced(to sink.Sink, b sink.Batch) {
	s.Helper()
	stats, err := to.Write(s.Context(), b)
	if !errors.Is(err, sink.ErrFenced) || stats != (sink.Stats{}) {
		s.Errorf("Write %s: %+v, %v, want ErrFenced", b.ID, stats, err)
	}
}

// wantRejected writes and wants a *RejectedError.
func (s *suite) wantRejected(to sink.Sink, b sink.Batch) {
	s.Helper()
	var rejected *sink.RejectedError
	stats, err := to.Write(s.Context(), b)
	if !errors.As(err, &rejected) || stats != (sink.Stats{}) {
		s.Errorf("Write %s: %+v, %v, want a *RejectedError", b.ID, stats, err)
	}
}

var fences = []testCase{
	{"a batch ahead of the ledger or behind it changes nothing", func(s *suite) {
		to, t := s.things()
		a := thing("a", "one", 1, 0)
		s.wantFenced(to, s.batch(t, []Row{a}, Span(0, 7, 8)))
		s.wantRows(t)
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 5)), sink.Stats{Inserted: 1})
		for _, from := range []int64{0, 4, 6} {
			s.wantFenced(to, s.batch(t, []Row{thing("a", "zombie", 2, 9), thing("b", "zombie", 2, 9)}, Span(0, from, 10)))
		}
		s.wantFenced(to, sink.Batch{ID: "empty", Table: t, Ranges: []sink.Range{Span(0, 4, 10)}})
		s.wantRows(t, a)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 5})
	}},
	{"a batch without rows sets the ledger to any value, and partitions below 0 have one too", func(s *suite) {
		to, t := s.things()
		moved := func(ranges ...sink.Range) sink.Batch { return sink.Batch{ID: "moved", Table: t, Ranges: ranges} }
		s.write(to, s.batch(t, []Row{thing("a", "one", 1, 0)}, Span(0, 0, 9)), sink.Stats{Inserted: 1})
		s.write(to, moved(Span(0, 9, 2), Span(-1, 0, math.MaxInt64), Span(-7, 0, 5)), sink.Stats{})
		s.wantNext(to, map[sink.Partition]int64{Part(0): 2, Part(-1): math.MaxInt64, Part(-7): 5, Part(-2): 0})
		s.wantFenced(to, moved(Span(-1, 0, 3)))
		s.wantFenced(to, moved(Span(0, 9, 10)))
		s.write(to, moved(Span(-1, math.MaxInt64, 3), Span(0, 2, 0)), sink.Stats{})
		s.wantNext(to, map[sink.Partition]int64{Part(0): 0, Part(-1): 3})
		s.wantRows(t, thing("a", "one", 1, 0))
	}},
	{"one range of several that is off fences all", func(s *suite) {
		to, t := s.things()
		a := thing("a", "one", 1, 0)
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 1), Span(1, 0, 1), Span(2, 0, 1)), sink.Stats{Inserted: 1})
		s.wantFenced(to, s.batch(t, []Row{thing("b", "two", 1, 0)}, Span(0, 1, 2), Span(1, 0, 2), Span(2, 1, 2)))
		s.wantFenced(to, s.batch(t, []Row{thing("b", "two", 1, 0)}, Span(3, 0, 2), Span(4, 9, 10)))
		s.wantRows(t, a)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 1, Part(1): 1, Part(2): 1, Part(3): 0, Part(4): 0})
	}},
	{"an empty batch moves the ledger", func(s *suite) {
		to, t := s.things()
		s.write(to, sink.Batch{ID: "nil", Table: t, Ranges: []sink.Range{Span(0, 0, 3)}}, sink.Stats{})
		s.wantNext(to, map[sink.Partition]int64{Part(0): 3})
		s.write(to, s.batch(t, nil, Span(0, 3, 5)), sink.Stats{}) // a record batch of no rows
		s.wantNext(to, map[sink.Partition]int64{Part(0): 5})
		s.wantRows(t)
	}},
	{"an empty batch needs no table", func(s *suite) {
		to := s.open()
		s.write(to, sink.Batch{ID: "nil", Table: thingsTable(), Ranges: []sink.Range{Span(0, 0, 3)}}, sink.Stats{})
		s.wantNext(to, map[sink.Partition]int64{Part(0): 3})
	}},
	{"offsets have holes, and reach far", func(s *suite) {
		to, t := s.things()
		const far = int64(1) << 62
		s.write(to, s.batch(t, []Row{thing("a", "one", 1, far-1)}, Span(0, 0, far)), sink.Stats{Inserted: 1})
		s.write(to, s.batch(t, []Row{thing("a", "two", 1, far+5)}, Span(0, far, far+10)), sink.Stats{Updated: 1})
		s.wantRows(t, thing("a", "two", 1, far+5))
		s.wantNext(to, map[sink.Partition]int64{Part(0): far + 10})
	}},
	{"clusters, groups and topics have ledgers of their own", func(s *suite) {
		to, t := s.things()
		a := thing("a", "one", 1, 0)
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 5)), sink.Stats{Inserted: 1})
		others := []sink.Range{Span(0, 0, 1), Span(0, 0, 1), Span(0, 0, 1), Span(1, 0, 1)}
		others[0].Cluster, others[1].Group, others[2].Topic = "other", "other", "other"
		want := map[sink.Partition]int64{Part(0): 5}
		for _, r := range others {
			s.wantNext(to, map[sink.Partition]int64{r.Partition: 0})
			s.write(to, s.batch(t, []Row{a}, r), sink.Stats{Unchanged: 1})
			want[r.Partition] = 1
		}
		odd := sink.Range{Partition: sink.Partition{Cluster: "o'dd \"x\"", Group: "größe/..", Topic: "a.b-c_d", ID: 2147483647}, To: 1}
		s.write(to, s.batch(t, []Row{a}, odd), sink.Stats{Unchanged: 1})
		want[odd.Partition] = 1
		s.wantNext(to, want)
	}},
	{"Next of no partitions is empty", func(s *suite) {
		got, err := s.open().Next(s.Context(), nil)
		if len(got) != 0 || err != nil {
			s.Errorf("Next: %v, %v", got, err)
		}
	}},
	{"a restart goes on where it was", func(s *suite) {
		to, t := s.things()
		s.write(to, s.batch(t, []Row{thing("a", "one", 1, 0)}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		if err := to.Close(); err != nil {
			s.Fatal(err)
		}
		again := s.open()
		s.prepare(again, t)
		s.wantNext(again, map[sink.Partition]int64{Part(0): 1})
		s.wantFenced(again, s.batch(t, []Row{thing("b", "two", 1, 1)}, Span(0, 0, 2)))
		s.write(again, s.batch(t, []Row{thing("a", "uno", 2, 1)}, Span(0, 1, 2)), sink.Stats{Updated: 1})
		s.wantRows(t, thing("a", "uno", 2, 1))
	}},
	{"a rejected write changes nothing", func(s *suite) {
		to, t := s.things()
		a := thing("a", "one", 1, 0)
		s.write(to, s.batch(t, []Row{a}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		nameless := thing("", "no key", 1, 2)
		delete(nameless, "_id")
		b := s.batch(t, nil, Span(0, 1, 3))
		b.Rows = Record(nullableKey(t), []Row{thing("a", "two", 2, 1), nameless})
		s.wantRejected(to, b)
		s.wantRows(t, a)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 1})
		b.Rows = b.Rows.NewSlice(0, 1) // the half without the bad row
		s.write(to, b, sink.Stats{Updated: 1})
	}},
	{"a cancelled write changes nothing", func(s *suite) {
		to, t := s.things()
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		if _, err := to.Write(ctx, s.batch(t, []Row{thing("a", "one", 1, 0)}, Span(0, 0, 1))); !errors.Is(err, context.Canceled) {
			s.Errorf("Write: %v, want context.Canceled", err)
		}
		s.wantRows(t)
		s.wantNext(to, map[sink.Partition]int64{Part(0): 0})
	}},
	{"a write cancelled on its way is whole or nothing", cancelled},
	{"of two writers of one range one wins", func(s *suite) {
		one, t := s.things()
		two := s.open()
		s.prepare(two, t)
		text := func(round int64, writer int) string {
			if s.d.Ahead { // the rows of both may be written, and are the same, as the same offsets are
				writer = 0
			}
			return fmt.Sprintf("%d by %d", round, writer)
		}
		rounds := int64(s.some(10))
		for round := range rounds {
			errs := make([]error, 2)
			batches := [2]sink.Batch{}
			for i := range batches {
				batches[i] = s.batch(t, []Row{thing("a", text(round, i), int(round), round)}, Span(0, round, round+1), Span(1, round, round+1))
			}
			var wg sync.WaitGroup
			for i, to := range []sink.Sink{one, two} {
				wg.Go(func() { _, errs[i] = to.Write(s.Context(), batches[i]) })
			}
			wg.Wait()
			winner := 0
			if errs[0] != nil {
				winner = 1
			}
			if errs[winner] != nil || !errors.Is(errs[1-winner], sink.ErrFenced) {
				s.Fatalf("round %d: %v; %v: want one to win, the other fenced", round, errs[0], errs[1])
			}
			s.wantRows(t, thing("a", text(round, winner), int(round), round))
		}
		s.wantNext(two, map[sink.Partition]int64{Part(0): rounds, Part(1): rounds})
	}},
	{"writers of different partitions do not disturb each other", func(s *suite) {
		_, t := s.things()
		const writers = 4
		rounds := s.some(8)
		var wg sync.WaitGroup
		for w := range int32(writers) {
			to := s.open()
			s.prepare(to, t)
			var batches []sink.Batch
			for r := range int64(rounds) { // all write the same keys, in different orders
				var rows []Row
				for k := range 20 {
					rows = append(rows, thing(fmt.Sprint("key ", (k*int(w+1)*7)%20), fmt.Sprint(r, " by ", w), int(r), r*writers+int64(w)))
				}
				batches = append(batches, s.batch(t, rows, Span(w, r, r+1)))
			}
			wg.Go(func() {
				for _, b := range batches {
					if _, err := to.Write(s.Context(), b); err != nil {
						s.Errorf("%v: %v", b.Ranges, err)
						return
					}
				}
			})
		}
		wg.Wait()
		var want []Row
		for k := range 20 {
			last, newest := int64(rounds-1), int64(-1)
			for w := range int64(writers) {
				for j := range 20 {
					if (j*int(w+1)*7)%20 == k {
						newest = max(newest, w)
					}
				}
			}
			if newest >= 0 {
				want = append(want, thing(fmt.Sprint("key ", k), fmt.Sprint(last, " by ", newest), int(last), last*writers+newest))
			}
		}
		s.wantRows(t, want...)
	}},
}
