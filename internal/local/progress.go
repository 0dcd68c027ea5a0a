package local

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"tilestream/schemas"
)

// progress shows how many records of each resource are in Kafka, and how many of those in the warehouse.
type progress interface {
	published(resource string, docs int)
	loaded(resource string, rows int64)
	close()
}

// newProgress draws bars where out is a terminal, and writes plain lines elsewhere.
func newProgress(out *os.File, resources []schemas.Resource) progress {
	if term.IsTerminal(int(out.Fd())) {
		return newBars(out, resources)
	}
	return &lines{out: out, counts: map[string]*counts{}, started: time.Now()}
}

type counts struct{ published, loaded int64 }

// lines writes a line for each load.
type lines struct {
	mu      sync.Mutex
	out     io.Writer
	counts  map[string]*counts
	started time.Time
}

func (l *lines) of(resource string) *counts {
	if l.counts[resource] == nil {
		l.counts[resource] = &counts{}
	}
	return l.counts[resource]
}

func (l *lines) published(resource string, docs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of(resource).published += int64(docs)
}

func (l *lines) loaded(resource string, rows int64) {
	if rows == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.of(resource)
	c.loaded += rows
	fmt.Fprintf(l.out, "%6.1fs  %-16s %8d rows loaded, %d published\n", time.Since(l.started).Seconds(), resource, c.loaded, c.published)
}

func (l *lines) close() {}

// bars draws a bar per resource: the part of what is published that is loaded, and the rate.
type bars struct {
	mu   sync.Mutex
	box  *mpb.Progress
	bars map[string]*mpb.Bar
	sum  map[string]*counts
}

func newBars(out io.Writer, resources []schemas.Resource) *bars {
	b := &bars{box: mpb.New(mpb.WithOutput(out), mpb.WithWidth(32)), bars: map[string]*mpb.Bar{}, sum: map[string]*counts{}}
	for _, r := range resources {
		b.bars[r.Name] = b.box.New(0, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
			mpb.PrependDecorators(decor.Name(r.Name, decor.WC{W: 17, C: decor.DindentRight})),
			mpb.AppendDecorators(
				decor.CountersNoUnit(" %d of %d", decor.WC{W: 20}),
				decor.AverageSpeed(0, "  %.0f/s", decor.WC{W: 11}),
			))
		b.sum[r.Name] = &counts{}
	}
	return b
}

func (b *bars) published(resource string, docs int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.sum[resource]
	c.published += int64(docs)
	b.bars[resource].SetTotal(c.published, false)
}

func (b *bars) loaded(resource string, rows int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.sum[resource]
	c.loaded += rows
	if c.loaded > c.published { // left in the topic by an earlier run
		c.published = c.loaded
		b.bars[resource].SetTotal(c.published, false)
	}
	b.bars[resource].SetCurrent(c.loaded)
}

func (b *bars) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bar := range b.bars {
		bar.SetTotal(-1, true)
	}
	b.box.Wait()
}
