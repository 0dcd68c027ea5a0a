package poll

import (
	"context"
	"flag"
	"fmt"
	"log/slog"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/producer/tiledesk"
	"tilestream/schemas"
)

// Doctor is the command that tries what a producer needs: Tiledesk's credential and each resource, Kafka's topics and ACLs, the
// registry and its schemas. It publishes nothing.
func Doctor() ops.Command {
	var cfg struct {
		Tiledesk tiledesk.Config
		Poll     Config
		Kafka    broker.Config
	}
	var asJSON bool
	return ops.Command{
		Name: "doctor", Summary: "tries everything that the producer needs, and says how to mend what does not work", Config: &cfg,
		Flags: func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "one JSON object on each line") },
		Run: func(ctx context.Context, o ops.Options) error {
			// What a client says while it tries again is in what the check finds.
			slog.SetDefault(slog.New(slog.DiscardHandler))
			clients, err := cfg.Tiledesk.Clients(o.Env, slog.Default())
			if err != nil {
				return err
			}
			checks, err := Checks(cfg.Poll, cfg.Kafka, clients)
			if err != nil {
				return err
			}
			return ops.Examine(ctx, o.Stdout, asJSON, checks)
		},
	}
}

// Checks look whether Run would work.
func Checks(cfg Config, kafka broker.Config, clients []*tiledesk.Client) ([]ops.Check, error) {
	resources, err := schemas.ByName(cfg.Resources...)
	if err != nil {
		return nil, fmt.Errorf("TILEDESK_RESOURCES: %w", err)
	}
	var checks []ops.Check
	for _, c := range clients {
		checks = append(checks, c.Checks(resources)...)
	}
	uses := broker.Uses{
		Group: kafka.Prefix + "-producer", Transactions: kafka.Prefix + "-producer-",
		Read: []broker.Topic{kafka.CheckpointTopic()}, Write: []broker.Topic{kafka.CheckpointTopic()},
		Subjects: map[string]string{}, RegisterSchemas: true,
	}
	for _, r := range resources {
		uses.Write = append(uses.Write, kafka.DataTopic(r.Topic(kafka.Prefix)))
		uses.Subjects[r.Subject(kafka.Prefix)] = r.Avro()
	}
	return append(checks, kafka.Checks(uses)...), nil
}
