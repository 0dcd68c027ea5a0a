package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// Replay says what of a topic is loaded again.
type Replay struct {
	Topic string // of a resource
	From  string // beginning, an offset, or a time: RFC 3339 or a date. Of records, which have the time of extraction
	To    string // an offset, which is not taken, or a time; "" for all there is when the replay begins
	Into  string // the dataset, where it is not that of live loading; "" else. Live loading's dead letters are of its own dataset
}

// Outcome counts what this process has loaded. Rows of a write whose answer was lost are in Rows only.
type Outcome struct {
	sink.Stats
	Rows    int64 `json:"rows"`
	Refused int64 `json:"dead_letters"` // records that cannot be rows
}

// plan is what a Run of a replay takes.
type plan struct {
	topic   string
	targets map[sink.Partition]int64 // where partitions end; nothing is taken of others
	live    string                   // the group that loads all the time
	side    bool                     // into another dataset than that of live
	passed  map[int32]int64          // where live's ledger stood when this began
}

// end is the offset at which the replay of a partition ends, and whether there is a replay.
func (c Config) end(p sink.Partition) (int64, bool) {
	if c.replay == nil {
		return 0, false
	}
	return c.replay.targets[p], true
}

// group names the group that does a replay: the same for the same words, so that the same command goes on where it was.
func (r Replay) group(live string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.Topic, r.From, r.To, r.Into}, "\x00")))
	return live + "-replay-" + hex.EncodeToString(sum[:4])
}

// Run loads the records of a topic once more, as a group of its own beside live loading, and returns when the ledger of that
// group has reached the ends, which are fixed when the replay begins. Newest wins, so over live data nothing changes but what was missing
// or has got a column since. Killed, it goes on where it was when it is run with the same words; run by several processes at once,
// they share the work; run after it has ended, it begins anew.
//
// Errors are those of the function Run, and *ops.UsageError for a topic that there isn't and offsets that it doesn't hold.
func (r Replay) Run(ctx context.Context, cfg Config, kafka broker.Config, to sink.Sink, ev Events) (out Outcome, err error) {
	if err := r.check(); err != nil {
		return out, err
	}
	live := kafka.ConsumerGroup(cfg.Group)
	cfg.Group, cfg.Until, cfg.replay = r.group(live), Now(), &plan{topic: r.Topic, live: live, side: r.Into != ""}
	planner, err := newLoader(cfg, kafka, to, Events{})
	if err != nil {
		return out, err
	}
	if len(planner.tables) == 0 {
		return out, ops.Usagef("%s is no topic of a resource", r.Topic)
	}
	admin, err := planner.look(ctx, kafka)
	if err != nil {
		return out, err
	}
	defer admin.Close()
	if err := planner.retry(ctx, "plan the replay", func() error { return planner.plan(ctx, r) }); err != nil {
		return out, err
	}
	if len(cfg.replay.targets) == 0 {
		return out, planner.retry(ctx, "end the replay", func() error { return planner.end(ctx, r) })
	}
	p := &progress{log: planner.log, to: to, targets: cfg.replay.targets}
	l, err := newLoader(cfg, kafka, to, p.over(ev))
	if err != nil {
		return out, err
	}
	telling, stop := context.WithCancel(ctx)
	var teller sync.WaitGroup
	teller.Go(func() { p.tell(telling, ev) })
	err = l.run(ctx, kafka)
	stop()
	teller.Wait()
	out = p.outcome()
	out.Refused = l.buried.Load()
	if err == nil || errors.Is(err, ops.ErrDeadLetters) {
		if err := planner.retry(ctx, "end the replay", func() error { return planner.end(ctx, r) }); err != nil {
			return out, err
		}
		if gone, err := admin.DeleteGroups(ctx, cfg.Group); err != nil || gone.Error() != nil {
			planner.log.Debug("delete the group of the replay", "error", errors.Join(err, gone.Error())) // another process is still in it
		}
	}
	if errors.Is(err, ops.ErrDeadLetters) {
		err = fmt.Errorf("%w: %d records cannot be rows. They are in the .dlq topic, or will be when live loading has reached them; consumer dlq list shows them, and why",
			ops.ErrDeadLetters, out.Refused)
	}
	return out, err
}

