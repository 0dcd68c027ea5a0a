package load

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
)

// partition is one ownership of a Kafka partition, from its assignment to its loss. What comes back after a loss is
// another partition, so that nothing of the earlier time is taken for it. Fields are guarded by loader.mu.
type partition struct {
	sink.Partition
	table     *table
	ledger    int64 // first offset that the warehouse does not hold: From of the next batch
	next      int64 // first offset that has not been taken from Kafka
	end       int64 // end of what can be read, as last seen
	committed int64 // what the group has committed, for lag tools
	moved     bool  // next was set back: fetching has to follow
	lost      bool
}

// behind is how many offsets are known and not loaded. The caller holds mu.
func (p *partition) behind() int64 { return max(0, p.end-p.ledger) }

// assign is where fetching of partitions that the group has given to us begins: where the ledger says, whatever the group
// has committed. It runs beside polls; the partitions are not fetched before it returns.
func (l *loader) assign(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var ps []sink.Partition
	for topic, ids := range offsets {
		for id := range ids {
			ps = append(ps, l.key(topic, id))
		}
	}
	if len(ps) == 0 {
		return offsets, nil
	}
	at, err := l.begin(ctx, ps)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err() // the group rebalances: only so is the client to ask again, for what it keeps
		}
		l.fail(err)
		return nil, nil // nothing to fetch; the client would log an error of ours, and join again
	}
	backlog := map[sink.Partition]Backlog{}
	l.mu.Lock()
	for p, b := range at {
		l.drop(p)
		l.parts[p] = &partition{Partition: p, table: l.tables[p.Topic], ledger: b.ledger, next: b.next, end: b.end}
		// No epoch: the offset is the ledger's, which has none. With one the client would look for data loss.
		offsets[p.Topic][p.ID] = kgo.NewOffset().At(b.next).WithEpoch(-1)
		backlog[p] = Backlog{Next: b.next, End: b.end}
	}
	l.showLag()
	l.mu.Unlock()
	l.ev.assigned(backlog)
	return offsets, nil
}

// joined tells of an assignment without anything new in it: of those with something assign tells, once it is known where
// they go on.
func (l *loader) joined(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	if len(added) == 0 {
		l.ev.assigned(nil)
	}
}

// revoked forgets partitions that are no longer ours. A batch of them that is being written is left to the ledger: either
// it gets in before the next owner's, or it is fenced.
func (l *loader) revoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, ids := range lost {
		for _, id := range ids {
			l.drop(l.key(topic, id))
		}
	}
	l.showLag()
}

// drop ends an ownership and frees what is buffered of it. The caller holds mu.
func (l *loader) drop(key sink.Partition) {
	p := l.parts[key]
	if p == nil {
		return
	}
	p.lost = true
	delete(l.parts, key)
	l.forget(p)
}

// forget frees what is buffered of a partition. The caller holds mu.
func (l *loader) forget(p *partition) {
	l.memory.hold(-p.table.drop(func(s *part) bool { return s.partition == p }))
	l.flow(p.table)
}

// beginning is where a partition is taken up.
type beginning struct{ ledger, next, end int64 }

// begin asks the ledger where partitions go on, and the brokers whether that can be. Without an entry a partition starts
// at what it holds first. *LedgerError, *RecreatedError: going on would skip records.
func (l *loader) begin(ctx context.Context, ps []sink.Partition) (map[sink.Partition]beginning, error) {
	var at map[sink.Partition]beginning
	err := l.retry(ctx, "find where to go on", func() (err error) {
		at, err = l.tryBegin(ctx, ps)
		return err
	})
	return at, err
}

func (l *loader) tryBegin(ctx context.Context, ps []sink.Partition) (map[sink.Partition]beginning, error) {
	asked := slices.Clone(ps)
	var topics []string
	for _, p := range ps {
		if !slices.Contains(topics, p.Topic) {
			topics = append(topics, p.Topic)
			asked = append(asked, l.key(p.Topic, identityID))
		}
	}
	next, err := l.to.Next(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("ask the ledger: %w", err)
	}
	listed, err := l.admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	for _, t := range listed {
		if err := l.recognize(ctx, t, next[l.key(t.Topic, identityID)]); errors.Is(err, sink.ErrFenced) {
			return l.tryBegin(ctx, ps)
		} else if err != nil {
			return nil, err
		}
	}
	starts, err := l.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the starts of partitions: %w", err)
	}
	ends, err := l.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the ends of partitions: %w", err)
	}
	at := map[sink.Partition]beginning{}
	for _, p := range ps {
		start, _ := starts.Lookup(p.Topic, p.ID)
		end, _ := ends.Lookup(p.Topic, p.ID)
		switch n := next[p]; {
		case start.Err != nil:
			return nil, fmt.Errorf("list the start of %s[%d]: %w", p.Topic, p.ID, start.Err)
		case end.Err != nil:
			return nil, fmt.Errorf("list the end of %s[%d]: %w", p.Topic, p.ID, end.Err)
		case n == 0:
			at[p] = beginning{0, start.Offset, end.Offset}
		case n < start.Offset, n > end.Offset:
			return nil, &LedgerError{Partition: p, Next: n, Start: start.Offset, End: end.Offset, replay: l.cfg.replay != nil}
		default:
			at[p] = beginning{n, n, end.Offset}
		}
	}
	return at, nil
}

// rewind takes a partition up again where the ledger says, after another consumer has moved it: what is buffered of it is
// dropped, and the poll loop fetches from there.
func (l *loader) rewind(ctx context.Context, p *partition) error {
	at, err := l.begin(ctx, []sink.Partition{p.Partition})
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.lost {
		return nil // what the ledger says of it is the new owner's business
	}
	if err != nil {
		return err
	}
	b := at[p.Partition]
	l.log.Warn("another consumer has moved the ledger: going on from there", "topic", p.Topic, "partition", p.ID, "from", p.ledger, "to", b.ledger)
	l.forget(p)
	p.ledger, p.next, p.end, p.moved = b.ledger, b.next, b.end, true
	l.wake()
	return nil
}

// seek moves fetching of rewound partitions. Only the poll loop calls it, while it holds up rebalances.
func (l *loader) seek() {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	l.mu.Lock()
	for _, p := range l.parts {
		if p.moved {
			p.moved = false
			set(offsets, p.Partition, p.next)
		}
	}
	l.mu.Unlock()
	l.kafka.SetOffsets(offsets)
}

func set(offsets map[string]map[int32]kgo.EpochOffset, p sink.Partition, at int64) {
	if offsets[p.Topic] == nil {
		offsets[p.Topic] = map[int32]kgo.EpochOffset{}
	}
	offsets[p.Topic][p.ID] = kgo.EpochOffset{Epoch: -1, Offset: at}
}

func (l *loader) key(topic string, id int32) sink.Partition {
	return sink.Partition{Cluster: l.cluster, Group: l.cfg.Group, Topic: topic, ID: id}
}
