// Package poll moves pages of changed documents into Kafka: pages come in from tiledesk, and each goes out as one
// transaction that holds its records and the checkpoint behind them. Whatever is killed, every change reaches its topic
// once. DESIGN.md beside the producer's main tells how.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/producer/tiledesk"
	"tilestream/schemas"
)

// Config says what is polled, and how often.
type Config struct {
	Resources []string          `env:"TILEDESK_RESOURCES" help:"what to poll, comma-separated; unset: every resource"`
	Interval  Intervals         `env:"TILEDESK_POLL_INTERVAL" help:"time between polls: 10s for all, bots=5m for one, or both with commas; unset: 5s for conversations, 1m for lists"`
	Contracts schemas.Contracts `env:"SCHEMA_CONTRACT" help:"what to do with keys that no column knows (columns), values that do not fit theirs (types) and resources without a schema (tables): evolve, freeze, discard_value or discard_row, for all or as in types=freeze,messages=evolve,messages.columns=discard_row; what is discarded becomes a dead letter. Unset: evolve"`
	NewFields int               `env:"SCHEMA_MAX_NEW_FIELDS, default=100" help:"columns that a resource may get beside those it is known to have; past it values go to the column _extra"`
	Once      bool              // poll every stream to its end, then return
}

// Intervals is the time between two polls of a resource, by its name; "" holds the one for all the others.
type Intervals map[string]time.Duration

// UnmarshalText reads "10s,messages=2s": a duration for all resources and durations for single ones.
func (v *Intervals) UnmarshalText(text []byte) error {
	out := Intervals{}
	if len(text) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		name, value, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			name, value = "", name
		} else if _, err := schemas.ByName(name); err != nil {
			return err
		}
		d, err := time.ParseDuration(value)
		if err != nil || d < 100*time.Millisecond {
			return fmt.Errorf("%q is not an interval: write a duration of at least 100ms such as 10s, or RESOURCE=10s", part)
		}
		if _, twice := out[name]; twice {
			return fmt.Errorf("%q sets an interval that was set before", part)
		}
		out[name] = d
	}
	*v = out
	return nil
}

// Takes says what a setting of intervals looks like.
func (*Intervals) Takes() string {
	return "a duration such as 10s, RESOURCE=DURATION such as bots=5m, or both with commas"
}

func (v Intervals) of(r schemas.Resource) time.Duration {
	for _, name := range []string{r.Name, ""} {
		if d, ok := v[name]; ok {
			return d
		}
	}
	return r.Interval
}

// Events tells what happens, for progress and summaries. Fields may be nil; calls come from several goroutines.
type Events struct {
	Published func(project, resource string, docs, total int) // a page is in Kafka; total as tiledesk.Page has it
	CaughtUp  func(project, resource string)                  // a poll came to its end
	Skipped   func(project, resource string, why error)       // the resource is forbidden or absent
	Failed    func(project, resource string, why error)       // a poll gave up; it is tried again unless Config.Once
}