// plan finds out what is left of a replay that was begun, or begins one: its starts and its ends are put into the ledger
// together, so that whoever comes next goes on with the same.
func (l *loader) plan(ctx context.Context, r Replay) error {
	for {
		is, err := l.extentOf(ctx, r.Topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return ops.Usagef("there is no topic %s", r.Topic)
		} else if err != nil {
			return err
		}
		old, err := l.planned(ctx, r.Topic, len(is.ends))
		if err != nil {
			return err
		}
		if old.begun() {
			if left := old.left(); len(left) == 0 || old.fits(is) {
				l.log.Info("going on with the replay that was begun", "topic", r.Topic, "partitions", len(left))
				l.cfg.replay.targets = left
				return nil
			}
			l.log.Warn("the topic has changed since the replay was begun: beginning anew", "topic", r.Topic)
		}
		from, to, err := r.resolve(ctx, l.admin, is)
		if err != nil {
			return err
		}
		l.cfg.replay.targets = map[sink.Partition]int64{}
		moves := []sink.Range{{Partition: old.keys[0], From: old.next[old.keys[0]], To: is.identity}}
		for id := range int32(len(is.ends)) {
			at, end := l.key(r.Topic, id), l.key(r.Topic, endsID-id)
			moves = append(moves, sink.Range{Partition: at, From: old.next[at], To: from[id]}, sink.Range{Partition: end, From: old.next[end], To: to[id]})
			if from[id] < to[id] {
				l.cfg.replay.targets[at] = to[id]
			}
		}
		if len(l.cfg.replay.targets) == 0 {
			return nil
		}
		if err := l.move(ctx, moves...); !errors.Is(err, sink.ErrFenced) {
			return err
		} // the same replay was begun elsewhere: it is gone on with
	}
}

// end takes the ends out of the ledger once they are reached, so that the next replay of the same words begins anew. Until then a
// replay that was killed after its last batch is not begun again.
func (l *loader) end(ctx context.Context, r Replay) error {
	is, err := l.extentOf(ctx, r.Topic)
	if err != nil {
		return err
	}
	old, err := l.planned(ctx, r.Topic, len(is.ends))
	if err != nil || len(old.left()) > 0 || !old.begun() {
		return err // others have ended it, and may have begun anew
	}
	var moves []sink.Range
	for _, p := range old.keys[1:] {
		if p.ID <= endsID {
			moves = append(moves, sink.Range{Partition: p, From: old.next[p]})
		}
	}
	if err := l.move(ctx, moves...); !errors.Is(err, sink.ErrFenced) {
		return err
	}
	return nil
}

// planned is what the ledger knows of a replay.
type planned struct {
	keys       []sink.Partition // the identity, and for each partition where it stands and where it ends
	next       map[sink.Partition]int64
	partitions int
}

// planned asks the ledger for the replay, and on the way where live loading stands.
func (l *loader) planned(ctx context.Context, topic string, partitions int) (planned, error) {
	p := planned{keys: []sink.Partition{l.key(topic, identityID)}, partitions: partitions}
	for id := range int32(partitions) {
		p.keys = append(p.keys, l.key(topic, id), l.key(topic, endsID-id))
	}
	live := p.keys
	for id := range int32(partitions) {
		live = append(live, sink.Partition{Cluster: l.cluster, Group: l.cfg.replay.live, Topic: topic, ID: id})
	}
	var err error
	if p.next, err = l.to.Next(ctx, live); err != nil {
		return p, fmt.Errorf("ask the ledger: %w", err)
	}
	l.cfg.replay.passed = map[int32]int64{}
	for _, q := range live[len(p.keys):] {
		l.cfg.replay.passed[q.ID] = p.next[q]
	}
	return p, nil
}

// begun tells that a replay was begun and not ended.
func (p planned) begun() bool {
	return slices.ContainsFunc(p.keys, func(q sink.Partition) bool { return q.ID <= endsID && p.next[q] != 0 })
}

// left are the partitions that have not reached their end.
func (p planned) left() map[sink.Partition]int64 {
	left := map[sink.Partition]int64{}
	for i := 1; i < len(p.keys); i += 2 {
		if end := p.next[p.keys[i+1]]; p.next[p.keys[i]] < end {
			left[p.keys[i]] = end
		}
	}
	return left
}

// fits tells that the replay can go on: the topic is the same, and holds what is left.
func (p planned) fits(is extent) bool {
	if have := p.next[p.keys[0]]; have != is.identity {
		return false
	}
	for at, end := range p.left() {
		if n := p.next[at]; n != 0 && n < is.starts[at.ID] || end > is.ends[at.ID] {
			return false
		}
	}
	return true
}
