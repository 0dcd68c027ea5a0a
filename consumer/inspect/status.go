package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// Status is how far loading has come.
type Status struct {
	Time      time.Time     `json:"time"`
	Warehouse string        `json:"warehouse"`
	Group     string        `json:"group"`
	OK        bool          `json:"ok"`
	Problems  []Problem     `json:"problems"` // what is wrong, the worst first
	Notes     []string      `json:"notes"`    // what is good to know
	Topics    []TopicStatus `json:"topics"`
	State     string        `json:"group_state"` // as Kafka calls it: Stable, Empty, ...
	Members   []Member      `json:"members"`
}

// Problem is something that is wrong, and what to do about it.
type Problem struct {
	What string `json:"what"`
	Do   string `json:"do"`
}

// TopicStatus is one topic and its table. Offsets are summed over partitions; pointers are nil where it is not known.
type TopicStatus struct {
	Topic         string     `json:"topic"`
	Partitions    int        `json:"partitions"`
	Ledger        int64      `json:"ledger"`
	HighWatermark int64      `json:"high_watermark"`
	Lag           int64      `json:"lag"`            // offsets that are not loaded
	LagSeconds    float64    `json:"lag_seconds"`    // age of the oldest record that is not loaded; 0 where there is none
	Fresh         *time.Time `json:"newest_extract"` // when the newest row was read from Tiledesk
	LastLoad      *LastLoad  `json:"last_load"`
	DeadLetters   int        `json:"dead_letters"` // not replayed
	Unpublished   int        `json:"unpublished"`  // documents, or values of them, that the producer set aside

	oldest time.Time
}

// LastLoad is the newest load of a table.
type LastLoad struct {
	Time        time.Time `json:"time"`
	Rows        int64     `json:"rows"`
	TookSeconds float64   `json:"took_seconds"`
}

// Member is a consumer of the group.
type Member struct {
	Host       string `json:"host"`
	Partitions int    `json:"partitions"`
}

// Each service has so long to answer: what does not is down, to somebody who waits.
const (
	kafkaPatience     = 15 * time.Second
	warehousePatience = 20 * time.Second
)

// looker is one look at the status.
type looker struct {
	Config
	status  *Status
	ledger  map[sink.Partition]int64 // nil: the warehouse cannot be read
	cluster string
}

// Look finds out how far loading has come. What cannot be reached is a problem in the status, not an error; errors are
// *ops.UsageError. now is the time that ages are counted to.
func Look(ctx context.Context, cfg Config, now time.Time) (*Status, error) {
	l := &looker{Config: cfg, status: &Status{Time: now.UTC(), Warehouse: sink.Redacted(cfg.Warehouse) + " " + cfg.Dataset, Group: cfg.group(),
		Problems: []Problem{}, Notes: []string{}, Topics: []TopicStatus{}, Members: []Member{}}}
	for _, r := range cfg.Resources {
		l.status.Topics = append(l.status.Topics, TopicStatus{Topic: r.Topic(cfg.Kafka.Prefix)})
	}
	var usage *ops.UsageError
	held := false
	err := l.warehouse(ctx)
	switch isHeld := (*sink.HeldError)(nil); {
	case errors.As(err, &usage):
		return nil, err
	case errors.As(err, &isHeld):
		held = true
		l.note("%s has the DuckDB file open, so the ledger is not read: offsets are those that the group commits for lag tools, up to 5s old.", isHeld.Holder)
	case err != nil:
		l.problem("The warehouse cannot be read: "+err.Error(), "mend that first; offsets are those that the group commits for lag tools")
	}
	if err := l.kafka(ctx); errors.As(err, &usage) {
		return nil, err
	} else if err != nil {
		l.problem("Kafka cannot be read: "+err.Error(), "mend that first; without it nothing is known of lag, members and dead letters")
	} else {
		l.judge(held)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.status.OK = len(l.status.Problems) == 0
	return l.status, nil
}

func (l *looker) problem(what, do string) {
	l.status.Problems = append(l.status.Problems, Problem{what, do})
}

func (l *looker) note(format string, a ...any) {
	l.status.Notes = append(l.status.Notes, fmt.Sprintf(format, a...))
}

// warehouse reads ledger, loads and freshness.
func (l *looker) warehouse(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, warehousePatience)
	defer cancel()
	return l.View(ctx, func(v *sink.View) error { return l.read(ctx, v) })
}

func (l *looker) read(ctx context.Context, v *sink.View) (err error) {
	if l.ledger, err = v.Ledger(ctx); err != nil {
		return err
	}
	for i, r := range l.Resources {
		for load, err := range v.Loads(ctx, r.Name, 1) {
			if err != nil {
				return err
			}
			l.status.Topics[i].LastLoad = &LastLoad{load.Began.Add(load.Took), load.Rows, load.Took.Seconds()}
		}
	}
	for i, r := range l.Resources { // last, since on a large table it is slow
		if l.status.Topics[i].LastLoad == nil || l.Brief {
			continue
		}
		at, err := v.Newest(ctx, sink.Table{Name: r.Name}, extractedColumn)
		if ctx.Err() != nil {
			l.note("The newest row of %s and what follows was not found in %s.", r.Name, warehousePatience)
			return nil
		}
		if err != nil {
			return err
		}
		if !at.IsZero() {
			l.status.Topics[i].Fresh = &at
		}
	}
	return nil
}

// judge says what is wrong with what was read.
func (l *looker) judge(held bool) {
	s := l.status
	var lag int64
	dead, unpublished := 0, 0
	for _, t := range s.Topics {
		lag += t.Lag
		dead += t.DeadLetters
		unpublished += t.Unpublished
	}
	switch {
	case len(s.Members) == 0 && held:
		l.problem("Nobody is loading, although a process has the warehouse open.", "see whether it is a consumer that has lost Kafka, or a shell that keeps the consumer out")
	case len(s.Members) == 0 && lag > 0:
		l.problem(fmt.Sprintf("Nobody is loading: the group has no members, and %d records wait.", lag), "start the consumer; if it does not stay up, its log says why")
	case len(s.Members) == 0:
		l.note("Nobody is loading, and nothing waits.")
	}
	if dead > 0 {
		l.note("%d records could not be loaded and are set aside: consumer dlq list says why, consumer dlq replay loads them again.", dead)
	}
	if unpublished > 0 {
		l.note("%d documents, or values of them, were never published: consumer dlq list says why. Tiledesk has them; after consumer dlq replay they count as seen.", unpublished)
	}
}
