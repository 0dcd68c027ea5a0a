package mcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// beside is what records of a replay may take: it runs in the consumer, beside live loading, which has MEMORY_LIMIT.
const beside = 32 << 20

// outcome is what was loaded again.
type outcome struct {
	Topic     string `json:"topic"`
	Rows      int64  `json:"rows"`
	Inserted  int64  `json:"inserted"`
	Updated   int64  `json:"updated"`
	Unchanged int64  `json:"unchanged"`
	Refused   int64  `json:"dead_letters"`
}

// addWrites adds the tools that load again. Both leave alone what is newer, and do nothing where there is nothing to do.
func (s *Server) addWrites(settings load.Settings) {
	type letters struct {
		Table string `json:"table,omitempty" jsonschema:"of this table only, such as messages; all where it is left out"`
	}
	type replay struct {
		Topic string `json:"topic" jsonschema:"a topic or its resource, such as messages"`
		From  string `json:"from" jsonschema:"where to begin: beginning, an offset of every partition, or a time of extraction such as 2026-11-22 or 2026-11-22T15:04:05Z"`
		To    string `json:"to,omitempty" jsonschema:"where to end, not included: an offset or a time; the end as it is now where it is left out"`
	}
	add(s, again("replay_dead_letters", "Load dead letters again", false, "Loads the records that were set aside once more, after what their reasons name was mended. What is refused again is set aside again. Documents that never were records count as seen."),
		func(ctx context.Context, in letters) (any, error) {
			resources, err := s.named(in.Table)
			if err != nil {
				return nil, err
			}
			var topics []string
			for _, r := range resources {
				topics = append(topics, r.Topic(settings.Kafka.Prefix))
			}
			var out struct {
				Loaded  int `json:"loaded"`
				Refused int `json:"refused_again"`
			}
			return &out, s.write(ctx, settings, func(cfg load.Settings, to sink.Sink) error {
				done, err := load.ReplayDLQ(ctx, cfg.Load, cfg.Kafka, to, load.Log(slog.Default()), topics...)
				out.Loaded, out.Refused = done.Loaded, done.Refused
				return err
			})
		})
	add(s, again("replay", "Load a topic again", true, "Loads a topic, or a span of it, once more into its table, beside live loading. Newest wins: what changes is rows that are missing, differ, or have got a column since. "+
		"After ten minutes it stops; the same call goes on where it was."),
		func(ctx context.Context, in replay) (any, error) {
			r, err := s.resource(in.Topic)
			if err != nil {
				return nil, err
			}
			out := outcome{Topic: r.Topic(settings.Kafka.Prefix)}
			err = s.write(ctx, settings, func(cfg load.Settings, to sink.Sink) error {
				done, err := load.Replay{Topic: out.Topic, From: in.From, To: in.To}.Run(ctx, cfg.Load, cfg.Kafka, to, load.Events{DeadLetter: load.Log(slog.Default()).DeadLetter})
				out.Rows, out.Inserted, out.Updated, out.Unchanged, out.Refused = done.Rows, done.Inserted, done.Updated, done.Unchanged, done.Refused
				return err
			})
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				return nil, fmt.Errorf("not done after %s, with %d rows: the same call goes on from there", writeTime, out.Rows)
			case errors.Is(err, ops.ErrDeadLetters): // they are counted
				err = nil
			}
			return out, err
		})
}

// again marks a tool that loads again, which may replace rows where it mends.
func again(name, title string, mends bool, description string) *sdk.Tool {
	no := false
	return &sdk.Tool{Name: name, Title: title, Description: description,
		Annotations: &sdk.ToolAnnotations{Title: title, IdempotentHint: true, DestructiveHint: &mends, OpenWorldHint: &no}}
}

// write opens the warehouse for one call at a time.
func (s *Server) write(ctx context.Context, settings load.Settings, do func(load.Settings, sink.Sink) error) (err error) {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	default:
		return ops.Usagef("another replay is under way: wait for its end")
	}
	scheme, _, _ := strings.Cut(s.look.Warehouse, ":")
	settings.Warehouse.Wait = false
	settings.Load.MemoryLimit = ops.Bytes(sink.Memory(scheme) + beside)
	settings.Load.BatchBytes = min(settings.Load.BatchBytes, beside/8)
	to, err := settings.Open(ctx, slog.Default())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return do(settings, to)
}