// Run polls the projects of the clients until ctx ends, or with Config.Once until every stream is up to date. Instances
// that run at the same time share the projects among them. With Once the error joins those of all streams that failed; a
// resource that is forbidden or absent is reported through Events and the log, and is no error.
func Run(ctx context.Context, cfg Config, kafka broker.Config, clients []*tiledesk.Client, ev Events) error {
	resources, err := schemas.ByName(cfg.Resources...)
	if err != nil {
		return fmt.Errorf("TILEDESK_RESOURCES: %w", err)
	}
	p := &producer{cfg: cfg, kafka: kafka, events: ev, log: slog.Default()}
	reg, err := kafka.NewRegistry()
	if err != nil {
		return err
	}
	p.codec = schemas.NewCodec(reg, kafka.Prefix)
	p.codec.Evolve(func(resource string) schemas.Rules { return cfg.Contracts.Of(resource, cfg.NewFields) }, p.evolved)
	for _, c := range clients {
		for _, r := range resources {
			p.streams = append(p.streams, &stream{producer: p, client: c, resource: r})
		}
	}
	if cfg.Once {
		return p.once(ctx)
	}
	for {
		err := p.share(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.log.Error("producer stopped; starting again", "error", err, "in", restartDelay)
		if ops.Sleep(ctx, restartDelay) != nil {
			return nil
		}
	}
}

// evolved reports a schema that has changed, or could not.
func (p *producer) evolved(c schemas.Change) {
	if c.Err != nil {
		p.log.Error("the registry does not take a change of a schema; the values are kept in _extra until the next start", "resource", c.Resource, "changes", c.What, "error", c.Err)
		return
	}
	p.log.Info("a schema has grown", "resource", c.Resource, "schema", c.SchemaID, "changes", c.What)
}

// restartDelay is longer than a heartbeat: a fenced lane that lost its partition has learnt so by then, and does not
// fence the rightful owner in turn.
const restartDelay = 5 * time.Second

// producer is what all lanes and streams of one instance have in common.
type producer struct {
	cfg     Config
	kafka   broker.Config
	codec   *schemas.Codec
	streams []*stream
	events  Events
	log     *slog.Logger
	buried  atomic.Int64 // documents that were set aside
}

// prepare creates or checks the topics and returns the number of checkpoint partitions.
func (p *producer) prepare(ctx context.Context) (int32, error) {
	cl, err := p.kafka.NewClient()
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	topics := []broker.Topic{p.kafka.CheckpointTopic()}
	for _, s := range p.streams {
		if t := p.kafka.DataTopic(s.resource.Topic(p.kafka.Prefix)); !slices.ContainsFunc(topics, func(have broker.Topic) bool { return have.Name == t.Name }) {
			topics = append(topics, t)
		}
	}
	prepare := func() error { return broker.Ensure(ctx, cl, p.log, topics...) }
	if err := p.retry(broker.Final).Do(ctx, "prepare the topics", prepare); err != nil {
		return 0, err
	}
	return topics[0].Partitions, nil // Ensure refuses a checkpoint topic with another number
}

// retry waits for Kafka and the registry, with Config.Once for half a minute at most.
func (p *producer) retry(final func(error) bool) ops.Retry {
	return ops.Retry{Log: p.log, Once: p.cfg.Once, Final: final}
}

// lanes groups the streams by checkpoint partition: a project's streams share a lane.
func (p *producer) lanes(n int32) map[int32]*lane {
	out := map[int32]*lane{}
	for _, s := range p.streams {
		id := partitionOf(s.client.Project(), n)
		if out[id] == nil {
			out[id] = &lane{producer: p, partition: id, partitions: n}
		}
		out[id].streams = append(out[id].streams, s)
	}
	return out
}

// once runs every lane to its end. It joins no group: it takes the lanes over, and a second instance that does the same
// is fenced, or fences this one.
func (p *producer) once(ctx context.Context) error {
	n, err := p.prepare(ctx)
	if err != nil {
		return err
	}
	lanes := p.lanes(n)
	failed := make(chan error, len(lanes))
	for _, l := range lanes {
		go func() { failed <- l.once(ctx) }()
	}
	var errs []error
	for range lanes {
		errs = append(errs, <-failed)
	}
	err = errors.Join(append(errs, p.nothingRead())...)
	if n := p.buried.Load(); err == nil && n > 0 {
		return fmt.Errorf("%w: %d documents cannot be published and are in the .dlq topics; consumer dlq list shows them, and why", ops.ErrDeadLetters, n)
	}
	return err
}

// nothingRead returns an error for each project of which every resource was skipped: that is no project to go on without.
func (p *producer) nothingRead() error {
	why := map[string]error{}
	read := map[string]bool{}
	for _, s := range p.streams {
		id := s.client.Project()
		if s.skipped == nil {
			read[id] = true
		} else if why[id] == nil {
			why[id] = s.skipped
		}
	}
	var errs []error
	for id, err := range why {
		if !read[id] {
			errs = append(errs, fmt.Errorf("nothing could be read of project %s; the first refusal: %w", id, err))
		}
	}
	return errors.Join(errs...)
}
