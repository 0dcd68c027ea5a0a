// Command consumer loads the topics into a warehouse.
package main

import (
	"context"
	"errors"
	"slices"

	"tilestream/consumer/inspect"
	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

func main() {
	var cfg struct {
		load.Settings
		HTTP ops.HTTP
	}
	ops.Main(ops.Command{
		Name:    "consumer",
		Summary: "loads the topics into a warehouse, every record once",
		Config:  &cfg,
		Once:    "load everything there is, then exit",
		Run: func(ctx context.Context, o ops.Options) (err error) {
			cfg.Warehouse.Wait = !o.Once
			cfg.Load.LimitMemory()
			to, err := cfg.Open(ctx, o.Log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			if o.Once {
				cfg.Load.Until = load.Now()
			}
			joined := ops.Gate{Why: "the consumer group has not taken this consumer in yet"}
			events := load.Log(o.Log)
			events.Assigned = func(map[sink.Partition]load.Backlog) { joined.Open() }
			return cfg.HTTP.During(ctx, ops.Routes(joined.Ready), func(ctx context.Context) error {
				return load.Run(ctx, cfg.Load, cfg.Kafka, to, events)
			})
		},
	}, slices.Concat(inspect.Commands(), load.Commands())...)
}
