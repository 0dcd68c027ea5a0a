package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/goleak"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/schemas"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what a test says of its failure should not drown
	// Idle connections to a registry close by themselves.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// world is a Kafka, a registry and a warehouse in this process.
type world struct {
	*testing.T
	kafka     broker.Config
	cluster   *kfake.Cluster
	registry  *srfake.Registry
	client    *kgo.Client // plain producer and admin
	admin     *kadm.Client
	codec     *schemas.Codec
	warehouse *warehouse
	path      string // see duckdb
}

func newWorld(t *testing.T, partitions int32, resources ...string) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{
		"group.min.session.timeout.ms": "100", "group.initial.rebalance.delay.ms": "0",
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	w := &world{T: t, cluster: cluster, registry: registry, warehouse: newWarehouse()}
	w.kafka = broker.Config{Brokers: cluster.ListenAddrs(), Prefix: "test", Partitions: partitions, Registry: broker.Registry{URL: registry.URL()}}
	if w.client, err = w.kafka.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(12<<20)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	w.admin = kadm.NewClient(w.client)
	reg, err := w.kafka.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	w.codec = schemas.NewCodec(reg, w.kafka.Prefix)
	for _, name := range resources {
		w.create(name, partitions)
	}
	return w
}

// duckdb is the path of the warehouse that commands open.
func (w *world) duckdb() string {
	if w.path == "" {
		w.path = filepath.Join(w.TempDir(), "w.duckdb")
	}
	return w.path
}

func (w *world) topic(resource string) string { return w.kafka.Prefix + "." + resource }

func (w *world) create(resource string, partitions int32) {
	w.Helper()
	max := "16000000"
	_, err := w.admin.CreateTopic(w.Context(), partitions, 1, map[string]*string{"max.message.bytes": &max}, w.topic(resource))
	if err != nil {
		w.Fatal(err)
	}
}

// config has small limits and a group that settles fast. Fetches are cut by partition, never as a whole: kfake forgets to name the
// aborted transactions of a partition at which it cuts the whole.
func (w *world) config() Config {
	return Config{
		BatchRows: 50, BatchBytes: 1 << 20, BatchAge: 20 * time.Millisecond, MemoryLimit: 64 << 20, DLQMaxRatio: 0.1, Warehouse: "memory",
		client: []kgo.Opt{kgo.HeartbeatInterval(50 * time.Millisecond), kgo.FetchMaxWait(50 * time.Millisecond), kgo.MetadataMinAge(50 * time.Millisecond), kgo.MetadataMaxAge(200 * time.Millisecond),
			kgo.FetchMaxBytes(100 << 20), kgo.FetchMaxPartitionBytes(8 << 10)},
	}
}

// once loads everything that there is.
func (w *world) once(cfg Config) error {
	cfg.Until = Now()
	return Run(w.Context(), cfg, w.kafka, w.warehouse, Events{})
}

func (w *world) mustOnce(cfg Config) {
	w.Helper()
	if err := w.once(cfg); err != nil {
		w.Fatal(err)
	}
}

// start runs until stop is called, which returns Run's error.
func (w *world) start(cfg Config, ev Events) (stop func() error) {
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, w.kafka, w.warehouse, ev) }()
	return sync.OnceValue(func() error { cancel(); return <-done })
}

// record encodes a tag-like document of some size.
func (w *world) record(resource string, partition int32, id string, size int) *kgo.Record {
	w.Helper()
	rs, err := schemas.ByName(resource)
	if err != nil {
		w.Fatal(err)
	}
	quoted, err := json.Marshal(id)
	if err != nil {
		w.Fatal(err)
	}
	doc := fmt.Sprintf(`{"_id":%s,"updatedAt":"2026-01-02T03:04:05.006Z","attributes":{"text":%q}}`, quoted, noise(size))
	frame, _, err := w.codec.Encode(context.WithoutCancel(w.Context()), rs[0], []byte(doc))
	if err != nil {
		w.Fatal(err)
	}
	return &kgo.Record{Topic: w.topic(resource), Partition: partition, Key: []byte(id), Value: frame,
		Timestamp: time.UnixMilli(1_700_000_000_000), Headers: []kgo.RecordHeader{{Key: "project", Value: []byte("p1")}}}
}

// noise is text that does not compress.
func noise(size int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, size)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b)
}

func (w *world) produce(rs ...*kgo.Record) {
	w.Helper()
	if err := w.client.ProduceSync(w.Context(), rs...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// transaction publishes records and commits or aborts.
func (w *world) transaction(id string, commit bool, rs ...*kgo.Record) {
	w.Helper()
	cl, err := w.kafka.NewClient(kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.Fatal(err)
	}
	if err := cl.ProduceSync(w.Context(), rs...).FirstErr(); err != nil {
		w.Fatal(err)
	}
	if err := cl.EndTransaction(w.Context(), kgo.TransactionEndTry(commit)); err != nil {
		w.Fatal(err)
	}
}

// place is where a record stands in Kafka.
type place struct {
	Table     string
	Partition int32
	Offset    int64
	ID        string
}

// truth reads what a reader of committed transactions sees of the topics, and where they end.
func (w *world) truth(resources ...string) (map[place]int, map[string]int64) {
	w.Helper()
	var topics []string
	for _, r := range resources {
		topics = append(topics, w.topic(r))
	}
	listed, err := w.admin.ListCommittedOffsets(w.Context(), topics...)
	if err != nil {
		w.Fatal(err)
	}
	ends := map[string]int64{}
	left := map[string]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			ends[fmt.Sprintf("%s/%d", o.Topic, o.Partition)] = o.Offset
		}
	})
	maps.Copy(left, ends)
	cl, err := w.kafka.NewClient(kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		w.Fatal(err)
	}
	defer cl.Close()
	seen := map[place]int{}
	for len(left) > 0 {
		fs := cl.PollFetches(w.Context())
		if w.Context().Err() != nil {
			w.Fatal("the topics do not end")
		}
		fs.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				seen[place{strings.TrimPrefix(r.Topic, w.topic("")), r.Partition, r.Offset, string(r.Key)}]++
			}
			key := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
			if r.Offset+1 >= left[key] {
				delete(left, key)
			}
		})
	}
	return seen, ends
}

