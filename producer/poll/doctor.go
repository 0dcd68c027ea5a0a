package poll

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

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
	return ops.Command{
		Name: "doctor", Summary: "tries everything that the producer needs, and says how to mend what does not work", Config: &cfg,
		JSON: "a JSON object for each check",
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
			return ops.Examine(ctx, o, checks)
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
	}
	for _, r := range resources {
		uses.Write = append(uses.Write, kafka.DataTopic(r.Topic(kafka.Prefix)))
	}
	checks = append(checks, kafka.Checks(uses)...)
	grown, err := schemaChecks(kafka, resources)
	return append(checks, grown...), err
}

// Schemas is the command that compares the schemas of this version with those in the registry, for people and for CI before a new
// version is rolled out. It registers nothing.
func Schemas() ops.Command {
	var cfg struct {
		Poll  Config
		Kafka broker.Config
	}
	return ops.Command{
		Name: "schemas check", Summary: "compares the schemas of this version with those in the registry; changes nothing", Config: &cfg,
		JSON: "a JSON object for each check",
		Run: func(ctx context.Context, o ops.Options) error {
			resources, err := schemas.ByName(cfg.Poll.Resources...)
			if err != nil {
				return ops.Usagef("TILEDESK_RESOURCES: %w", err)
			}
			checks, err := schemaChecks(cfg.Kafka, resources)
			if err != nil {
				return err
			}
			return ops.Examine(ctx, o, append([]ops.Check{cfg.Kafka.RegistryCheck()}, checks...))
		},
	}
}

// schemaChecks look at the schema of each resource.
func schemaChecks(kafka broker.Config, resources []schemas.Resource) (checks []ops.Check, _ error) {
	reg, err := kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	codec := schemas.NewCodec(reg, kafka.Prefix)
	for _, r := range resources {
		checks = append(checks, ops.Check{Name: "schema " + r.Subject(kafka.Prefix), Needs: kafka.RegistryCheck().Name, Try: func(ctx context.Context) (string, error) {
			s, err := codec.Standing(ctx, r)
			switch {
			case err != nil:
				return "", err
			case s.Refused != "":
				return "", fmt.Errorf("%s: %s: another program or a newer Tilestream writes to the topic; upgrade, or use another KAFKA_TOPIC_PREFIX", s, s.Refused)
			case strings.HasPrefix(s.Level, "FORWARD") || strings.HasPrefix(s.Level, "FULL"):
				return "", &ops.Warning{Err: fmt.Errorf("%s: the registry will refuse a field that takes a wider type, and its values go to _extra; set the subject's compatibility to BACKWARD_TRANSITIVE", s)}
			}
			return s.String(), nil
		}})
	}
	return checks, nil
}
