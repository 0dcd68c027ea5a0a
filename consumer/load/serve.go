package load

import (
	"context"
	"errors"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// Serve opens the warehouse and loads the topics into it until ctx is done, or with o.Once up to what there is now; meanwhile it
// answers on the address of http: ready once the group has taken this consumer in.
func Serve(ctx context.Context, s *Settings, http ops.HTTP, o ops.Options) (err error) {
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
	events.Assigned = func(map[sink.Partition]Backlog) { joined.Open() }
	return http.During(ctx, ops.Routes(joined.Ready), func(ctx context.Context) error {
		return Run(ctx, s.Load, s.Kafka, to, events)
	})
}
