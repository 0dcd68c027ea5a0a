// Package local runs both halves in one process, and brings a stand-in for whatever is not configured: a Tiledesk with
// sample data, an embedded Kafka and schema registry, a warehouse file. Settings come in; what a person wants to know
// of the run goes out.
package local

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"tilestream/consumer/dashboard"
	"tilestream/consumer/inspect"
	"tilestream/consumer/load"
	"tilestream/consumer/mcp"
	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/producer/poll"
	"tilestream/producer/tiledesk"
	"tilestream/schemas"
)

// Config is the settings of both halves, and where the stand-ins keep their data.
type Config struct {
	Tiledesk  tiledesk.Config
	Poll      poll.Config
	Kafka     broker.Config
	Warehouse sink.Config
	Load      load.Config
	HTTP      ops.HTTP
	Console   dashboard.Config
	MCP       mcp.Config
	DataDir   string `env:"DATA_DIR, default=tilestream-data" help:"what the embedded stand-ins keep: sample data, Kafka, registry, DuckDB"`
}

// Run streams until ctx ends. With Options.Once it syncs to the end, prints the load summary and returns.
func Run(ctx context.Context, cfg Config, o ops.Options) (err error) {
	started := time.Now()
	env, err := bring(ctx, &cfg, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()

	cfg.Warehouse.Wait = !o.Once
	to, err := cfg.Warehouse.Open(ctx, cfg.DataDir, o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()

	warehouse, _ := cfg.Warehouse.Address(cfg.DataDir)
	cfg.Load.Warehouse, _, _ = strings.Cut(warehouse, ":")
	resources, err := schemas.ByName(cfg.Poll.Resources...)
	if err != nil {
		return ops.Usagef("TILEDESK_RESOURCES: %w", err)
	}
	r := &report{
		started: started, resources: resources, tables: map[string]*table{}, skipped: map[string]error{},
		polled:   ops.Gate{Why: "nothing of Tiledesk has been read and published yet"},
		assigned: ops.Gate{Why: "the consumer group has not taken this consumer in yet"},
	}
	if o.Once {
		r.progress = newProgress(os.Stderr, resources)
		err = r.sync(ctx, cfg, env.projects, to)
		r.progress.close()
		if err != nil && !errors.Is(err, ops.ErrDeadLetters) {
			return err
		}
		done := r.summary(sink.Redacted(warehouse), cfg.Warehouse.Dataset)
		if o.JSON {
			return errors.Join(err, o.Encode(done))
		}
		return errors.Join(err, done.print(o.Stdout, firstQuery(warehouse, cfg.Warehouse.Dataset, cfg.Warehouse.Modes.Of("conversations"))))
	}
	r.told = load.Log(o.Log)
	o.Log.Info("streaming; stop with Ctrl-C", "warehouse", sink.Redacted(warehouse), "dataset", cfg.Warehouse.Dataset)
	return r.stream(ctx, cfg, env.projects, to)
}

// sync runs both halves side by side; once the producer has come to the end, the consumer stops where the topics end.
func (r *report) sync(ctx context.Context, cfg Config, projects []*tiledesk.Client, to sink.Sink) error {
	produced := make(chan struct{})
	cfg.Poll.Once, cfg.Load.Until = true, produced
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var polled, loaded error
	var halves sync.WaitGroup
	halves.Go(func() {
		defer close(produced) // also after an error: what did reach the topics is loaded
		polled = poll.Run(ctx, cfg.Poll, cfg.Kafka, projects, r.polling())
	})
	halves.Go(func() {
		if loaded = load.Run(ctx, cfg.Load, cfg.Kafka, to, r.loading()); loaded != nil {
			stop() // nobody would load what the producer still brings; it goes on from its checkpoints
		}
	})
	halves.Wait()
	if loaded != nil && errors.Is(polled, context.Canceled) {
		return loaded
	}
	if polled != nil && errors.Is(loaded, ops.ErrDeadLetters) {
		return polled // not done at all
	}
	return errors.Join(polled, loaded)
}

// stream runs both halves until ctx ends, or one of them fails.
func (r *report) stream(ctx context.Context, cfg Config, projects []*tiledesk.Client, to sink.Sink) error {
	routes := ops.Routes(r.ready)
	look := inspect.Settings{Group: cfg.Load.Group, Kafka: cfg.Kafka, Warehouse: cfg.Warehouse, DataDir: cfg.DataDir}.Config(r.resources)
	console := dashboard.New(cfg.Console, look, slog.Default())
	replays := load.NewReplays(ctx, load.Settings{Load: cfg.Load, Kafka: cfg.Kafka, Warehouse: cfg.Warehouse, DataDir: cfg.DataDir}, to, slog.Default())
	defer replays.Close()
	console.Replays = dashboard.Replays{Check: replays.Check, Start: replays.Start, Letters: replays.StartLetters, Stop: replays.Stop,
		Now: func() dashboard.Replaying { return dashboard.Replaying(replays.Now()) }}
	console.Route(routes)
	mcp.New(cfg.MCP, look, load.Settings{Load: cfg.Load, Kafka: cfg.Kafka, Warehouse: cfg.Warehouse, DataDir: cfg.DataDir}).Route(routes, console.Guard)
	return cfg.HTTP.During(ctx, routes, func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		var polled, loaded error
		var halves sync.WaitGroup
		halves.Go(func() {
			defer stop()
			polled = poll.Run(ctx, cfg.Poll, cfg.Kafka, projects, r.polling())
		})
		halves.Go(func() {
			defer stop()
			loaded = load.Run(ctx, cfg.Load, cfg.Kafka, to, r.loading())
		})
		halves.Wait()
		return errors.Join(polled, loaded)
	})
}

// environment is what the halves talk to, stand-ins included.
type environment struct {
	projects []*tiledesk.Client
	closers  []io.Closer // last opened first closed
}

// Close stops the stand-ins.
func (e *environment) Close() error {
	var errs []error
	for _, c := range slices.Backward(e.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// bring starts a stand-in for everything that cfg leaves open, and fills cfg in with where they are.
func bring(ctx context.Context, cfg *Config, o ops.Options) (_ *environment, err error) {
	env := &environment{}
	defer func() {
		if err != nil {
			err = errors.Join(err, env.Close())
		}
	}()
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		return env, ops.Usagef("DATA_DIR=%s: %w", cfg.DataDir, err)
	}
	if len(cfg.Kafka.Brokers) == 0 {
		k, err := StartKafka(ctx, cfg.DataDir, o.Log)
		if err != nil {
			return env, err
		}
		env.closers = append(env.closers, k)
		cfg.Kafka.Brokers = k.Brokers
		if cfg.Kafka.Registry.URL == "" {
			cfg.Kafka.Registry.URL = k.RegistryURL
		}
		o.Log.Info("KAFKA_BROKERS is not set: using an embedded Kafka and schema registry", "data", cfg.DataDir)
	}
	if cfg.Tiledesk.URL == "" && len(cfg.Tiledesk.ProjectIDs) == 0 {
		s, err := startSample(cfg.DataDir)
		if err != nil {
			return env, err
		}
		env.closers = append(env.closers, s)
		cfg.Tiledesk = s.settings()
		o.Log.Info("TILEDESK_PROJECT_ID is not set: using a Tiledesk stand-in with sample data", "url", cfg.Tiledesk.URL)
	}
	env.projects, err = cfg.Tiledesk.Clients(o.Env, o.Log)
	return env, err
}
