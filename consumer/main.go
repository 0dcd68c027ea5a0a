// Command consumer loads the topics into a warehouse.
package main

import (
	"context"
	"net/http"
	"slices"

	"tilestream/consumer/dashboard"
	"tilestream/consumer/inspect"
	"tilestream/consumer/load"
	"tilestream/consumer/mcp"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

func main() {
	var cfg struct {
		load.Settings
		HTTP    ops.HTTP
		Console dashboard.Config
		MCP     mcp.Config
	}
	ops.Main(ops.Command{
		Name: "consumer", Summary: "loads the topics into a warehouse, every record once",
		Config:   &cfg,
		Once:     "load everything there is, then exit",
		Examples: "  # stream, with the console at http://127.0.0.1:8080\n-once\nstatus\nreplay -topic messages -from beginning",
		Run: func(ctx context.Context, o ops.Options) error {
			look := inspect.Settings{Group: cfg.Load.Group, Kafka: cfg.Kafka, Warehouse: cfg.Warehouse, DataDir: cfg.DataDir}.Config(schemas.Resources)
			return load.Serve(ctx, &cfg.Settings, cfg.HTTP, func(mux *http.ServeMux, replays *load.Replays) {
				console := dashboard.New(cfg.Console, look, o.Log)
				console.Replays = dashboard.Replays{Check: replays.Check, Start: replays.Start, Letters: replays.StartLetters, Stop: replays.Stop, Now: func() dashboard.Replaying { return dashboard.Replaying(replays.Now()) }}
				console.Route(mux)
				mcp.New(cfg.MCP, look, cfg.Settings).Route(mux, console.Guard)
			}, o)
		},
	}, slices.Concat(inspect.Commands(), load.Commands(), []ops.Command{mcp.Command()})...)
}
