package local

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/producer/poll"
	"tilestream/schemas"
)

// report gathers what happens in a run, shows it as it does, and sums it up.
type report struct {
	started   time.Time
	resources []schemas.Resource
	progress  progress    // of a run that ends
	told      load.Events // of a run that streams: its log

	mu      sync.Mutex
	tables  map[string]*table
	skipped map[string]error
	loads   int

	polled, assigned ops.Gate
}

// table is what was done to one table.
type table struct {
	stats    sink.Stats
	rejected int64 // records that went to the dead letters
	took     time.Duration
}

func (r *report) polling() poll.Events {
	return poll.Events{
		Published: func(_, resource string, docs, _ int) {
			r.polled.Open()
			if r.progress != nil {
				r.progress.published(resource, docs)
			}
		},
		CaughtUp: func(string, string) { r.polled.Open() },
		Skipped: func(_, resource string, why error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.skipped[resource] = why
		},
	}
}

func (r *report) loading() load.Events {
	return load.Events{
		Assigned: func(at map[sink.Partition]load.Backlog) {
			r.assigned.Open()
			if r.told.Assigned != nil {
				r.told.Assigned(at)
			}
		},
		Loaded: r.loaded,
		DeadLetter: func(name string, l dlq.Letter) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.table(name).rejected++
			if r.told.DeadLetter != nil {
				r.told.DeadLetter(name, l)
			}
		},
	}
}

// table is what was done to the table so far. The caller holds mu.
func (r *report) table(name string) *table {
	t := r.tables[name]
	if t == nil {
		t = &table{}
		r.tables[name] = t
	}
	return t
}

func (r *report) loaded(l load.Loaded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.Rows == 0 {
		return // only the ledger moved
	}
	t := r.table(l.Table)
	t.stats.Inserted += l.Stats.Inserted
	t.stats.Updated += l.Stats.Updated
	t.stats.Unchanged += l.Stats.Unchanged
	t.took += l.Took
	r.loads++
	if r.progress != nil {
		r.progress.loaded(l.Table, l.Rows)
	} else {
		r.told.Loaded(l)
	}
}

// ready says what the process waits for before it moves data.
func (r *report) ready() error { return errors.Join(r.polled.Ready(), r.assigned.Ready()) }

// summary prints what a sync did: per table the rows, then where they are and what to ask them first.
func (r *report) summary(w io.Writer, warehouse, dataset string, modes sink.Modes) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	tab := tabwriter.NewWriter(&b, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "table\tloaded\tupdated\trejected\ttime\t")
	for _, res := range schemas.Resources {
		t := r.tables[res.Name]
		if t == nil {
			if !slices.ContainsFunc(r.resources, func(polled schemas.Resource) bool { return polled.Name == res.Name }) {
				continue
			}
			t = &table{}
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%.1f s\t\n", res.Name, grouped(t.stats.Inserted), grouped(t.stats.Updated), grouped(t.rejected), t.took.Seconds())
	}
	tab.Flush()
	fmt.Fprintf(&b, "\n%d load %s, no failed jobs, in %.1f s.\n", r.loads, plural(r.loads, "package"), time.Since(r.started).Seconds())
	for _, res := range r.resources {
		if why := r.skipped[res.Name]; why != nil {
			fmt.Fprintf(&b, "Skipped %s: %v\n", res.Name, why)
		}
	}
	fmt.Fprintf(&b, "The data is in %s, dataset %s.\n\n%s", sink.Redacted(warehouse), dataset, firstQuery(warehouse, dataset, modes.Of("conversations")))
	_, err := io.WriteString(w, b.String())
	return err
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
