package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tilestream/consumer/inspect"
	"tilestream/internal/ops"
)

// picture is the flow as it is now.
type picture struct {
	At       time.Time
	Looked   time.Time // Problems, dead letters and members are as they were then; zero: not known yet
	Verdict  string
	State    string // ok, busy, bad
	Problems []inspect.Problem
	Notes    []string
	Members  int
	Here     bool // the producer runs in this process
	Streams  []stream
}

// stream is a resource on its way into its table.
type stream struct {
	Name        string
	Published   float64 // records in a second
	Loaded      float64
	Lag         int64
	Waits       time.Duration // the oldest record that is not loaded has waited so long
	Newest      time.Time
	CaughtUp    time.Time
	Failed      bool // the last minute's polls
	DeadLetters int
	Spark       template.HTML
	State, Says string
}

// flow is what the pictures are made from.
type flow struct {
	samples samples

	looking sync.Mutex // one at a time
	mu      sync.Mutex
	status  *inspect.Status
}

const (
	lookEvery = 5 * time.Second
	firstLook = 3 * time.Second // so long the page waits for it
	late      = time.Minute     // a table that is behind by less is busy; by more, it is late
)

// refresh looks at Kafka and the warehouse, where the last look is old and nobody else is at it.
func (c *Console) refresh(ctx context.Context) {
	if !c.flow.looking.TryLock() {
		return
	}
	defer c.flow.looking.Unlock()
	c.flow.mu.Lock()
	fresh := c.flow.status != nil && time.Since(c.flow.status.Time) < lookEvery
	c.flow.mu.Unlock()
	if fresh {
		return
	}
	status, err := inspect.Look(ctx, c.look, time.Now())
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		status = &inspect.Status{Time: time.Now(), Problems: []inspect.Problem{{What: err.Error(), Do: "mend the setting that it names"}}}
	}
	c.flow.mu.Lock()
	c.flow.status = status
	c.flow.mu.Unlock()
}

// picture puts together what is known.
func (c *Console) picture(now time.Time) picture {
	all := c.flow.samples.take(now, c.read)
	last := all[len(all)-1]
	c.flow.mu.Lock()
	status := c.flow.status
	c.flow.mu.Unlock()
	p := picture{At: now, Here: last.published != nil}
	if status != nil {
		p.Looked, p.Problems, p.Notes, p.Members = status.Time, status.Problems, status.Notes, len(status.Members)
	}
	for _, r := range c.look.Resources {
		_, here := last.lag[r.Name] // whether this process loads it
		s := stream{Name: r.Name, Lag: int64(last.lag[r.Name]), Newest: last.newest[r.Name], CaughtUp: last.caughtUp[r.Name],
			Failed: last.failed[r.Name] > all[0].failed[r.Name]}
		s.Published, _ = rate(all, func(o sample) float64 { return o.published[r.Name] })
		loaded, each := rate(all, func(o sample) float64 { return o.loaded[r.Name] })
		s.Loaded, s.Spark = loaded, spark(each)
		if status != nil {
			for _, t := range status.Topics {
				if t.Topic == r.Topic(c.look.Kafka.Prefix) {
					s.DeadLetters = t.DeadLetters + t.Unpublished
					if last.lag[r.Name] > 0 || !here {
						s.Lag, s.Waits = max(s.Lag, t.Lag), time.Duration(t.LagSeconds*float64(time.Second))
					}
					if s.Newest.IsZero() && t.LastLoad != nil {
						s.Newest = t.LastLoad.Time
					}
				}
			}
		}
		s.State, s.Says = s.judge()
		p.Streams = append(p.Streams, s)
	}
	p.State, p.Verdict = p.judge()
	return p
}

// judge says in words how a stream is.
func (s stream) judge() (state, says string) {
	switch {
	case s.Failed:
		return "bad", "polls fail: the log says why, and producer doctor what to do"
	case s.Lag > 0 && s.Waits > late:
		return "late", took(s.Waits) + " behind"
	case s.Lag > 0:
		return "busy", number(s.Lag) + " on the way"
	case s.DeadLetters > 0:
		return "late", "up to date, but for what is set aside"
	case s.Newest.IsZero():
		return "idle", "nothing yet"
	}
	return "ok", "up to date"
}

func (p picture) judge() (state, verdict string) {
	count := map[string]int{}
	var newest time.Time
	for _, s := range p.Streams {
		count[s.State]++
		if s.Newest.After(newest) {
			newest = s.Newest
		}
	}
	switch {
	case len(p.Problems) > 0:
		return "bad", p.Problems[0].What
	case count["bad"] > 0:
		return "bad", fmt.Sprintf("%d of %d streams cannot be read from Tiledesk.", count["bad"], len(p.Streams))
	case count["late"] > 0:
		return "late", fmt.Sprintf("%d of %d tables are late or lack records that were set aside.", count["late"], len(p.Streams))
	case count["busy"] > 0:
		return "busy", fmt.Sprintf("Loading: %d of %d tables have records on the way.", count["busy"], len(p.Streams))
	case newest.IsZero():
		return "idle", "Nothing has been loaded yet."
	}
	return "ok", "Every table is up to date. The newest record was read from Tiledesk " + ago(newest) + "."
}

func (c *Console) showFlow(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), firstLook)
	defer cancel()
	c.refresh(ctx)
	c.render(w, r, "flow.html", "Flow", c.picture(time.Now()))
}

func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	ctx, stop := context.WithCancel(r.Context())
	var looking sync.WaitGroup
	defer looking.Wait()
	defer stop()
	looking.Go(func() {
		for ops.Sleep(ctx, sampleEvery) == nil {
			c.refresh(ctx)
		}
	})
	c.stream(w, r, "flow.html", func() any { return c.picture(time.Now()) })
}

// stream sends what is live of a page each second, as the HTML that replaces it there (text/event-stream, WHATWG HTML 9.2).
func (c *Console) stream(w http.ResponseWriter, r *http.Request, page string, now func() any) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for {
		var b bytes.Buffer
		if err := c.pages[page].ExecuteTemplate(&b, "live", now()); err != nil {
			c.log.Warn("console", "path", r.URL.Path, "error", err)
			return
		}
		lines := slices.Collect(strings.Lines(b.String()))
		if _, err := fmt.Fprintf(w, "data: %s\n\n", strings.Join(lines, "data: ")); err != nil {
			return
		}
		if out.Flush() != nil || ops.Sleep(r.Context(), sampleEvery) != nil {
			return
		}
	}
}
