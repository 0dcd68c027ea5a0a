// Package inspect looks at what the pipeline has done, and changes nothing: topics and a warehouse come in, a proof that every
// committed record is there once, or where it is not, and how far loading has come go out.
package inspect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// Config says what is looked at.
type Config struct {
	Group     string // consumer group; "" for PREFIX-consumer
	Kafka     broker.Config
	Warehouse string // URL
	Dataset   string
	Hard      bool       // deletions remove rows
	Modes     sink.Modes // what each table keeps
	Memory    int64
	Resources []schemas.Resource
	Reports   bool // the report views are made
	Brief     bool // of Look: without what takes a read of whole tables
}

func (c Config) group() string { return c.Kafka.ConsumerGroup(c.Group) }

// View has do look at the warehouse. A warehouse that is not there yet is an error that says so.
func (c Config) View(ctx context.Context, do func(*sink.View) error) (err error) {
	r, err := sink.OpenReader(ctx, c.Warehouse, c.Dataset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	v, err := r.View(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	return do(v)
}

// verifier is one Verify on its way.
type verifier struct {
	Config
	view    *sink.View
	admin   *kadm.Client
	codec   *schemas.Codec
	cluster string
	ledger  map[sink.Partition]int64 // as it was at the beginning
	report  *Report
}

// Verify proves, for each partition, that what the ledger says is committed is in the warehouse once and with its values.
// It reads the ledger first, then each topic up to there, then the table, so that loading may go on beside it. Memory is
// bounded by Config.Memory: past it the topic is read several times, each time for a part of its keys.
//
// Damage is not an error, it is in the report. Errors: *ops.UsageError for settings, and what cannot be reached.
func Verify(ctx context.Context, cfg Config) (_ *Report, err error) {
	v := &verifier{Config: cfg, report: &Report{Warehouse: sink.Redacted(cfg.Warehouse) + " " + cfg.Dataset, Group: cfg.group(), Findings: []Finding{}}}
	registry, err := cfg.Kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	v.codec = schemas.NewCodec(registry, cfg.Kafka.Prefix)
	client, err := cfg.Kafka.NewClient()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	v.admin = kadm.NewClient(client)
	about, err := v.admin.BrokerMetadata(ctx)
	if err != nil {
		return nil, broker.Explain(fmt.Errorf("reach Kafka at %s: %w", strings.Join(cfg.Kafka.Brokers, ","), err))
	}
	v.cluster = about.Cluster
	reader, err := sink.OpenReader(ctx, cfg.Warehouse, cfg.Dataset)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	if v.view, err = reader.View(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.view.Close()) }()
	if v.ledger, err = v.view.Ledger(ctx); err != nil {
		return nil, err
	}
	if err := v.knowsGroup(); err != nil {
		return nil, err
	}
	if err := v.view.Settle(ctx); err != nil {
		return nil, err
	}
	for _, r := range cfg.Resources {
		if err := v.topic(ctx, r); err != nil {
			return nil, err
		}
	}
	if err := v.loads(ctx); err != nil {
		return nil, err
	}
	v.report.conclude()
	return v.report, nil
}

// knowsGroup refuses to compare with a ledger that is empty: every row would look wrong.
func (v *verifier) knowsGroup() error {
	others := map[string]bool{}
	for p := range v.ledger {
		if p.Cluster == v.cluster && p.Group == v.group() {
			return nil
		}
		others[fmt.Sprintf("%s (cluster %s)", p.Group, p.Cluster)] = true
	}
	if len(others) == 0 {
		return fmt.Errorf("the warehouse's ledger is empty: nothing was ever loaded into dataset %s; check WAREHOUSE_URL and WAREHOUSE_DATASET", v.Dataset)
	}
	return ops.Usagef("the warehouse's ledger knows nothing of group %s on cluster %s, only %s: check KAFKA_GROUP, KAFKA_TOPIC_PREFIX and KAFKA_BROKERS",
		v.group(), v.cluster, strings.Join(slices.Sorted(maps.Keys(others)), ", "))
}

func (v *verifier) key(topic string, id int32) sink.Partition {
	return sink.Partition{Cluster: v.cluster, Group: v.group(), Topic: topic, ID: id}
}

// topic compares one topic with its table.
func (v *verifier) topic(ctx context.Context, r schemas.Resource) error {
	c := &check{verifier: v, resource: r, table: TableOf(r), name: r.Topic(v.Kafka.Prefix), parts: map[int32]*Partition{}, told: map[Kind]int{}}
	c.table.Mode = v.Modes.Of(r.Name)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	if len(c.parts) == 0 && c.layout == nil {
		return nil // neither topic nor table
	}
	lo, passes := uint64(0), 0
	for more := true; more; passes++ {
		k := newKeys(c.table.Mode, lo, math.MaxUint64, v.Memory)
		if err := c.pass(ctx, k, passes == 0); err != nil {
			return err
		}
		lo, more = k.rest()
	}
	v.report.Passes = max(v.report.Passes, passes)
	for _, id := range slices.Sorted(maps.Keys(c.parts)) {
		p := c.parts[id]
		p.SumOfTopic, p.SumOfRows = fmt.Sprintf("%016x", p.topic), fmt.Sprintf("%016x", p.there)
		v.report.Partitions = append(v.report.Partitions, p)
	}
	return c.explain(ctx)
}

// prepare finds out what there is of the topic, before any of it is read.
func (c *check) prepare(ctx context.Context) error {
	held, err := extents(ctx, c.admin, c.name)
	if err != nil {
		return err
	}
	for id, e := range held {
		c.parts[id] = &Partition{Topic: c.name, Partition: id, Start: e.start, End: e.end, Wrong: map[Kind]int64{}}
	}
	for p, next := range c.ledger {
		if p != c.key(c.name, p.ID) || p.ID < 0 { // below 0 it keeps what is no partition of Kafka
			continue
		}
		part := c.part(p.ID)
		part.Ledger = next
		if next > part.End {
			c.tell(part, Finding{Kind: Ledger, Offset: next, Expected: fmt.Sprintf("the partition holds offsets %d to %d", part.Start, part.End),
				Found: fmt.Sprintf("the ledger wants offset %d next: the ledger was moved, or the topic was created again", next)}, nil)
		}
	}
	letters, _, err := dlq.Read(ctx, c.Kafka, c.name, nil)
	if err != nil {
		return broker.Explain(err)
	}
	c.set(letters)
	columns, err := c.view.Columns(ctx, c.table)
	if err != nil || columns == nil {
		return err
	}
	c.layout, err = newLayout(c.view, c.table, columns)
	return err
}

// set keeps which records are set aside: those whose last letter was not replayed. Partition of the letters' ledger: that of
// the letter.
func (c *check) set(letters []dlq.Letter) {
	last := map[place]dlq.Letter{}
	for _, l := range letters {
		if l.Group != c.group() || l.Cluster != c.cluster || l.Topic != c.name {
			continue
		}
		at := place{l.Partition, l.Offset}
		if l.Attempt > last[at].Attempt {
			last[at] = l
		}
	}
	c.dead = map[place]bool{}
	for at, l := range last {
		if l.At.Offset >= c.ledger[c.key(broker.DLQName(c.name), l.At.Partition)] {
			c.dead[at] = true
		}
	}
	for at := range c.dead {
		if p := c.part(at.partition); at.offset < p.Ledger {
			p.DeadLetters++
		}
	}
}

func (c *check) part(id int32) *Partition {
	p := c.parts[id]
	if p == nil {
		p = &Partition{Topic: c.name, Partition: id, Wrong: map[Kind]int64{}}
		c.parts[id] = p
	}
	return p
}