// check compares the warehouse with the topics: every record once, and the ledger at the ends.
func (w *world) check(resources ...string) {
	w.Helper()
	want, ends := w.truth(resources...)
	if diff := cmp.Diff(want, w.warehouse.places()); diff != "" {
		w.Errorf("rows (-topic +warehouse):\n%s", diff)
	}
	if diff := cmp.Diff(ends, w.warehouse.ends()); diff != "" {
		w.Errorf("ledger (-topic +warehouse):\n%s", diff)
	}
}

// warehouse is a sink.Sink that keeps rows and ledger in memory by the rules of the contract.
type warehouse struct {
	mu       sync.Mutex
	ledger   map[sink.Partition]int64
	rows     map[place]int
	batches  []sink.Batch // without rows
	counts   []int64      // rows of each batch
	prepared map[string]int
	fenced   int
	refused  int
	fault    func(sink.Batch) fault // nil: none
	besides  bool                   // faults also of writes of what the ledger keeps beside offsets
	entered  func(context.Context, sink.Batch)
	nextErr  func() error
	refuses  func(place) bool // values that it will not hold
}

type fault int

const (
	none   fault = iota
	before       // fails and changes nothing
	after        // the reply of a commit is lost
	fence        // says fenced although nobody has moved the ledger
	reject
)

var errWarehouse = errors.New("connection reset")

func newWarehouse() *warehouse {
	return &warehouse{ledger: map[sink.Partition]int64{}, rows: map[place]int{}, prepared: map[string]int{}}
}

func (w *warehouse) Prepare(_ context.Context, t sink.Table) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prepared[t.Name]++
	return nil
}

func (w *warehouse) Plan(context.Context, sink.Table) ([]sink.Change, error) { return nil, nil }

func (w *warehouse) Next(_ context.Context, ps []sink.Partition) (map[sink.Partition]int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nextErr != nil {
		if err := w.nextErr(); err != nil {
			return nil, err
		}
	}
	next := map[sink.Partition]int64{}
	for _, p := range ps {
		next[p] = w.ledger[p]
	}
	return next, nil
}

func (w *warehouse) Write(ctx context.Context, b sink.Batch) (sink.Stats, error) {
	// What the ledger keeps beside offsets is not what the tests' faults are about.
	beside := b.Rows == nil && slices.ContainsFunc(b.Ranges, func(r sink.Range) bool { return r.ID < 0 })
	if w.entered != nil && !beside {
		w.entered(ctx, b)
	}
	if err := ctx.Err(); err != nil {
		return sink.Stats{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f := none
	if w.fault != nil && (!beside || w.besides) {
		f = w.fault(b)
	}
	switch f {
	case before:
		return sink.Stats{}, errWarehouse
	case fence:
		return sink.Stats{}, sink.ErrFenced
	case reject:
		return sink.Stats{}, &sink.RejectedError{Column: "tag", Err: errors.New("too long")}
	}
	for _, r := range b.Ranges {
		if w.ledger[r.Partition] != r.From {
			w.fenced++
			return sink.Stats{}, sink.ErrFenced
		}
	}
	if b.Rows != nil && w.refuses != nil && slices.ContainsFunc(placesOf(b), w.refuses) {
		w.refused++
		return sink.Stats{}, &sink.RejectedError{Column: "tag", Err: errors.New("too long")}
	}
	stats := sink.Stats{}
	if b.Rows != nil {
		stats.Inserted = b.Rows.NumRows()
		for _, p := range placesOf(b) {
			w.rows[p]++
		}
	}
	for _, r := range b.Ranges {
		w.ledger[r.Partition] = r.To
	}
	if b.Rows = nil; !beside {
		w.batches = append(w.batches, b)
		w.counts = append(w.counts, stats.Inserted)
	}
	if f == after {
		return sink.Stats{}, errWarehouse
	}
	return stats, nil
}

func (w *warehouse) Close() error { return nil }

func placesOf(b sink.Batch) []place {
	var ps []place
	for i := range int(b.Rows.NumRows()) {
		ps = append(ps, place{b.Table.Name, column[*array.Int32](b.Rows, "_kafka_partition").Value(i),
			column[*array.Int64](b.Rows, "_kafka_offset").Value(i), column[*array.String](b.Rows, "_id").Value(i)})
	}
	return ps
}

func column[A arrow.Array](rows arrow.RecordBatch, name string) A {
	return rows.Column(rows.Schema().FieldIndices(name)[0]).(A)
}

func (w *warehouse) places() map[place]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.rows)
}

func (w *warehouse) ends() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	ends := map[string]int64{}
	for p, next := range w.ledger {
		if p.ID < 0 {
			continue
		}
		ends[fmt.Sprintf("%s/%d", p.Topic, p.ID)] = next
	}
	return ends
}

func (w *warehouse) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.rows)
}

func (w *warehouse) written() []sink.Batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.batches)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for: %s", what)
}

// random is a source that a failing test names.
func random(t *testing.T, seed uint64) *rand.Rand {
	t.Helper()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}
