package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tilestream/consumer/sink"
)

// errDrained ends Run: everything up to the ends asked for is loaded.
var errDrained = errors.New("loaded to the end")

const (
	drainCheck = 50 * time.Millisecond
	askEvery   = time.Second // the ledger, about partitions that another consumer of the group has
	tellAfter  = 10          // such questions
)

// drain waits until Config.Until is closed, notes where the partitions end at that moment, and returns errDrained once the
// ledger has reached those ends. Partitions that another consumer of the group owns count too: the answer is that the
// warehouse holds everything, whoever loaded it.
func (l *loader) drain(ctx context.Context) error {
	select {
	case <-l.cfg.Until:
	case <-ctx.Done():
		return nil
	}
	l.kafka.ForceMetadataRefresh() // topics may be new
	var targets map[sink.Partition]int64
	err := l.retry(ctx, "find the ends of partitions", func() (err error) {
		targets, err = l.ends(ctx)
		return err
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.targets = targets
	l.mu.Unlock()
	l.wakeWriters()
	var asked time.Time
	for n := 0; ctx.Err() == nil; pause(ctx, drainCheck) {
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
				if n++; n == tellAfter {
					l.log.Info("waiting for partitions that the group has not given to this consumer", "partitions", len(others))
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

// ends lists where the partitions of our topics end for a reader of committed transactions. Partitions that hold nothing are left out.
func (l *loader) ends(ctx context.Context) (map[sink.Partition]int64, error) {
	var topics []string
	for topic := range l.tables {
		topics = append(topics, topic)
	}
	starts, err := l.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the starts of partitions: %w", err)
	}
	ends, err := l.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the ends of partitions: %w", err)
	}
	targets := map[sink.Partition]int64{}
	for topic, ps := range ends {
		for id, end := range ps {
			start, _ := starts.Lookup(topic, id)
			switch {
			case id < 0: // the topic does not exist
			case end.Err != nil:
				return nil, fmt.Errorf("list the end of %s[%d]: %w", topic, id, end.Err)
			case end.Offset > start.Offset:
				targets[l.key(topic, id)] = end.Offset
			}
		}
	}
	return targets, nil
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
