package inspect

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/goleak"

	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/e2e"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what a test says of its failure should not drown
	// Idle connections to a registry close by themselves.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// world is a Kafka and a registry in this process, and a warehouse.
type world struct {
	*testing.T
	kafka   broker.Config
	cluster *kfake.Cluster
	client  *kgo.Client
	codec   *schemas.Codec
	url     string
	dataset string
	deletes sink.Deletes
	modes   sink.Modes
	reports sink.Switch
}

const partitions = 3

func newWorld(t *testing.T, url, dataset string) *world {
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
	w := &world{T: t, cluster: cluster, url: url, dataset: dataset, deletes: sink.Soft}
	w.kafka = broker.Config{Brokers: cluster.ListenAddrs(), Prefix: "test", Partitions: partitions, Registry: broker.Registry{URL: registry.URL()}}
	if w.client, err = w.kafka.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	reg, err := w.kafka.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	w.codec = schemas.NewCodec(reg, w.kafka.Prefix)
	var topics []broker.Topic
	for _, r := range schemas.Resources {
		topics = append(topics, w.kafka.DataTopic(r.Topic(w.kafka.Prefix)))
	}
	if err := broker.Ensure(t.Context(), w.client, slog.New(slog.DiscardHandler), topics...); err != nil {
		t.Fatal(err)
	}
	return w
}

// start is the time of the first record.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// document is a record of a lead, or of a tag; its partition is that of its number.
func (w *world) document(resource string, n, version int) *kgo.Record {
	w.Helper()
	rs, err := schemas.ByName(resource)
	if err != nil {
		w.Fatal(err)
	}
	at := start.Add(time.Duration(version) * time.Minute)
	doc, err := json.Marshal(map[string]any{
		"_id": key(n), "fullname": fmt.Sprintf("Ada %d of %d", version, n), "status": n, "tag": fmt.Sprint("tag ", version),
		"attributes": map[string]any{"b": n, "a": []any{1.50, "ü", nil, true}, "version": version}, "updatedAt": at.Format("2006-01-02T15:04:05.000Z07:00"),
		"unheard": "of",
	})
	if err != nil {
		w.Fatal(err)
	}
	frame, _, err := w.codec.Encode(context.WithoutCancel(w.Context()), rs[0], doc)
	if err != nil {
		w.Fatal(err)
	}
	return &kgo.Record{Topic: rs[0].Topic(w.kafka.Prefix), Partition: int32(n % partitions), Key: []byte(key(n)), Value: frame, Timestamp: at.Add(time.Second),
		Headers: []kgo.RecordHeader{{Key: "project", Value: []byte("p1")}}}
}

// tombstone deletes a document.
func (w *world) tombstone(resource string, n, version int) *kgo.Record {
	r := w.document(resource, n, version)
	r.Value = nil
	return r
}

func key(n int) string { return fmt.Sprintf("%024x", n) }

