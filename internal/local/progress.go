package local

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"tilestream/internal/ops"
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
	if ops.Terminal(out) {
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
	box *mpb.Progress
	by  map[string]*bar
}

type bar struct {
	*mpb.Bar
	mu sync.Mutex
	counts
	first, last time.Time // of publishing, and of loading
}

func newBars(out io.Writer, resources []schemas.Resource) *bars {
	b := &bars{box: mpb.New(mpb.WithOutput(out), mpb.WithWidth(32)), by: map[string]*bar{}}
	for _, r := range resources {
		one := &bar{}
		one.Bar = b.box.New(0, mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
			mpb.PrependDecorators(decor.Name(r.Name, decor.WC{W: 17, C: decor.DindentRight})),
			mpb.AppendDecorators(
				decor.CountersNoUnit(" %d of %d", decor.WC{W: 18}),
				decor.Any(one.rate, decor.WC{W: 12}),
			))
		b.by[r.Name] = one
	}
	return b
}

// rate is shown once something is loaded.
func (b *bar) rate(decor.Statistics) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if took := b.last.Sub(b.first).Seconds(); took > 0 {
		return grouped(int64(float64(b.loaded)/took)) + "/s"
	}
	return ""
}

func (b *bars) published(resource string, docs int) {
	one := b.by[resource]
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.first.IsZero() {
		one.first = time.Now()
	}
	one.counts.published += int64(docs)
	one.SetTotal(one.counts.published, false)
}

func (b *bars) loaded(resource string, rows int64) {
	one, ok := b.by[resource]
	if !ok {
		return // not polled in this run: left in its topic by an earlier one
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.first.IsZero() { // left in the topic by an earlier run
		one.first = time.Now()
	}
	one.last = time.Now()
	one.counts.loaded += rows
	if one.counts.loaded > one.counts.published {
		one.counts.published = one.counts.loaded
		one.SetTotal(one.counts.published, false)
	}
	one.SetCurrent(one.counts.loaded)
}

func (b *bars) close() {
	for _, one := range b.by {
		one.SetTotal(-1, true)
	}
	b.box.Wait()
}
