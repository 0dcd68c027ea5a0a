// Package load takes records out of Kafka and hands them to a warehouse: framed Avro records of the resources' topics come
// in, closed batches of Arrow rows go out to a sink.Sink. Every record lands once, since a sink moves its ledger of offsets
// together with the rows, and loading always starts where the ledger says.
package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

const (
	// sessionTimeout is shorter than the client's 45 s: what a killed consumer had is taken over sooner, and a member
	// that was only slow loses nothing but its buffers.
	sessionTimeout   = 15 * time.Second
	rebalanceTimeout = 30 * time.Second // callbacks do no I/O
	leaveTimeout     = 5 * time.Second
	metadataAge      = 10 * time.Second      // a topic that is created later is found after this
	fetchWait        = 50 * time.Millisecond // shorter than the client's 5 s: a fetch of quiet topics holds up that of one that was paused
	fetchLeast       = 256 << 10             // bytes that end fetchWait: else each transaction is a fetch of its own
	minFetch         = 64 << 10
	maxFetch         = 32 << 20
)

// loader is one Run. Data moves one way: poll puts records into the tables' batches; each table's writer takes them out,
// decodes and writes them.
type loader struct {
	cfg      Config
	log      *slog.Logger
	to       sink.Sink
	ev       Events
	codec    *schemas.Codec
	kafka    *kgo.Client
	admin    *kadm.Client // on connections of its own, which no fetch holds up
	cluster  string       // Kafka's id of itself
	brokers  broker.Config
	buried   atomic.Int64 // records set aside
	memory   *budget
	tables   map[string]*table // by topic
	projects map[string]string // of the poll loop
	fail     context.CancelCauseFunc

	mu      sync.Mutex // guards what follows, and the batches of tables
	parts   map[sink.Partition]*partition
	targets map[sink.Partition]int64 // where Run may end; nil until Config.Until is closed
	wake    context.CancelFunc       // ends the poll that waits
}

// Run loads the topics of all schemas.Resources as a member of the consumer group until ctx ends, or until Config.Until
// says so, and returns nil then; ctx's error where it ends before Config.Until is fulfilled. A warehouse, registry or broker
// that is away is waited for; with Config.Until half a minute at most. A record that cannot be loaded is written to TOPIC.dlq.
//
// Errors: *ops.UsageError for settings; *TooManyError, *LedgerError, *RecreatedError, and *sink.RejectedError about a whole table, which need somebody
// to look; Kafka's denials. Whatever the error, nothing is skipped and nothing is lost. ops.ErrDeadLetters: everything up to
// the end is loaded, but for records that were set aside.
func Run(ctx context.Context, cfg Config, kafka broker.Config, to sink.Sink, ev Events) error {
	l, err := newLoader(cfg, kafka, to, ev)
	if err != nil {
		return err
	}
	return l.run(ctx, kafka)
}

func (l *loader) run(outer context.Context, kafka broker.Config) error {
	ctx, fail := context.WithCancelCause(outer)
	l.fail = fail
	defer fail(nil)
	defer l.leave()
	if l.cfg.replay == nil { // metrics are of live loading, which a replay may be beside in this process
		memoryLimit.Set(float64(l.cfg.Records()))
		l.memory.shown = true
	}
	if err := l.connect(ctx, kafka); err != nil {
		fail(err)
		return l.outcome(outer, err)
	}

	var work sync.WaitGroup
	start := func(f func(context.Context) error) {
		work.Go(func() {
			if err := f(ctx); err != nil {
				fail(err)
			}
		})
	}
	start(l.poll)
	for _, t := range l.tables {
		start(l.newWriter(t).run)
	}
	if l.cfg.Until != nil {
		start(l.drain)
	}
	work.Wait()

	return l.outcome(outer, context.Cause(ctx))
}

// outcome is what Run returns, by what ended it first.
func (l *loader) outcome(outer context.Context, err error) error {
	switch {
	case errors.Is(err, errDrained):
		if n := l.buried.Load(); n > 0 {
			return fmt.Errorf("%w: %d records cannot be loaded and are in the .dlq topics; consumer dlq list shows them, and why", ops.ErrDeadLetters, n)
		}
		return nil
	case outer.Err() == nil:
		return err
	case l.cfg.Until != nil:
		return outer.Err() // not everything is loaded
	}
	return nil
}

