package sinktest

import (
	"context"
	"fmt"
	"time"

	"tilestream/consumer/sink"
)

// cancelled cancels writes after less and less time, so that some end before they begin, some in the middle and some
// after the commit. The ledger and the rows must tell the same story, and the warehouse must go on working.
func cancelled(s *suite) {
	to, t := s.things()
	var next int64
	var rows []Row
	took := 40 * time.Millisecond
	if s.d.Slow {
		took = 16 * time.Second
	}
	// An offset is the same row each time: over a network, a write that was cancelled can be committed after Next.
	piece := func() (sink.Batch, []Row) {
		fresh := make([]Row, 3000)
		for i := range fresh {
			fresh[i] = thing(fmt.Sprint(next+int64(i)), "text", 1, next+int64(i))
		}
		return s.batch(t, fresh, Span(0, next, next+int64(len(fresh)))), fresh
	}
	for range 12 {
		b, fresh := piece()
		ctx, cancel := context.WithTimeout(s.Context(), took)
		_, written := to.Write(ctx, b)
		cancel()
		now, err := to.Next(s.Context(), []sink.Partition{Part(0)})
		if err != nil {
			s.Fatalf("Next after a cancelled write: %v", err)
		}
		switch {
		case now[Part(0)] == b.Ranges[0].To:
			next = b.Ranges[0].To
			rows = append(rows, fresh...)
		case now[Part(0)] != b.Ranges[0].From, written == nil:
			s.Fatalf("the ledger is at %d after a write of %v that returned %v", now[Part(0)], b.Ranges, written)
		}
		took = took * 3 / 4
	}
	if s.d.Ahead { // what the last one has written is completed by the next
		b, fresh := piece()
		if _, err := to.Write(s.Context(), b); err != nil {
			s.Fatal(err)
		}
		next = b.Ranges[0].To
		rows = append(rows, fresh...)
	}
	s.wantRows(t, rows...)
	s.write(to, s.batch(t, []Row{thing("last", "text", 1, next)}, Span(0, next, next+1)), sink.Stats{Inserted: 1})
}
