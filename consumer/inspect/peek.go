package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/schemas"
)

// Peeked is a record of a topic.
type Peeked struct {
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Time      time.Time       `json:"time"` // of extraction
	Key       string          `json:"key"`
	Deleted   bool            `json:"deleted,omitempty"` // a tombstone: no row
	Schema    int             `json:"schema_id,omitempty"`
	Row       json.RawMessage `json:"row,omitempty"`
	Undecoded string          `json:"undecoded,omitempty"` // why there is no row
}

// Peek returns the newest committed records of a resource's topic, up to n, the newest first; none where there is no topic.
func (c Config) Peek(ctx context.Context, r schemas.Resource, n int) ([]Peeked, error) {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	client, err := c.Kafka.NewClient(kgo.RetryTimeout(kafkaPatience / 3))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	registry, err := c.Kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	topic := r.Topic(c.Kafka.Prefix)
	held, err := extents(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return nil, err
	}
	spans := map[int32]span{}
	for id, e := range held {
		spans[id] = span{max(e.start, e.end-int64(2*n)-10), e.end} // of small transactions every other offset is a marker
	}
	var newest []*kgo.Record
	if err := scan(ctx, c.Kafka, topic, spans, func(rec *kgo.Record) error {
		newest = append(newest, &kgo.Record{Partition: rec.Partition, Offset: rec.Offset, Timestamp: rec.Timestamp, Key: slices.Clone(rec.Key), Value: slices.Clone(rec.Value)})
		return nil
	}); err != nil {
		return nil, fmt.Errorf("peek: %w", err)
	}
	slices.SortStableFunc(newest, func(a, b *kgo.Record) int { return b.Timestamp.Compare(a.Timestamp) })
	codec := schemas.NewCodec(registry, c.Kafka.Prefix)
	var out []Peeked
	for _, rec := range newest[:min(n, len(newest))] {
		p := Peeked{Partition: rec.Partition, Offset: rec.Offset, Time: rec.Timestamp.UTC(), Key: string(rec.Key), Deleted: rec.Value == nil}
		if !p.Deleted {
			if p.Schema, p.Row, err = codec.JSON(ctx, rec.Value); err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				p.Undecoded = err.Error()
			}
		}
		out = append(out, p)
	}
	return out, nil
}
