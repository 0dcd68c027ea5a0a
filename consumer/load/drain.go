package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// errDrained ends Run: everything up to the ends asked for is loaded.
var errDrained = errors.New("loaded to the end")

const (
	drainCheck = 50 * time.Millisecond
	askEvery   = time.Second // the ledger, about partitions that another consumer of the group has
	tellAfter  = 10          // such questions
	joinEvery  = 5           // such questions
)

// drain waits until Config.Until is closed, notes where the partitions end at that moment (a replay knows), and returns errDrained once the
// ledger has reached those ends. Partitions that another consumer of the group owns count too: the answer is that the
// warehouse holds everything, whoever loaded it.
func (l *loader) drain(ctx context.Context) error {
	select {
	case <-l.cfg.Until:
	case <-ctx.Done():
		return nil
	}
	l.kafka.ForceMetadataRefresh()
	var targets map[sink.Partition]int64
	if replay := l.cfg.replay; replay != nil {
		targets = replay.targets
	} else if err := l.retry(ctx, "find the ends of partitions", func() (err error) {
		targets, err = l.ends(ctx)
		return err
	}); err != nil {
		return err
	}
	l.mu.Lock()
	l.targets = targets
	l.mu.Unlock()
	l.wakeWriters()
	var asked time.Time
	for n := 0; ctx.Err() == nil; _ = ops.Sleep(ctx, drainCheck) {
		left, others := l.left()
		if left > 0 || len(others) > 0 && time.Since(asked) < askEvery {
			continue
		}
		if len(others) > 0 {
			asked = time.Now()
			next, err := l.to.Next(ctx, others)
			if err != nil {
				l.log.Debug("ask the ledger", "error", err)
			}
			if !reached(next, targets, others) {
				l.kafka.ForceMetadataRefresh() // topics may be new
				if n++; n == tellAfter {
					l.log.Info("waiting for partitions that the group has not given to this consumer", "partitions", len(others))
				}
				if n%joinEvery == 0 {
					l.kafka.ForceRebalance() // a topic found during a rebalance can be left out of it, and stay so
				}
				continue
			}
		}
		return errDrained
	}
	return nil
}

func reached(next, targets map[sink.Partition]int64, ps []sink.Partition) bool {
	for _, p := range ps {
		if next[p] < targets[p] {
			return false
		}
	}
	return true
}

// ends lists the partitions of our topics that hold more than the ledger has, and where they end for a reader of committed
// transactions.
func (l *loader) ends(ctx context.Context) (map[sink.Partition]int64, error) {
	topics, err := l.admin.ListTopics(ctx, l.topics()...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var ps []sink.Partition
	for _, t := range topics {
		for id := range t.Partitions {
			ps = append(ps, l.key(t.Topic, id))
		}
	}
	targets := map[sink.Partition]int64{}
	if len(ps) == 0 {
		return targets, nil
	}
	at, err := l.tryBegin(ctx, ps)
	for p, b := range at {
		if b.next < b.end {
			targets[p] = b.end
		}
	}
	return targets, err
}

// left counts the partitions here that have not reached their target, and lists those that are not here.
func (l *loader) left() (here int, others []sink.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, target := range l.targets {
		switch p := l.parts[key]; {
		case p == nil:
			others = append(others, key)
		case p.ledger < target:
			here++
		}
	}
	return here, others
}

// reached tells that all that is to be loaded of a table here has been taken from Kafka. The caller holds mu.
func (l *loader) reached(t *table) bool {
	if l.targets == nil {
		return false
	}
	for _, p := range l.parts {
		if p.table == t && p.next < l.targets[p.Partition] {
			return false
		}
	}
	return true
}
