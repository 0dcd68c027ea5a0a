// Command tilestream runs producer and consumer in one process: go run . streams, go run . -once syncs to the end.
// Whatever is not configured it brings along, so that it runs with no settings at all.
package main

import (
	"context"

	"tilestream/internal/local"
	"tilestream/internal/ops"
)

func main() {
	var cfg local.Config
	ops.Main(ops.Command{
		Name:     "tilestream",
		Summary:  "Tiledesk conversations in your warehouse, seconds old, exactly once, and replayable",
		Config:   &cfg,
		Once:     "sync to the end, print the load summary and exit",
		JSON:     "the load summary as one JSON object",
		Examples: "  # stream sample data, with the console at http://127.0.0.1:8080\n-once",
		Run:      func(ctx context.Context, o ops.Options) error { return local.Run(ctx, cfg, o) },
	})
}
