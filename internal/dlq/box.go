package dlq

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
)

// transactionTimeout is how long what a dead owner left open holds back readers, if nobody opens its box again.
const transactionTimeout = 60 * time.Second

// Box is where one owner of a Source puts its letters. Its transactional id is made of the owner's group and the partition: opening it
// fences earlier owners of that group and settles what they left, so that what is then read is all that they will ever have written.
// It is for one goroutine.
type Box struct {
	Source
	client    *kgo.Client
	topic     string
	partition int32
	written   map[id]struct{}
}

// id tells the letters of a source apart.
type id struct {
	offset  int64
	attempt int
}

// Open takes the box of the owner, a group, over, creates its topic where there is none, and reads which letters of the source it
// holds. Letters that the groups of also have of the same records count as written. The owner is the source's group, or a replay that
// writes letters of live loading's group without fencing it.
func Open(ctx context.Context, kafka broker.Config, log *slog.Logger, owner string, s Source, also ...string) (_ *Box, err error) {
	b := &Box{Source: s, topic: broker.DLQName(s.Topic), written: map[id]struct{}{}}
	b.client, err = kafka.NewClient(
		kgo.TransactionalID(fmt.Sprintf("%s-dlq-%s-%d", owner, s.Topic, s.Partition)),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(broker.MaxLetterBytes),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.SnappyCompression()),
	)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.client.Close()
		}
	}()
	have, err := Ensure(ctx, b.client, kafka, log, s.Topic)
	if err != nil {
		return nil, err
	}
	b.partition = s.Partition % have // the topic may have grown since
	if _, _, err := b.client.ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("take over the dead letters of %s[%d]: %w", s.Topic, s.Partition, err)
	}
	var wrong error
	err = scan(ctx, kafka, b.topic, map[int32]int64{b.partition: 0}, func(r *kgo.Record) bool {
		if r.Attrs.IsControl() {
			return true
		}
		l, err := parse(r)
		if err != nil {
			wrong = err
		}
		mine := l.Source == s
		for _, group := range also {
			mine = mine || l.Source == Source{Cluster: s.Cluster, Group: group, Topic: s.Topic, Partition: s.Partition}
		}
		if mine {
			b.written[id{l.Offset, l.Attempt}] = struct{}{}
		}
		return true
	})
	if wrong != nil {
		log.Warn("a record among the dead letters is none of ours; passed over", "error", wrong)
	}
	if err != nil {
		return nil, fmt.Errorf("see which dead letters of %s[%d] are written: %w", s.Topic, s.Partition, err)
	}
	return b, nil
}

// Ensure creates the topic for the dead letters of a topic where there is none, with as many partitions. It returns how many
// there are.
func Ensure(ctx context.Context, cl *kgo.Client, kafka broker.Config, log *slog.Logger, topic string) (int32, error) {
	adm := kadm.NewClient(cl)
	have, err := partitions(ctx, adm, broker.DLQName(topic))
	if err != nil || have > 0 {
		return have, err
	}
	n, err := partitions(ctx, adm, topic)
	if err != nil {
		return 0, err
	}
	n = max(n, 1)
	return n, broker.Ensure(ctx, cl, log, kafka.DLQTopic(topic, n))
}

// Has tells whether the letter is written.
func (b *Box) Has(offset int64, attempt int) bool {
	_, ok := b.written[id{offset, attempt}]
	return ok
}

// Write writes those of the letters that are not written yet, in one transaction. After an error it is unknown whether they
// are: close the box and open it again to see.
func (b *Box) Write(ctx context.Context, letters []Letter) error {
	var records []*kgo.Record
	for _, l := range letters {
		if !b.Has(l.Offset, l.Attempt) {
			records = append(records, l.record(b.topic, b.partition))
		}
	}
	if len(records) == 0 {
		return nil
	}
	if err := b.commit(ctx, records); err != nil {
		return fmt.Errorf("write %d dead letters to %s[%d]: %w", len(records), b.topic, b.partition, err)
	}
	for _, l := range letters {
		b.written[id{l.Offset, l.Attempt}] = struct{}{}
	}
	return nil
}

func (b *Box) commit(ctx context.Context, records []*kgo.Record) error {
	// Not kgo.RecordDeliveryTimeout, which counts from the record's timestamp: a letter keeps that of its record.
	ctx, cancel := context.WithTimeout(ctx, transactionTimeout)
	defer cancel()
	return broker.Transact(ctx, b.client, records)
}

// Close ends the box's client.
func (b *Box) Close() { b.client.Close() }
