package poll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/ops"
	"tilestream/producer/tiledesk"
)

// checkpointVersion is the format of a checkpoint's value; a reader refuses newer ones.
const checkpointVersion = 1

// checkpoint is the value of a record in the checkpoint topic; its key is PROJECT/RESOURCE. A lane's own record, keyed
// "lane", holds no cursor.
type checkpoint struct {
	Version int              `json:"v"`
	Cursor  *tiledesk.Cursor `json:"cursor,omitempty"`
}

func encodeCursor(c tiledesk.Cursor) ([]byte, error) {
	return json.Marshal(checkpoint{Version: checkpointVersion, Cursor: &c})
}

// laneKey is the key of the record that a lane writes when it starts. No project id holds it: they are followed by "/".
const laneKey = "lane"

// partitionOf says which checkpoint partition, and so which lane, a project belongs to.
func partitionOf(project string, n int32) int32 {
	h := fnv.New32a()
	h.Write([]byte(project))
	return int32(h.Sum32() % uint32(n))
}

// readCheckpoints reads the partition from its start up to the offset of a record known to be in it, and returns the
// last committed cursor by key. Reading to a record, and not to an end offset, is what makes it end: behind the last
// record there may be offsets that compaction has emptied.
func (l *lane) readCheckpoints(ctx context.Context, until int64) (map[string]tiledesk.Cursor, error) {
	topic := l.kafka.CheckpointTopic().Name
	cl, err := l.kafka.NewClient(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {l.partition: kgo.NewOffset().AtStart()}}),
	)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	cursors := map[string]tiledesk.Cursor{}
	for next := int64(0); next <= until; {
		wait, cancel := context.WithTimeout(ctx, stallTimeout)
		fetches := cl.PollFetches(wait)
		stalled := wait.Err() != nil && ctx.Err() == nil
		cancel()
		if stalled {
			return nil, &transactionError{fmt.Errorf("read checkpoints %s/%d: nothing came for %s at offset %d of %d: %s", topic, l.partition, stallTimeout, next, until, l.ends(ctx, cl))}
		}
		if err := fetches.Err(); err != nil {
			return nil, &transactionError{fmt.Errorf("read checkpoints %s/%d: %w", topic, l.partition, err)}
		}
		for r := range fetches.RecordsAll() {
			next = r.Offset + 1
			if err := l.recall(cursors, string(r.Key), r.Value); err != nil {
				return nil, fmt.Errorf("checkpoint %q at %s/%d offset %d: %w", r.Key, topic, l.partition, r.Offset, err)
			}
		}
	}
	return cursors, nil
}

// stallTimeout is how long the brokers may take to give a record that they have acknowledged. After that the lane starts
// again: a transaction that hangs at the broker holds back everything behind it.
const stallTimeout = 15 * time.Second

// ends tells how far the partition goes, and how far for readers of committed transactions, for an error.
func (l *lane) ends(ctx context.Context, cl *kgo.Client) string {
	topic := l.kafka.CheckpointTopic().Name
	adm := kadm.NewClient(cl)
	stable, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err.Error()
	}
	all, err := adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return err.Error()
	}
	s, _ := stable.Lookup(topic, l.partition)
	a, _ := all.Lookup(topic, l.partition)
	return fmt.Sprintf("the partition ends at %d, its committed part at %d", a.Offset, s.Offset)
}

func (l *lane) recall(cursors map[string]tiledesk.Cursor, key string, value []byte) error {
	project, _, ok := strings.Cut(key, "/")
	if !ok {
		return nil // a lane's own record
	}
	if p := partitionOf(project, l.partitions); p != l.partition {
		return fmt.Errorf("project %s belongs to partition %d of %d: the topic's partition count was changed; "+
			"its checkpoints would be lost and everything published again, so give the topic its old count back", project, p, l.partitions)
	}
	if value == nil {
		delete(cursors, key)
		return nil
	}
	var c checkpoint
	err := json.Unmarshal(value, &c)
	switch {
	case c.Version > checkpointVersion: // whose cursor may be of another type
		return ops.CheckFormat("it", c.Version, checkpointVersion, "set KAFKA_TOPIC_PREFIX to another one, below which everything is published again")
	case err == nil && (c.Version != checkpointVersion || c.Cursor == nil):
		err = errors.New("no cursor of that format in it")
		fallthrough
	case err != nil:
		return fmt.Errorf("not a checkpoint: %w: something else wrote to the topic; a record with this key and a null value makes the "+
			"resource begin anew, which publishes all of it again", err)
	}
	cursors[key] = *c.Cursor
	return nil
}
