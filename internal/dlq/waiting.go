package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"tilestream/internal/broker"
)

// ReplayGroup holds how far the letters of a group were replayed, for those who list them only.
func ReplayGroup(group string) string { return group + "-dlq" }

// Waiting returns the letters of a topic that a group has not replayed yet: its own, and the producer's. They are in the order in which
// they stand in each partition.
func Waiting(ctx context.Context, kafka broker.Config, group, topic string) ([]Letter, error) {
	from, err := replayed(ctx, kafka, group, topic)
	if err != nil {
		return nil, err
	}
	letters, _, err := Read(ctx, kafka, topic, from)
	return slices.DeleteFunc(letters, func(l Letter) bool { return !l.of(group) }), err
}

// Newest returns the newest n of the letters that wait, the newest first and without their values, and how many wait. It holds no more than
// those in memory.
func Newest(ctx context.Context, kafka broker.Config, group, topic string, n int) (letters []Letter, waiting int, err error) {
	from, err := replayed(ctx, kafka, group, topic)
	if err != nil {
		return nil, 0, err
	}
	newest := func() {
		slices.SortStableFunc(letters, func(a, b Letter) int { return b.Time.Compare(a.Time) })
		letters = letters[:min(n, len(letters))]
	}
	_, err = each(ctx, kafka, topic, from, func(l Letter) {
		if !l.of(group) {
			return
		}
		waiting++
		l.Key, l.Value, l.Headers = slices.Clone(l.Key[:min(len(l.Key), mostKey)]), nil, nil
		if letters = append(letters, l); len(letters) == 2*n {
			newest()
		}
	})
	newest()
	return letters, waiting, err
}

// of tells whether a letter is the group's, or the producer's.
func (l Letter) of(group string) bool { return l.Unpublished() || l.Group == group }

// replayed is how far a group has replayed the letters of a topic.
func replayed(ctx context.Context, kafka broker.Config, group, topic string) (map[int32]int64, error) {
	cl, err := kafka.NewClient()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	committed, err := kadm.NewClient(cl).FetchOffsets(ctx, ReplayGroup(group))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, broker.Explain(fmt.Errorf("see what was replayed: %w", err))
	}
	at := map[int32]int64{}
	for id, o := range committed[broker.DLQName(topic)] {
		at[id] = o.At
	}
	return at, nil
}
