package inspect

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Checkpoint is where a stream of Tiledesk goes on.
type Checkpoint struct {
	Stream string // PROJECT/RESOURCE
	At     time.Time
	JSON   json.RawMessage // as the producer wrote it
}

// Checkpoints returns the newest of each stream, in the order of their names.
func Checkpoints(ctx context.Context, cfg Config) ([]Checkpoint, error) {
	client, err := cfg.Kafka.NewClient(kgo.RetryTimeout(kafkaPatience / 3))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topic := cfg.Kafka.CheckpointTopic().Name
	held, err := extents(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return nil, err
	}
	spans := map[int32]span{}
	for id, e := range held {
		spans[id] = span{e.start, e.end}
	}
	newest := map[string]Checkpoint{}
	if err := scan(ctx, cfg.Kafka, topic, spans, func(r *kgo.Record) error {
		key := string(r.Key)
		if !strings.Contains(key, "/") { // a lane's own
			return nil
		}
		if delete(newest, key); r.Value != nil {
			newest[key] = Checkpoint{key, r.Timestamp.UTC(), slices.Clone(r.Value)}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var all []Checkpoint
	for _, c := range newest {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Checkpoint) int { return strings.Compare(a.Stream, b.Stream) })
	return all, nil
}
