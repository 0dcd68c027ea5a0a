package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
)

// extent is what Kafka holds of a partition: offsets start up to, not including, end for a reader of committed transactions;
// high is where the log itself ends.
type extent struct{ start, end, high int64 }

// extents looks at a topic; none where there is no such topic.
func extents(ctx context.Context, adm *kadm.Client, topic string) (map[int32]extent, error) {
	listed, err := adm.ListTopics(ctx, topic)
	if err == nil {
		err = listed[topic].Err
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, nil
	}
	if err != nil {
		return nil, broker.Explain(fmt.Errorf("look at topic %s: %w", topic, err))
	}
	starts, err1 := adm.ListStartOffsets(ctx, topic)
	ends, err2 := adm.ListCommittedOffsets(ctx, topic)
	highs, err3 := adm.ListEndOffsets(ctx, topic)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, broker.Explain(fmt.Errorf("look at topic %s: %w", topic, err))
	}
	out := map[int32]extent{}
	for id := range listed[topic].Partitions {
		start, ok1 := starts.Lookup(topic, id)
		end, ok2 := ends.Lookup(topic, id)
		high, ok3 := highs.Lookup(topic, id)
		if err := errors.Join(start.Err, end.Err, high.Err); err != nil || !ok1 || !ok2 || !ok3 {
			return nil, broker.Explain(fmt.Errorf("look at %s[%d]: its offsets are not known: %w", topic, id, err))
		}
		out[id] = extent{start.Offset, end.Offset, high.Offset}
	}
	return out, nil
}

// span is the part of a partition from an offset up to, not including, another.
type span struct{ from, to int64 }

// silence is how long Kafka may give nothing of what it has said it holds.
const silence = time.Minute

// scan calls yield for the committed records of the spans of a topic, partition by partition in order; a record's bytes are
// its own only until the next call.
func scan(ctx context.Context, kafka broker.Config, topic string, spans map[int32]span, yield func(*kgo.Record) error) error {
	left, at := map[int32]int64{}, map[int32]kgo.Offset{}
	for id, s := range spans {
		if s.from < s.to {
			left[id], at[id] = s.to, kgo.NewOffset().At(s.from)
		}
	}
	if len(left) == 0 {
		return nil
	}
	cl, err := kafka.NewClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.MaxConcurrentFetches(2), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetched, err := poll(ctx, cl)
		if err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for _, e := range fetched.Errors() {
			return broker.Explain(fmt.Errorf("read %s[%d]: %w", topic, e.Partition, e.Err))
		}
		for r := range fetched.RecordsAll() {
			to, ok := left[r.Partition]
			if !ok {
				continue
			}
			if r.Offset < to && !r.Attrs.IsControl() {
				if err := yield(r); err != nil {
					return err
				}
			}
			if r.Offset+1 >= to {
				delete(left, r.Partition)
				cl.PauseFetchPartitions(map[string][]int32{topic: {r.Partition}})
			}
		}
	}
	return nil
}

func poll(ctx context.Context, cl *kgo.Client) (kgo.Fetches, error) {
	patient, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	fetched := cl.PollFetches(patient)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case patient.Err() != nil:
		return nil, fmt.Errorf("kafka has given nothing for %s of records that it lists: check the brokers, then try again", silence)
	}
	return fetched, nil
}
