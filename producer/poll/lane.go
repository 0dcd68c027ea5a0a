package poll

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// A lane owns one partition of the checkpoint topic: the projects that hash to it, and a transactional id. Whoever
// initialises that id last is the owner; transactions of earlier owners are settled or fenced by the broker.
type lane struct {
	*producer
	partition, partitions int32
	streams               []*stream
}

// transactionTimeout is how long a dead lane may hold back read-committed consumers if no successor fences it.
const transactionTimeout = 60 * time.Second

// settleTimeout bounds the end of a transaction once the lane is told to stop.
const settleTimeout = 15 * time.Second

// keep runs the lane until ctx ends, again and again: after any failed transaction only the log knows the truth, so the
// lane starts afresh from it.
func (l *lane) keep(ctx context.Context) {
	for {
		err := l.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if isFenced(err) {
			l.log.Warn("another producer took the lane over; asking for it again", "lane", l.partition, "in", restartDelay)
		} else {
			l.log.Error("lane stopped; starting again from its checkpoints", "lane", l.partition, "error", err, "in", restartDelay)
		}
		if ops.Sleep(ctx, restartDelay) != nil {
			return
		}
	}
}

// once runs the lane until its streams are up to date. A failed transaction is tried again from the log a few times;
// being fenced is final: another producer is at work on the same projects.
func (l *lane) once(ctx context.Context) error {
	for try := 1; ; try++ {
		err := l.run(ctx)
		var broken *transactionError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case isFenced(err):
			return fmt.Errorf("another producer took over while this one ran: run one -once at a time, and none beside a streaming producer: %w", err)
		case !errors.As(err, &broken) || try == 3:
			return err
		}
		l.log.Warn("transaction failed; starting again from the checkpoints", "lane", l.partition, "error", err)
		if ops.Sleep(ctx, restartDelay) != nil {
			return ctx.Err()
		}
	}
}

// run takes the lane over, recalls where its streams stand and polls them, until ctx ends, a transaction fails, or all
// streams are done (Config.Once).
func (l *lane) run(ctx context.Context) error {
	checkpoints := l.kafka.CheckpointTopic().Name
	cl, err := l.kafka.NewClient(
		kgo.TransactionalID(fmt.Sprintf("%s-producer-%d", l.kafka.Prefix, l.partition)),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordDeliveryTimeout(transactionTimeout), // Kafka away for longer: start again from the log
		kgo.RecordPartitioner(partitioner{checkpoints: checkpoints}),
		kgo.ProducerBatchMaxBytes(broker.MaxMessageBytes),
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(1), kgo.SnappyCompression()),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	tx := &transactions{client: cl, checkpoints: checkpoints, partition: l.partition, pages: make(chan *publication, waitingPages)}
	started, err := l.take(ctx, tx)
	if err != nil {
		return err
	}
	cursors, err := l.readCheckpoints(ctx, started)
	if err != nil {
		return err
	}
	l.log.Debug("lane taken over", "lane", l.partition, "streams", len(l.streams), "checkpoints", len(cursors))

	polling, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(l.streams))
	var streams sync.WaitGroup
	for i, s := range l.streams {
		streams.Go(func() { errs[i] = s.run(polling, cursors[s.key()], tx) })
	}
	var broken error
	var committing sync.WaitGroup
	committing.Go(func() {
		if broken = tx.run(ctx); broken != nil {
			stop()
		}
	})
	streams.Wait()
	close(tx.pages)
	committing.Wait()
	if broken != nil {
		return broken
	}
	return errors.Join(errs...)
}

// take makes this process the lane's owner: the first transaction under its id fences earlier owners and settles what
// they left open. It writes the lane's own record, whose offset says how far the checkpoints must be read.
func (l *lane) take(ctx context.Context, tx *transactions) (int64, error) {
	host, _ := os.Hostname() // only told to people
	r := &kgo.Record{
		Topic:     tx.checkpoints,
		Partition: l.partition,
		Key:       []byte(laneKey),
		Value:     fmt.Appendf(nil, `{"v":%d,"owner":%q,"pid":%d}`, checkpointVersion, host, os.Getpid()),
	}
	if _, _, err := tx.client.ProducerID(ctx); err != nil {
		return 0, &transactionError{fmt.Errorf("take over lane %d: %w", l.partition, err)}
	}
	if err := tx.commit(ctx, []*kgo.Record{r}); err != nil {
		return 0, fmt.Errorf("take over lane %d: %w", l.partition, err)
	}
	return r.Offset, nil
}

// isFenced reports whether a later owner of the transactional id has taken over. Brokers say so in several ways: by the epoch,
// or by the state of a transaction that the later owner has settled.
func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.InvalidTxnState)
}

// partitioner sends checkpoints to the partition they name, and everything else where its key hashes to, as Kafka's own
// clients do.
type partitioner struct{ checkpoints string }

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.checkpoints {
		return kgo.ManualPartitioner().ForTopic(topic)
	}
	return kgo.StickyKeyPartitioner(nil).ForTopic(topic)
}
