package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
)

// Partitions of the ledger that are none of Kafka. They are kept there because what they say has to move together with
// the offsets, and survive with them.
const (
	identityID = -1 // its "next offset" is the identity of the topic that the ledger is of
	endsID     = -2 // endsID-p: where a replay of partition p ends
)

// identityOf is 63 bits of the id that brokers give to a topic when it is created; 0 where they give none (before Kafka 2.8).
func identityOf(id kadm.TopicID) int64 {
	if id == (kadm.TopicID{}) {
		return 0
	}
	return max(1, int64(binary.BigEndian.Uint64(id[:8])>>1))
}

// recognize checks that the topic is the one that the ledger is of, and claims the ledger for it where the ledger does not
// say: it is new, or of a time before identities were kept. *RecreatedError: the topic is another one. sink.ErrFenced: another
// consumer was faster; ask again.
func (l *loader) recognize(ctx context.Context, topic kadm.TopicDetail, have int64) error {
	is := identityOf(topic.ID)
	switch {
	case topic.Err != nil:
		return broker.Explain(fmt.Errorf("look at topic %s: %w", topic.Topic, topic.Err))
	case is == 0, have == is:
		return nil
	case have != 0:
		return &RecreatedError{Group: l.cfg.Group, Topic: topic.Topic, replay: l.cfg.replay != nil}
	}
	if err := l.move(ctx, sink.Range{Partition: l.key(topic.Topic, identityID), To: is}); err != nil {
		return fmt.Errorf("keep the id of topic %s: %w", topic.Topic, err)
	}
	return nil
}

// move sets the ledger of one topic, without rows: all of the ranges or, with sink.ErrFenced, none.
func (l *loader) move(ctx context.Context, ranges ...sink.Range) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	table := sink.Table{Name: resourceOf(ranges[0].Topic, l.brokers), Key: keyColumn, Offset: offsetColumn}
	_, err = l.to.Write(ctx, sink.Batch{ID: id.String(), Table: table, Ranges: ranges})
	return err
}

// look makes the admin client of work that joins no group, and finds out the cluster's id. The caller closes the client.
func (l *loader) look(ctx context.Context, kafka broker.Config) (*kadm.Client, error) {
	client, err := kafka.NewClient()
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(client)
	about, err := admin.BrokerMetadata(ctx)
	if err != nil {
		client.Close()
		return nil, broker.Explain(fmt.Errorf("reach Kafka: %w", err))
	}
	l.admin, l.cluster = admin, about.Cluster
	return admin, nil
}

// extent is a topic as it is in Kafka now.
type extent struct {
	identity     int64
	starts, ends []int64 // by partition; ends are those of committed transactions
}

// extentOf looks a topic up. kerr.UnknownTopicOrPartition: there is none.
func (l *loader) extentOf(ctx context.Context, topic string) (extent, error) {
	topics, err := l.admin.ListTopics(ctx, topic)
	if err != nil {
		return extent{}, broker.Explain(fmt.Errorf("look at topic %s: %w", topic, err))
	}
	if err := topics[topic].Err; err != nil {
		return extent{}, broker.Explain(fmt.Errorf("look at topic %s: %w", topic, err))
	}
	starts, err1 := l.admin.ListStartOffsets(ctx, topic)
	ends, err2 := l.admin.ListCommittedOffsets(ctx, topic)
	if err := errors.Join(err1, err2); err != nil {
		return extent{}, broker.Explain(fmt.Errorf("look at topic %s: %w", topic, err))
	}
	out := extent{identity: identityOf(topics[topic].ID)}
	for id := range int32(len(topics[topic].Partitions)) {
		start, ok1 := starts.Lookup(topic, id)
		end, ok2 := ends.Lookup(topic, id)
		if err := errors.Join(start.Err, end.Err); err != nil || !ok1 || !ok2 {
			return extent{}, broker.Explain(fmt.Errorf("look at %s[%d]: its offsets are not known: %w", topic, id, errors.Join(err)))
		}
		out.starts, out.ends = append(out.starts, start.Offset), append(out.ends, end.Offset)
	}
	return out, nil
}

// String says what each partition holds.
func (e extent) String() string {
	var parts []string
	for id := range e.ends {
		parts = append(parts, fmt.Sprintf("%d to %d in partition %d", e.starts[id], e.ends[id], id))
	}
	return "offsets " + strings.Join(parts, ", ")
}