func newLoader(cfg Config, kafka broker.Config, to sink.Sink, ev Events) (*loader, error) {
	cfg, err := cfg.check(kafka)
	if err != nil {
		return nil, err
	}
	registry, err := kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	l := &loader{
		cfg: cfg, log: slog.Default().With("group", cfg.Group), to: to, ev: ev, brokers: kafka,
		codec:    schemas.NewCodec(registry, kafka.Prefix),
		memory:   newBudget(cfg.Records()),
		tables:   map[string]*table{},
		projects: map[string]string{},
		parts:    map[sink.Partition]*partition{},
		wake:     func() {},
	}
	rules := limits{rows: cfg.BatchRows, bytes: int64(cfg.BatchBytes), age: cfg.BatchAge}
	for _, r := range schemas.Resources {
		topic := r.Topic(kafka.Prefix)
		if cfg.replay != nil && cfg.replay.topic != topic {
			continue
		}
		l.tables[topic] = &table{name: r.Name, topic: topic, batches: batches{limits: rules}, ready: make(chan struct{}, 1)}
	}
	return l, nil
}

// connect makes the Kafka clients. The one that consumes joins the group at once and may call assign before connect has
// returned, which is why the admin client is there first, and is another one.
func (l *loader) connect(ctx context.Context, kafka broker.Config) error {
	client, err := kafka.NewClient()
	if err != nil {
		return err
	}
	l.admin = kadm.NewClient(client)
	if err := l.retryUnless(ctx, broker.Final, "reach Kafka at "+strings.Join(kafka.Brokers, ","), func() error {
		if err := l.prepareTopics(ctx, client, kafka); err != nil {
			return err
		}
		about, err := l.admin.BrokerMetadata(ctx)
		if err != nil {
			return broker.Explain(err)
		}
		l.cluster = about.Cluster
		return nil
	}); err != nil {
		return err
	}
	fetch := int32(min(max(l.memory.limit/fetchShare, minFetch), maxFetch))
	l.kafka, err = kafka.NewClient(append([]kgo.Opt{
		kgo.ConsumerGroup(l.cfg.Group),
		kgo.ConsumeTopics(l.topics()...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),                    // positions move past transaction markers
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // an offset that is gone is an error, never skipped
		kgo.AdjustFetchOffsetsFn(l.assign),
		kgo.OnPartitionsAssigned(l.joined),
		kgo.OnPartitionsRevoked(l.revoked),
		kgo.OnPartitionsLost(l.revoked),
		kgo.FetchMaxBytes(fetch),
		kgo.FetchMaxPartitionBytes(fetch / partitionShare),
		kgo.MaxConcurrentFetches(fetches),
		kgo.MetadataMaxAge(metadataAge),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMinBytes(fetchLeast),
	}, l.cfg.client...)...)
	return err
}

// prepareTopics creates the topics that no producer has created yet: a group that finds its topics at once assigns them at
// once. Without the right to create topics, those of the producer are waited for.
func (l *loader) prepareTopics(ctx context.Context, cl *kgo.Client, kafka broker.Config) error {
	var topics []broker.Topic
	for _, name := range slices.Sorted(maps.Keys(l.tables)) {
		topics = append(topics, kafka.DataTopic(name))
	}
	err := broker.Ensure(ctx, cl, l.log, topics...)
	if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
		l.log.Warn("topics were not created or checked; loading those that there are", "error", err)
		return nil
	}
	return err
}

func (l *loader) topics() []string { return slices.Collect(maps.Keys(l.tables)) }

// leave commits for lag tools a last time, leaves the group and closes the client; it is patient for leaveTimeout.
func (l *loader) leave() {
	if l.admin != nil {
		defer l.admin.Close()
	}
	if l.kafka == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if offsets := l.uncommitted(); len(offsets) > 0 {
		l.kafka.CommitOffsetsSync(ctx, offsets, nil)
	}
	l.kafka.AllowRebalance()
	if err := l.kafka.LeaveGroupContext(ctx); err != nil {
		l.log.Debug("leave the group", "error", err)
	}
	l.kafka.Close()
}

// wakeWriters lets writers look again for something to take.
func (l *loader) wakeWriters() {
	for _, t := range l.tables {
		select {
		case t.ready <- struct{}{}:
		default:
		}
	}
}
