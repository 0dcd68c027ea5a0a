package load

import (
	"context"
	"log/slog"
	"strings"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// Commands are plan, replay, accept, compact, dlq list, dlq show and dlq replay.
func Commands() []ops.Command {
	return []ops.Command{planTables(), replayTopic(), acceptTopic(), compactFiles(), listDLQ(), showDLQ(), replayDLQ()}
}

// topics are what a shell proposes for -topic.
var topics = map[string][]string{"topic": schemas.Names()}

// Settings are those of all that loads.
type Settings struct {
	Load      Config
	Kafka     broker.Config
	Warehouse sink.Config
	DataDir   string `env:"DATA_DIR, default=tilestream-data" help:"where the embedded warehouse is kept"`
}

// Open opens the warehouse. The caller closes it.
func (s *Settings) Open(ctx context.Context, log *slog.Logger) (sink.Sink, error) {
	address, _ := s.Warehouse.Address(s.DataDir)
	s.Load.Warehouse, _, _ = strings.Cut(address, ":")
	return s.Warehouse.Open(ctx, s.DataDir, log)
}

// topicsOf is the topic that is named, by itself or by its resource; without a name, every topic.
func topicsOf(kafka broker.Config, name string) (topics []string) {
	if name == "" {
		for _, r := range schemas.Resources {
			topics = append(topics, r.Topic(kafka.Prefix))
		}
		return topics
	}
	if rs, err := schemas.ByName(name); err == nil {
		return []string{rs[0].Topic(kafka.Prefix)}
	}
	return []string{strings.TrimSuffix(name, broker.DLQName(""))}
}

// resourceOf is the inverse of topicsOf: the resource of a topic, or of its dead letters.
func resourceOf(topic string, kafka broker.Config) string {
	return strings.TrimSuffix(strings.TrimPrefix(topic, kafka.Prefix+"."), broker.DLQName(""))
}
