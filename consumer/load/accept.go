package load

import (
	"context"
	"errors"
	"fmt"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// Acceptance is what the ledger of a group says of a topic, beside what the topic holds.
type Acceptance struct {
	Group      string     `json:"group"`
	Topic      string     `json:"topic"`
	Recreated  bool       `json:"recreated"` // the topic is another one than that of the ledger
	Accepted   bool       `json:"accepted"`  // the ledger has been moved
	Partitions []Accepted `json:"partitions"`
}

// Accepted is one partition of an Acceptance.
type Accepted struct {
	ID     int32 `json:"partition"`
	Ledger int64 `json:"ledger"`    // first offset that the warehouse does not hold
	Start  int64 `json:"log_start"` // what Kafka holds; 0 and 0 for a partition that is no more
	End    int64 `json:"end"`
	Reset  bool  `json:"reset"` // the ledger goes back to 0: loading begins at what there is first
}

// Gone counts the offsets that were removed before they were loaded.
func (a Accepted) Gone() int64 {
	if !a.Reset || a.Ledger > a.Start {
		return 0
	}
	return a.Start - a.Ledger
}

// probed is how many partitions more than the topic has are asked for in the ledger: the earlier topic may have had more, and
// the new one may get them.
const probed = 1000

// Accept makes the group's ledger take a topic as it is now: one that was deleted and created again, or whose records were
// removed before they were loaded. What does not fit begins anew at what there is first; rows of the table stay, and newest wins.
// With dry it only says what it would do. It needs the group to be at rest.
//
// Errors: *ops.UsageError where the ledger fits and where members of the group are active; sink.ErrFenced where somebody has
// moved the ledger meanwhile. Nothing has changed then.
func Accept(ctx context.Context, cfg Config, kafka broker.Config, to sink.Sink, topic string, dry bool) (Acceptance, error) {
	l, err := newLoader(cfg, kafka, to, Events{})
	if err != nil {
		return Acceptance{}, err
	}
	admin, err := l.look(ctx, kafka)
	if err != nil {
		return Acceptance{}, err
	}
	defer admin.Close()
	a := Acceptance{Group: l.cfg.Group, Topic: topic}
	is, err := l.extentOf(ctx, topic)
	if err != nil {
		return a, err
	}
	ps := []sink.Partition{l.key(topic, identityID)}
	for id := range len(is.ends) + probed {
		ps = append(ps, l.key(topic, int32(id)))
	}
	next, err := to.Next(ctx, ps)
	if err != nil {
		return a, fmt.Errorf("ask the ledger: %w", err)
	}
	have := next[ps[0]]
	a.Recreated = have != 0 && is.identity != 0 && have != is.identity
	var ranges []sink.Range
	if is.identity != 0 && have != is.identity {
		ranges = append(ranges, sink.Range{Partition: ps[0], From: have, To: is.identity})
	}
	fits := !a.Recreated
	for _, p := range ps[1:] {
		one := Accepted{ID: p.ID, Ledger: next[p]}
		if int(p.ID) < len(is.ends) {
			one.Start, one.End = is.starts[p.ID], is.ends[p.ID]
		} else if one.Ledger == 0 {
			continue
		}
		one.Reset = one.Ledger != 0 && (a.Recreated || one.Ledger < one.Start || one.Ledger > one.End)
		if one.Reset {
			fits = false
			ranges = append(ranges, sink.Range{Partition: p, From: one.Ledger})
		}
		a.Partitions = append(a.Partitions, one)
	}
	if fits {
		return a, ops.Usagef("there is nothing to accept: the ledger of group %s fits topic %s", a.Group, topic)
	}
	if err := l.atRest(ctx); err != nil || dry {
		return a, err
	}
	if err := l.move(ctx, ranges...); errors.Is(err, sink.ErrFenced) {
		return a, fmt.Errorf("accept %s: somebody has moved the ledger meanwhile; stop every consumer of group %s and run this again: %w", topic, a.Group, err)
	} else if err != nil {
		return a, fmt.Errorf("accept %s: %w", topic, err)
	}
	return a, nil
}

// atRest checks that nobody loads for the group.
func (l *loader) atRest(ctx context.Context) error {
	groups, err := l.admin.DescribeGroups(ctx, l.cfg.Group)
	if err != nil {
		return broker.Explain(fmt.Errorf("see who is in group %s: %w", l.cfg.Group, err))
	}
	if n := len(groups[l.cfg.Group].Members); n > 0 {
		return ops.Usagef("%d consumers of group %s are active: stop them first; one that was killed is counted for another %s", n, l.cfg.Group, sessionTimeout)
	}
	return nil
}