func (w *world) produce(rs ...*kgo.Record) {
	w.Helper()
	if err := w.client.ProduceSync(w.Context(), rs...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// fill produces what tests look at: documents with one version and with several, old ones after new ones, deletions.
func (w *world) fill() {
	w.Helper()
	for _, resource := range []string{"leads", "tags"} {
		var rs []*kgo.Record
		for n := range 30 {
			rs = append(rs, w.document(resource, n, 1))
		}
		for n := range 10 {
			rs = append(rs, w.document(resource, n, 3), w.document(resource, n, 2))
		}
		rs = append(rs, w.tombstone(resource, 28, 5), w.tombstone(resource, 29, 5), w.tombstone(resource, 99, 5))
		if resource == "tags" { // of a list that is read whole, what comes later is newer
			rs = append(rs, w.document(resource, 29, 6))
		}
		w.produce(rs...)
	}
}

func (w *world) config() sink.Config {
	return sink.Config{URL: ops.Secret(w.url), Dataset: w.dataset, Deletes: w.deletes, Modes: w.modes, Reports: w.reports}
}

// load loads everything that there is.
func (w *world) load() {
	w.Helper()
	to, err := w.config().Open(w.Context(), "", nil)
	if err != nil {
		w.Fatal(err)
	}
	cfg := load.Config{BatchRows: 7, BatchBytes: 1 << 20, BatchAge: 20 * time.Millisecond, MemoryLimit: 64 << 20, DLQMaxRatio: 1, Warehouse: "test", Until: load.Now()}
	err = load.Run(w.Context(), cfg, w.kafka, to, load.Events{})
	if cerr := to.Close(); cerr != nil {
		w.Error(cerr)
	}
	if err != nil && !strings.Contains(err.Error(), "dead letters") {
		w.Fatal(err)
	}
}

// verify returns the report of the resources that are filled.
func (w *world) verify(memory int64) *Report {
	w.Helper()
	rs, err := schemas.ByName("leads", "tags")
	if err != nil {
		w.Fatal(err)
	}
	cfg := Settings{Kafka: w.kafka, Warehouse: w.config()}.Config(rs)
	cfg.Memory = memory
	r, err := Verify(w.Context(), cfg)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// said is the kinds of a report, with how many there are.
func (r *Report) said() map[Kind]int64 {
	out := map[Kind]int64{}
	for _, p := range r.Partitions {
		for k, n := range p.Wrong {
			if n > 0 {
				out[k] += n
			}
		}
	}
	return out
}

func (w *world) wantProven(r *Report) {
	w.Helper()
	if !r.OK || len(r.Findings) > 0 {
		w.Errorf("not proven: %v\n%v\n%s", r.said(), r.Findings, r.Conclusion)
	}
	var rows int64
	for _, p := range r.Partitions {
		rows += p.Rows
		if p.SumOfTopic != p.SumOfRows {
			w.Errorf("%s[%d]: checksum of the topic %s, of the rows %s", p.Topic, p.Partition, p.SumOfTopic, p.SumOfRows)
		}
		if p.Unproven != 0 || p.Newer != 0 {
			w.Errorf("%s[%d]: %d rows are not proven, %d newer", p.Topic, p.Partition, p.Unproven, p.Newer)
		}
	}
	if rows == 0 {
		w.Error("there are no rows, which proves nothing")
	}
}

// database is the warehouse, open for writing behind the pipeline's back.
func (w *world) database() *sql.DB {
	w.Helper()
	driver, address := "pgx", w.url
	if path, ok := strings.CutPrefix(w.url, "duckdb://"); ok {
		driver, address = "duckdb", path
	}
	if strings.HasPrefix(w.url, "file:") {
		driver, address = "duckdb", ""
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		w.Fatal(err)
	}
	return db
}

// spoil runs statements on the warehouse; @ stands for the dataset. Each must change a row.
func (w *world) spoil(statements ...string) {
	w.Helper()
	db := w.database()
	defer db.Close()
	for _, s := range statements {
		done, err := db.ExecContext(w.Context(), strings.ReplaceAll(s, "@", `"`+w.dataset+`"`))
		if err != nil {
			w.Fatalf("%s: %v", s, err)
		}
		if n, err := done.RowsAffected(); err == nil && n == 0 {
			w.Fatalf("%s: changed nothing", s)
		}
	}
}

// each runs a test on every warehouse that keeps tables.
func each(t *testing.T, test func(t *testing.T, open func(t *testing.T) *world)) {
	t.Run("duckdb", func(t *testing.T) {
		if !slices.Contains(sql.Drivers(), "duckdb") {
			t.Skip("built without cgo, so without DuckDB")
		}
		test(t, func(t *testing.T) *world {
			return newWorld(t, "duckdb://"+filepath.Join(t.TempDir(), "w.duckdb"), "tiledesk")
		})
	})
	t.Run("postgres", func(t *testing.T) {
		url := e2e.Service(t, "TEST_POSTGRES_URL")
		test(t, func(t *testing.T) *world { return newWorld(t, url, newSchema(t, url)) })
	})
}

// newSchema names a schema that is dropped when the test ends.
func newSchema(t *testing.T, url string) string {
	schema := "Inspect " + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(`DROP SCHEMA IF EXISTS "` + schema + `" CASCADE`); err != nil {
			t.Error(err)
		}
	})
	return schema
}

func filesWorld(t *testing.T) *world {
	if !slices.Contains(sql.Drivers(), "duckdb") {
		t.Skip("built without cgo, so without DuckDB")
	}
	return newWorld(t, "file://"+t.TempDir(), "tiledesk")
}
