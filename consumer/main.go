// Command consumer loads the topics into a warehouse.
package main

import (
	"context"
	"slices"

	"tilestream/consumer/inspect"
	"tilestream/consumer/load"
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
		Run: func(ctx context.Context, o ops.Options) error {
			return load.Serve(ctx, &cfg.Settings, cfg.HTTP, o)
		},
	}, slices.Concat(inspect.Commands(), load.Commands())...)
}
