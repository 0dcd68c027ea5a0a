// Command consumer loads the topics into a warehouse.
package main

import (
	"context"
	"errors"
	"strings"

	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

func main() {
	var cfg struct {
		Load      load.Config
		Kafka     broker.Config
		Warehouse sink.Config
		HTTP      ops.HTTP
		DataDir   string `env:"DATA_DIR, default=tilestream-data" help:"where the embedded warehouse is kept"`
	}
	program := ops.Command{
		Name:    "consumer",
		Summary: "loads the topics into a warehouse, every record once",
		Config:  &cfg,
		Once:    "load everything there is, then exit",
		Run: func(ctx context.Context, o ops.Options) (err error) {
			to, err := cfg.Warehouse.Open(ctx, cfg.DataDir, o.Log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			address, _ := cfg.Warehouse.Address(cfg.DataDir)
			cfg.Load.Warehouse, _, _ = strings.Cut(address, ":")
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
	}
	ops.Main(program, load.DLQCommands()...)
}
