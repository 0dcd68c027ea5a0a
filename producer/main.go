// Command producer polls Tiledesk and publishes every change to Kafka.
package main

import (
	"context"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/producer/poll"
	"tilestream/producer/tiledesk"
)

func main() {
	var cfg struct {
		Tiledesk tiledesk.Config
		Poll     poll.Config
		Kafka    broker.Config
		HTTP     ops.HTTP
	}
	ops.Main(ops.Command{
		Name:     "producer",
		Summary:  "polls Tiledesk and publishes every change to Kafka, once",
		Config:   &cfg,
		Once:     "publish everything there is, then exit",
		Examples: "  # stream\n-once\ndoctor  # before anything else",
		Run: func(ctx context.Context, o ops.Options) error {
			projects, err := cfg.Tiledesk.Clients(o.Env, o.Log)
			if err != nil {
				return err
			}
			cfg.Poll.Once = o.Once
			polled := ops.Gate{Why: "nothing of Tiledesk has been read and published yet"}
			return cfg.HTTP.During(ctx, ops.Routes(polled.Ready), func(ctx context.Context) error {
				return poll.Run(ctx, cfg.Poll, cfg.Kafka, projects, poll.Events{
					Published: func(string, string, int, int) { polled.Open() },
					CaughtUp:  func(string, string) { polled.Open() },
				})
			})
		},
	}, poll.Doctor(), poll.Schemas())
}
