// Standin serves the sample data of package tiledesktest as a Tiledesk server would: see SampleProjectID for the way in.
package main

import (
	"context"
	"time"

	"tilestream/internal/ops"
	"tilestream/producer/tiledesk/tiledesktest"
)

func main() {
	var cfg struct {
		Addr  string    `env:"HTTP_ADDR, default=127.0.0.1:3000" help:"address of the API, /healthz and /readyz"`
		Start time.Time `env:"SAMPLE_START" help:"when the sample data begins to grow, as 2026-01-31T00:00:00Z; unset: today, so that a restart shows the same data"`
	}
	ops.Main(ops.Command{Name: "standin", Summary: "serves made-up Tiledesk data", Config: &cfg, Run: func(ctx context.Context, o ops.Options) error {
		if cfg.Start.IsZero() {
			cfg.Start = time.Now().UTC().Truncate(24 * time.Hour)
		}
		ln, err := ops.HTTP{Addr: cfg.Addr}.Listen(ctx)
		if err != nil {
			return err
		}
		routes := ops.Routes(nil)
		routes.Handle("/", tiledesktest.NewSample(1, cfg.Start))
		o.Log.Info("serving sample data", "addr", cfg.Addr, "project", tiledesktest.SampleProjectID, "email", tiledesktest.SampleEmail)
		return ops.Serve(ctx, ln, routes)
	}})
}
