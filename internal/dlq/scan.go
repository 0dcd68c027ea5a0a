package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
)

// scan calls yield for every committed record of the partitions from the given offsets up to where they end now, markers
// included, or until it returns false. It waits for transactions that are open there: at most for their timeout, a minute.
func scan(ctx context.Context, kafka broker.Config, topic string, from map[int32]int64, yield func(*kgo.Record) (more bool)) error {
	cl, err := kafka.NewClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("list the starts of %s: %w", topic, err)
	}
	ends, err := adm.ListEndOffsets(ctx, topic) // not the last stable ones: what was written last may stand behind an open transaction
	if err != nil {
		return fmt.Errorf("list the ends of %s: %w", topic, err)
	}
	left := map[int32]int64{}
	at := map[int32]kgo.Offset{}
	for id, offset := range from {
		start, _ := starts.Lookup(topic, id)
		end, ok := ends.Lookup(topic, id)
		if err := errors.Join(start.Err, end.Err); err != nil || !ok {
			return fmt.Errorf("look at %s[%d]: %w", topic, id, errors.Join(err, unless(ok, kerr.UnknownTopicOrPartition)))
		}
		if offset = max(offset, start.Offset); offset < end.Offset {
			at[id], left[id] = kgo.NewOffset().At(offset), end.Offset
		}
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: at})
	for len(left) > 0 {
		fetched := cl.PollFetches(ctx)
		if err := fetched.Err0(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for _, e := range fetched.Errors() {
			return fmt.Errorf("read %s[%d]: %w", topic, e.Partition, e.Err)
		}
		for r := range fetched.RecordsAll() {
			if end, ok := left[r.Partition]; ok {
				if r.Offset < end && !yield(r) {
					return nil
				}
				if r.Offset+1 >= end {
					delete(left, r.Partition)
				}
			}
		}
	}
	return nil
}

func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

// partitions counts the partitions of a topic; 0 where there is none.
func partitions(ctx context.Context, adm *kadm.Client, topic string) (int32, error) {
	listed, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return 0, broker.Explain(fmt.Errorf("look at topic %s: %w", topic, err))
	}
	switch t := listed[topic]; {
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return 0, nil
	case t.Err != nil:
		return 0, broker.Explain(fmt.Errorf("look at topic %s: %w", topic, t.Err))
	default:
		return int32(len(t.Partitions)), nil
	}
}

// Read returns the dead letters of a topic from the given place of each partition on, and where each partition ends; nil
// where nobody has written any. Partitions that from does not name are read from their beginning.
func Read(ctx context.Context, kafka broker.Config, topic string, from map[int32]int64) (letters []Letter, ends map[int32]int64, err error) {
	ends, err = each(ctx, kafka, topic, from, func(l Letter) { letters = append(letters, l) })
	slices.SortFunc(letters, func(a, b Letter) int {
		return cmp.Or(cmp.Compare(a.At.Partition, b.At.Partition), cmp.Compare(a.At.Offset, b.At.Offset))
	})
	return letters, ends, err
}

// each tells of the letters that Read returns, one by one.
func each(ctx context.Context, kafka broker.Config, topic string, from map[int32]int64, tell func(Letter)) (ends map[int32]int64, err error) {
	cl, err := kafka.NewClient()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	n, err := partitions(ctx, kadm.NewClient(cl), broker.DLQName(topic))
	if n == 0 {
		return nil, err
	}
	all := map[int32]int64{}
	for id := range n {
		all[id] = from[id]
	}
	ends = maps.Clone(all)
	return ends, scan(ctx, kafka, broker.DLQName(topic), all, func(r *kgo.Record) bool {
		ends[r.Partition] = r.Offset + 1
		if r.Attrs.IsControl() {
			return true
		}
		if l, err := parse(r); err == nil { // else somebody else has written it
			tell(l)
		}
		return true
	})
}

// At returns the letter of a topic that stands there; nil where none does.
func At(ctx context.Context, kafka broker.Config, topic string, at Place) (found *Letter, err error) {
	err = scan(ctx, kafka, broker.DLQName(topic), map[int32]int64{at.Partition: at.Offset}, func(r *kgo.Record) bool {
		if l, err := parse(r); err == nil && l.At == at {
			found = &l
		}
		return false
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, nil
	}
	return found, err
}
