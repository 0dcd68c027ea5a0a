package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// abortTimeout bounds the end of a transaction that has failed.
const abortTimeout = 15 * time.Second

// Transact writes the records in one transaction of a client that has a transactional id. Nil means that they are all
// committed. After an error the client is of no more use: they may be committed or not, and whoever initialises the
// transactional id next settles that.
func Transact(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	if err := cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	var first failure
	for _, r := range records {
		cl.Produce(ctx, r, func(r *kgo.Record, err error) {
			if err != nil {
				first.set(refused(r, err))
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("wait for the brokers: %w", errors.Join(first.get(), err))
	}
	if failed := first.get(); failed != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
			failed = errors.Join(failed, fmt.Errorf("abort transaction: %w", err))
		}
		return failed
	}
	if err := stored(ctx, cl, records); err != nil {
		return fmt.Errorf("wait for the client: %w", err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

// failure keeps the first error of several: the others fail for the same reason, or because of this one.
type failure struct {
	mu  sync.Mutex
	err error
}

func (f *failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// stored waits until the client knows the partitions that it has just written to. It sends the first records of a topic
// before it stores the topic's partitions (kgo v1.22.2, storePartitionsUpdate), and EndTransaction looks for what was
// written among the stored ones: finding none it aborts, and returns nil even where a commit was asked for.
func stored(ctx context.Context, cl *kgo.Client, records []*kgo.Record) error {
	type place struct {
		topic     string
		partition int32
	}
	seen := map[place]bool{}
	for _, r := range records {
		p := place{r.Topic, r.Partition}
		if seen[p] {
			continue
		}
		seen[p] = true
		for {
			leader, _, err := cl.PartitionLeader(p.topic, p.partition)
			if leader >= 0 || err != nil {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
	}
	return nil
}

func refused(r *kgo.Record, err error) error {
	if errors.Is(err, kerr.MessageTooLarge) {
		return TooLarge(r)
	}
	return fmt.Errorf("write %.100q to %s: %w", r.Key, r.Topic, err)
}

// TooLarge is the error of a record that is larger than a topic takes.
func TooLarge(r *kgo.Record) error {
	return fmt.Errorf("write %.100q to %s: %d bytes are more than one message may hold (max.message.bytes, %d as Tilestream creates topics): %w",
		r.Key, r.Topic, len(r.Key)+len(r.Value), MaxMessageBytes, kerr.MessageTooLarge)
}
