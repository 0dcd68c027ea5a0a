package dashboard

import (
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// A sample is what the metrics of this process said at a time, by resource, whose name its table has too.
type sample struct {
	at        time.Time
	published map[string]float64 // nil where no producer runs in this process
	loaded    map[string]float64
	lag       map[string]float64
	newest    map[string]time.Time
	caughtUp  map[string]time.Time // the oldest of the projects'
	failed    map[string]float64   // polls
}

const (
	sampleEvery = time.Second
	samplesKept = 60
)

// samples are the last minute, as long as somebody watches.
type samples struct {
	mu   sync.Mutex
	kept []sample
}

// take adds a sample where the last one is old enough, and returns all.
func (s *samples) take(now time.Time, read func() sample) []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(o sample) bool { return now.Sub(o.at) > samplesKept*sampleEvery })
	if n := len(s.kept); n == 0 || now.Sub(s.kept[n-1].at) >= sampleEvery*9/10 {
		one := read()
		one.at = now
		s.kept = append(s.kept, one)
	}
	return slices.Clone(s.kept)
}

// read gathers the metrics.
func (c *Console) read() sample {
	s := sample{loaded: map[string]float64{}, lag: map[string]float64{}, newest: map[string]time.Time{}, caughtUp: map[string]time.Time{}, failed: map[string]float64{}}
	families, err := c.gatherer.Gather()
	if err != nil {
		c.log.Warn("console: read metrics", "error", err) // what was gathered is shown
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			switch f.GetName() {
			case "tilestream_published_records_total":
				if s.published == nil {
					s.published = map[string]float64{}
				}
				s.published[labels["resource"]] += value
			case "tilestream_polls_total":
				if labels["outcome"] == "failed" {
					s.failed[labels["resource"]] += value
				}
			case "tilestream_caught_up_timestamp_seconds":
				at := second(m)
				if had := s.caughtUp[labels["resource"]]; had.IsZero() || at.Before(had) {
					s.caughtUp[labels["resource"]] = at
				}
			case "tilestream_loaded_rows_total":
				s.loaded[labels["table"]] += value
			case "tilestream_lag_records":
				s.lag[labels["table"]] += value
			case "tilestream_newest_loaded_timestamp_seconds":
				s.newest[labels["table"]] = second(m)
			}
		}
	}
	return s
}

func second(m *dto.Metric) time.Time {
	return time.UnixMilli(int64(m.GetGauge().GetValue() * 1000))
}

// rate is how fast a counter has risen over the last samples, in a second; and at each of them.
func rate(all []sample, of func(sample) float64) (now float64, each []float64) {
	const over = 5 // samples
	for i := 1; i < len(all); i++ {
		from := all[max(0, i-over)]
		each = append(each, max(0, (of(all[i])-of(from))/all[i].at.Sub(from.at).Seconds()))
	}
	if n := len(each); n > 0 && each[n-1] >= 0.05 { // what would show as 0.0 is none
		now = each[n-1]
	}
	return now, each
}
