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

// summary is what a sync did.
type summary struct {
	Warehouse   string            `json:"warehouse"`
	Dataset     string            `json:"dataset"`
	Tables      []tableSummary    `json:"tables"`
	Loads       int               `json:"loads"`
	Skipped     map[string]string `json:"skipped,omitempty"` // resources that could not be read, and why
	TookSeconds float64           `json:"took_seconds"`
}

type tableSummary struct {
	Table string `json:"table"`
	sink.Stats
	DeadLetters int64   `json:"dead_letters"`
	TookSeconds float64 `json:"took_seconds"`
}

func (r *report) summary(warehouse, dataset string) summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := summary{Warehouse: warehouse, Dataset: dataset, Loads: r.loads, Skipped: map[string]string{}, TookSeconds: time.Since(r.started).Seconds()}
	for _, res := range schemas.Resources {
		t := r.tables[res.Name]
		if t == nil {
			if !slices.ContainsFunc(r.resources, func(polled schemas.Resource) bool { return polled.Name == res.Name }) {
				continue
			}
			t = &table{}
		}
		s.Tables = append(s.Tables, tableSummary{res.Name, t.stats, t.rejected, t.took.Seconds()})
		if why := r.skipped[res.Name]; why != nil {
			s.Skipped[res.Name] = why.Error()
		}
	}
	return s
}

// print shows per table the rows, then where they are and what to ask them first.
func (s summary) print(w io.Writer, first string) error {
	var b strings.Builder
	tab := tabwriter.NewWriter(&b, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "table\tloaded\tupdated\trejected\ttime\t")
	for _, t := range s.Tables {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%.1f s\t\n", t.Table, grouped(t.Inserted), grouped(t.Updated), grouped(t.DeadLetters), t.TookSeconds)
	}
	tab.Flush()
	fmt.Fprintf(&b, "\n%d load %s, no failed jobs, in %.1f s.\n", s.Loads, plural(s.Loads, "package"), s.TookSeconds)
	for _, t := range s.Tables {
		if why := s.Skipped[t.Table]; why != "" {
			fmt.Fprintf(&b, "Skipped %s: %s\n", t.Table, why)
		}
	}
	fmt.Fprintf(&b, "The data is in %s, dataset %s.\n\n%s", s.Warehouse, s.Dataset, first)
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
