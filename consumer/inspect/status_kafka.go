package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/dlq"
)

// kafka reads offsets, the age of what waits, members and dead letters.
func (l *looker) kafka(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	client, err := l.Kafka.NewClient(kgo.RetryTimeout(kafkaPatience / 3))
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	about, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return broker.Explain(fmt.Errorf("reach %s: %w", strings.Join(l.Kafka.Brokers, ","), err))
	}
	l.cluster = about.Cluster
	if err := l.members(ctx, adm); err != nil {
		return err
	}
	committed, err := offsetsOf(ctx, adm, l.group())
	if err != nil {
		return err
	}
	replayed, err := offsetsOf(ctx, adm, dlq.ReplayGroup(l.group()))
	if err != nil {
		return err
	}
	waiting := map[string]map[int32]span{}
	for i := range l.status.Topics {
		t := &l.status.Topics[i]
		held, err := extents(ctx, adm, t.Topic)
		if err != nil {
			return err
		}
		t.Partitions = len(held)
		waiting[t.Topic] = l.offsets(t, held, committed[t.Topic])
		if err := l.letters(ctx, t, replayed[broker.DLQName(t.Topic)]); err != nil {
			return err
		}
	}
	oldest, err := l.oldest(ctx, waiting)
	if err != nil {
		return err
	}
	for i := range l.status.Topics {
		if t := &l.status.Topics[i]; !oldest[t.Topic].IsZero() {
			t.oldest = oldest[t.Topic]
			t.LagSeconds = max(0, l.status.Time.Sub(t.oldest).Seconds())
		}
	}
	return nil
}

func offsetsOf(ctx context.Context, adm *kadm.Client, group string) (kadm.OffsetResponses, error) {
	at, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, broker.Explain(fmt.Errorf("see what group %s has committed: %w", group, err))
	}
	return at, nil
}

func (l *looker) members(ctx context.Context, adm *kadm.Client) error {
	groups, err := adm.DescribeGroups(ctx, l.group())
	g := groups[l.group()]
	if err == nil {
		err = g.Err
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		l.status.State = "Dead"
		return nil
	}
	if err != nil {
		return broker.Explain(fmt.Errorf("look at group %s: %w", l.group(), err))
	}
	l.status.State = g.State
	for _, m := range g.Members {
		one := Member{Host: strings.TrimPrefix(m.ClientHost, "/")}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				one.Partitions += len(t.Partitions)
			}
		}
		l.status.Members = append(l.status.Members, one)
	}
	slices.SortFunc(l.status.Members, func(a, b Member) int { return strings.Compare(a.Host, b.Host) })
	return nil
}

// offsets holds what is loaded of a topic against what there is, and returns what is not loaded.
func (l *looker) offsets(t *TopicStatus, held map[int32]extent, committed map[int32]kadm.OffsetResponse) map[int32]span {
	waiting := map[int32]span{}
	for id, e := range held {
		next, known := l.ledger[sink.Partition{Cluster: l.cluster, Group: l.group(), Topic: t.Topic, ID: id}]
		if l.ledger == nil {
			var c kadm.OffsetResponse
			if c, known = committed[id]; known {
				next = c.At
			}
		}
		if known && next > e.high {
			l.problem(fmt.Sprintf("%s[%d] ends at offset %d, but %d is wanted next: the topic was deleted and created again.", t.Topic, id, e.high, next),
				"consumer accept -topic "+t.Topic+", if the new topic is the one to load")
			next = e.high
		}
		if known && next > 0 && next < e.start {
			l.problem(fmt.Sprintf("%s[%d]: offsets %d to %d were removed by retention before they were loaded.", t.Topic, id, next, e.start),
				"consumer accept -topic "+t.Topic+", to go on with what there is")
		}
		t.Ledger += next
		t.HighWatermark += e.high
		from := max(next, e.start)
		t.Lag += max(0, e.high-from)
		if from < e.end {
			waiting[id] = span{from, e.end}
		}
	}
	return waiting
}

// letters counts the dead letters that were not replayed: the group's, and the producer's.
func (l *looker) letters(ctx context.Context, t *TopicStatus, replayed map[int32]kadm.OffsetResponse) error {
	from := map[int32]int64{}
	for id, at := range replayed {
		from[id] = at.At
	}
	letters, _, err := dlq.Read(ctx, l.Kafka, t.Topic, from)
	if err != nil {
		return err
	}
	for _, letter := range letters {
		if letter.Unpublished() { // read from where dlq replay has seen them
			t.Unpublished++
			continue
		}
		at := sink.Partition{Cluster: l.cluster, Group: l.group(), Topic: broker.DLQName(t.Topic), ID: letter.At.Partition}
		if letter.Group == l.group() && letter.At.Offset >= l.ledger[at] {
			t.DeadLetters++
		}
	}
	return nil
}

// oldest returns the time of the oldest record that waits, of each topic where one does.
func (l *looker) oldest(ctx context.Context, waiting map[string]map[int32]span) (map[string]time.Time, error) {
	type part struct {
		topic string
		id    int32
	}
	left, at := map[part]int64{}, map[string]map[int32]kgo.Offset{}
	for topic, spans := range waiting {
		at[topic] = map[int32]kgo.Offset{}
		for id, s := range spans {
			left[part{topic, id}], at[topic][id] = s.to, kgo.NewOffset().At(s.from)
		}
	}
	oldest := map[string]time.Time{}
	if len(left) == 0 {
		return oldest, nil
	}
	cl, err := l.Kafka.NewClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumePartitions(at),
		kgo.FetchMaxPartitionBytes(64<<10), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetched := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read the oldest records that wait: %w", ctx.Err())
		}
		for _, e := range fetched.Errors() {
			return nil, broker.Explain(fmt.Errorf("read %s[%d]: %w", e.Topic, e.Partition, e.Err))
		}
		for r := range fetched.RecordsAll() {
			p := part{r.Topic, r.Partition}
			to, ok := left[p]
			if !ok {
				continue
			}
			if had := oldest[r.Topic]; !r.Attrs.IsControl() && r.Offset < to && (had.IsZero() || r.Timestamp.Before(had)) {
				oldest[r.Topic] = r.Timestamp.UTC()
			}
			if !r.Attrs.IsControl() || r.Offset+1 >= to {
				delete(left, p)
				cl.PauseFetchPartitions(map[string][]int32{p.topic: {p.id}})
			}
		}
	}
	return oldest, nil
}
