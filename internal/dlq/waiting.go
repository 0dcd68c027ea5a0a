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
	letters, _, err := Read(ctx, kafka, topic, nil)
	if err != nil || len(letters) == 0 {
		return nil, err
	}
	cl, err := kafka.NewClient()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	replayed, err := kadm.NewClient(cl).FetchOffsets(ctx, ReplayGroup(group))
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, broker.Explain(fmt.Errorf("see what was replayed: %w", err))
	}
	return slices.DeleteFunc(letters, func(l Letter) bool {
		return !l.Unpublished() && l.Group != group || l.At.Offset < replayed[broker.DLQName(topic)][l.At.Partition].At
	}), nil
}
