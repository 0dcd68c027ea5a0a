package poll

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sessionTimeout is how long the group waits for an instance that has gone silent. Its lanes may be taken over earlier or
// later than that: fencing, not the group, is what keeps two owners apart.
const sessionTimeout = 15 * time.Second

// share joins the producers' group, which says which checkpoint partitions this instance owns, and keeps a lane running
// for each as long as it does. The group is used for assignment alone: nothing is fetched or committed through it.
// It returns when ctx ends or the group cannot go on.
func (p *producer) share(ctx context.Context) error {
	n, err := p.prepare(ctx)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	o := &owned{ctx: ctx, all: p.lanes(n), running: map[int32]*running{}}
	topic := p.kafka.CheckpointTopic().Name
	cl, err := p.kafka.NewClient(
		kgo.ConsumerGroup(p.kafka.Prefix+"-producer"),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { o.start(m[topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { o.end(m[topic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { o.end(m[topic]) }),
	)
	if err != nil {
		stop()
		return err
	}
	defer o.wait()
	defer cl.Close()
	defer stop()
	cl.PauseFetchTopics(topic)
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("share lanes through group %s-producer: %w", p.kafka.Prefix, err)
		}
	}
}

// owned is the set of lanes that this instance owns.
type owned struct {
	ctx     context.Context
	all     map[int32]*lane // by partition; most partitions have no project
	mu      sync.Mutex
	running map[int32]*running
}

type running struct {
	stop context.CancelFunc
	done chan struct{}
}

func (o *owned) start(partitions []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range partitions {
		l := o.all[id]
		if l == nil || o.running[id] != nil {
			continue
		}
		ctx, stop := context.WithCancel(o.ctx)
		r := &running{stop: stop, done: make(chan struct{})}
		o.running[id] = r
		go func() {
			defer close(r.done)
			l.keep(ctx)
		}()
	}
}

// end stops lanes and waits for their open transactions, so that a successor finds nothing to settle.
func (o *owned) end(partitions []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range partitions {
		if r := o.running[id]; r != nil {
			r.stop()
		}
	}
	for _, id := range partitions {
		if r := o.running[id]; r != nil {
			<-r.done
			delete(o.running, id)
		}
	}
}

func (o *owned) wait() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.running {
		r.stop()
		<-r.done
	}
}
