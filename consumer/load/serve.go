package load

import (
	"context"
	"errors"
	"net/http"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// Serve opens the warehouse and loads the topics into it until ctx is done, or with o.Once up to what there is now; meanwhile it
// answers on its address: ready once the group has taken this consumer in, and with the pages that are added,
// which may begin replays. They end before the warehouse is closed.
func Serve(ctx context.Context, s *Settings, at ops.HTTP, pages func(*http.ServeMux, *Replays), o ops.Options) (err error) {
	s.Warehouse.Wait = !o.Once
	to, err := s.Open(ctx, o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	ops.LimitMemory(s.Load.Records())
	if o.Once {
		s.Load.Until = Now()
	}
	joined := ops.Gate{Why: "the consumer group has not taken this consumer in yet"}
	events := Log(o.Log)
	taken := events.Assigned
	events.Assigned = func(at map[sink.Partition]Backlog) { joined.Open(); taken(at) }
	routes := ops.Routes(joined.Ready)
	replays := NewReplays(ctx, *s, to, o.Log)
	defer replays.Close()
	pages(routes, replays)
	return at.During(ctx, routes, func(ctx context.Context) error {
		return Run(ctx, s.Load, s.Kafka, to, events)
	})
}
