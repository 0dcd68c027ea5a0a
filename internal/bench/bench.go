package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/twmb/franz-go/pkg/kadm"

	"tilestream/internal/bench/messages"
	"tilestream/internal/broker"
	"tilestream/internal/local"
)

// bench is one run of the whole.
type bench struct {
	rows, runs int
	held       int
	only       string

	dir   string // of everything that is made
	kafka broker.Config
	env   map[string]string // of children
	where string            // which Kafka, and which PostgreSQL
	desk  map[string]string // points children to a stand-in that has the messages; nil until it is there
	close []func() error
}

// A trial is something that is measured.
type trial struct {
	name   string
	beside []string // trials that do the same by other means: the warehouse's own, or another program
	run    func(ctx context.Context) (cost, error)
}

func (b *bench) run(ctx context.Context, out io.Writer) (err error) {
	defer func() {
		for _, f := range b.close {
			err = errors.Join(err, f())
		}
	}()
	if err := b.setup(ctx); err != nil {
		return err
	}
	if b.only == "idle" {
		return b.idle(ctx, out)
	}
	var trials []trial
	for _, group := range []struct {
		name string
		of   func(context.Context) ([]trial, error)
	}{{"decode", b.decode}, {"postgres", b.postgres}, {"duckdb", b.duckDB}, {"files", b.files}, {"extract", b.extract}, {"end to end", b.endToEnd}} {
		if !strings.HasPrefix(group.name, b.only) && !strings.HasPrefix(b.only, group.name) {
			continue
		}
		more, err := group.of(ctx)
		if err != nil {
			return err
		}
		trials = append(trials, more...)
	}
	took := map[string][]cost{}
	for n := range b.runs {
		for _, t := range trials {
			if !strings.HasPrefix(t.name, b.only) && !b.wanted(trials, t.name) {
				continue
			}
			c, err := t.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			took[t.name] = append(took[t.name], c)
			fmt.Fprintf(os.Stderr, "run %d of %d: %s: %.0f rows/s\n", n+1, b.runs, t.name, c.rate())
		}
	}
	return b.print(out, trials, took)
}

// wanted tells whether a trial is what another one is held against.
func (b *bench) wanted(trials []trial, name string) bool {
	for _, t := range trials {
		if slices.Contains(t.beside, name) && strings.HasPrefix(t.name, b.only) {
			return true
		}
	}
	return false
}

// setup builds the programs and fills a topic: on the brokers of TEST_KAFKA_BROKERS, or else on an embedded Kafka.
func (b *bench) setup(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "tilestream-bench-"); err != nil {
		return err
	}
	b.close = append(b.close, func() error { return os.RemoveAll(b.dir) })
	build := exec.CommandContext(ctx, "go", "build", "-o", b.dir, "tilestream", "tilestream/producer", "tilestream/consumer")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	b.kafka = broker.Config{Prefix: filepath.Base(b.dir), Partitions: 6}
	b.where = "Kafka " + os.Getenv("TEST_KAFKA_BROKERS")
	b.kafka.Brokers, b.kafka.Registry.URL = strings.Split(os.Getenv("TEST_KAFKA_BROKERS"), ","), os.Getenv("TEST_SCHEMA_REGISTRY_URL")
	if os.Getenv("TEST_KAFKA_BROKERS") == "" || b.kafka.Registry.URL == "" {
		k, err := local.StartKafka(ctx, filepath.Join(b.dir, "kafka"), slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		b.close = append([]func() error{k.Close}, b.close...)
		b.kafka.Brokers, b.kafka.Registry.URL, b.where = k.Brokers, k.RegistryURL, "the embedded Kafka, in the bench's own process"
	}
	b.close = append([]func() error{func() error { return b.dropTopics(context.WithoutCancel(ctx)) }}, b.close...)
	b.env = map[string]string{
		"KAFKA_BROKERS": strings.Join(b.kafka.Brokers, ","), "SCHEMA_REGISTRY_URL": b.kafka.Registry.URL, "KAFKA_TOPIC_PREFIX": b.kafka.Prefix,
		"HTTP_ADDR": "off", "LOG_LEVEL": "WARN",
	}
	size, err := messages.Publish(ctx, b.kafka, b.rows, b.rows)
	if err != nil {
		return err
	}
	b.where += fmt.Sprintf("; %d messages of %d bytes as Avro", b.rows, size/int64(max(b.rows, 1)))
	return nil
}

// dropTopics deletes the topics that were made, which would fill the brokers' disks.
func (b *bench) dropTopics(ctx context.Context) error {
	client, err := b.kafka.NewClient()
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var ours []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(b.kafka.Prefix, "-", "_")) {
			ours = append(ours, name)
		}
	}
	gone, err := admin.DeleteTopics(ctx, ours...)
	return errors.Join(err, gone.Error())
}

// load has the consumer load the topic, as a group that has not been there, and wants every row.
func (b *bench) load(ctx context.Context, warehouse, dataset, mode string, count func() (int, error)) (cost, error) {
	c, err := b.child(ctx, "consumer", map[string]string{
		"WAREHOUSE_URL": warehouse, "WAREHOUSE_DATASET": dataset, "WRITE_MODE": cmp.Or(mode, "upsert"), "KAFKA_GROUP": fresh(b.kafka.Prefix),
	})
	if err != nil {
		return c, err
	}
	c.rows = b.rows
	return c, b.complete(count)
}

// complete wants every row.
func (b *bench) complete(count func() (int, error)) error {
	n, err := count()
	if err == nil && n != b.rows {
		err = fmt.Errorf("%d rows are in the warehouse, %d in the source", n, b.rows)
	}
	return err
}

// rowsIn counts the messages in a database.
func rowsIn(ctx context.Context, url, dataset string) (n int, err error) {
	driver := "pgx"
	if path, ok := strings.CutPrefix(url, "duckdb://"); ok {
		driver, url = "duckdb", path
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return n, db.QueryRowContext(ctx, `SELECT count(*) FROM "`+dataset+`".messages`).Scan(&n)
}

var made int

// fresh is a name that was not used before.
func fresh(prefix string) string {
	made++
	return strings.ReplaceAll(fmt.Sprintf("%s_%d", prefix, made), "-", "_")
}

// fileURL is the URL of a place in the bench's directory.
func (b *bench) fileURL(scheme, name string) string {
	u := url.URL{Scheme: scheme, Path: filepath.ToSlash(filepath.Join(b.dir, name))}
	return u.String()
}
