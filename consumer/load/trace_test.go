package load

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/ops"
)

// traceBatch is a batch of pages of 50 records, in two partitions.
func traceBatch(pages int) *batch {
	b := &batch{}
	for i := range pages {
		headers := []kgo.RecordHeader{{Key: "project", Value: []byte("p")}, {Key: ops.TraceHeader, Value: fmt.Appendf(nil, "00-%032x-%016x-01", i+1, i+1)}}
		p := b.part([]*partition{{}, {}}[i%2])
		for range 50 {
			p.rows = append(p.rows, row{headers: headers})
			b.rows++
		}
	}
	return b
}

// TestTraceCost: without tracing, no record is looked at and nothing is allocated; with it, pages are found once each, and some of them.
func TestTraceCost(t *testing.T) {
	w := (&loader{}).newWriter(&table{name: "tags"})
	b := traceBatch(1000)
	if n := testing.AllocsPerRun(10, func() { w.traced(t.Context(), b) }); n > 0 || b.span.Is() {
		t.Errorf("%v allocations with tracing off", n)
	}
	for pages, want := range map[int]int{0: 0, 1: 1, 7: 7, 1000: mostPages + 1} {
		if got := traceBatch(pages).pages(); len(got) != want {
			t.Errorf("%d of %d pages, want %d", len(got), pages, want)
		}
	}
	b = traceBatch(2)
	b.parts[1].rows = append(b.parts[1].rows, b.parts[0].rows...)
	b.parts[0].rows[0].headers = []kgo.RecordHeader{{Key: ops.TraceHeader, Value: []byte("\x00 hostile")}}
	if got := b.pages(); len(got) != 2 {
		t.Errorf("%d pages, want 2", len(got))
	}
}
