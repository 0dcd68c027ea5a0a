package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

func (w *world) records(resource string, partition int32, n, size int) []*kgo.Record {
	w.Helper()
	var rs []*kgo.Record
	for i := range n {
		rs = append(rs, w.record(resource, partition, fmt.Sprintf("%s-%d-%d", resource, partition, i), size))
	}
	return rs
}

func TestRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.record("tags", 0, "a", 3))
	var got sink.Batch
	w.warehouse.entered = func(_ context.Context, b sink.Batch) { b.Rows.Retain(); got = b }
	before := time.Now().Truncate(time.Millisecond)
	w.mustOnce(w.config())
	defer got.Rows.Release()

	if got.Table.Key != "_id" || got.Table.Version != "_extracted_at" || got.Table.Offset != "_kafka_offset" {
		t.Errorf("table is %+v", got.Table)
	}
	id := int32(binary.BigEndian.Uint32(w.record("tags", 0, "a", 3).Value[1:]))
	row := map[string]any{
		"_id": column[*array.String](got.Rows, "_id").Value(0), "_project_id": column[*array.String](got.Rows, "_project_id").Value(0),
		"_extracted_at": column[*array.Timestamp](got.Rows, "_extracted_at").Value(0), "_load_id": column[*array.String](got.Rows, "_load_id").Value(0),
		"_schema_id": column[*array.Int32](got.Rows, "_schema_id").Value(0), "updated_at": column[*array.Timestamp](got.Rows, "updated_at").Value(0),
	}
	want := map[string]any{"_id": "a", "_project_id": "p1", "_extracted_at": arrow.Timestamp(1_700_000_000_000), "_load_id": got.ID,
		"_schema_id": id, "updated_at": arrow.Timestamp(time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC).UnixMilli())}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if at := column[*array.Timestamp](got.Rows, "_loaded_at").Value(0).ToTime(arrow.Millisecond); at.Before(before) || at.After(time.Now()) {
		t.Errorf("_loaded_at is %s, which is not during the load", at)
	}
	if !got.Rows.Column(got.Rows.Schema().FieldIndices("_deleted_at")[0]).IsNull(0) {
		t.Error("_deleted_at is set")
	}
}

// The end of a partition may be a marker, or a whole aborted transaction: the ledger has to get there.
func TestDrainToMarkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags", "groups")
	w.transaction("a", true, w.records("tags", 0, 3, 10)...)
	w.transaction("a", false, w.records("tags", 0, 5, 10)...)
	w.transaction("a", false, w.records("groups", 1, 2, 10)...)
	w.mustOnce(w.config())
	w.check("tags", "groups")
	written := len(w.warehouse.written())
	w.mustOnce(w.config())
	if n := len(w.warehouse.written()); n != written {
		t.Errorf("loading again wrote %d batches, want none", n-written)
	}
}

func TestNothingToLoad(t *testing.T) {
	t.Parallel()
	newWorld(t, 1).mustOnce(newWorld(t, 1, "tags").config())
}

// Until closes while Run is at work: what came before is loaded.
func TestUntil(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, "tags", "leads")
	until := make(chan struct{})
	cfg := w.config()
	cfg.Until, cfg.BatchAge = until, time.Hour
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), cfg, w.kafka, w.warehouse, Events{}) }()
	w.produce(w.records("tags", 0, 7, 10)...)
	w.produce(w.records("leads", 2, 120, 10)...)
	close(until)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.check("tags", "leads")
}

func TestNewPartitionIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	stop := w.start(w.config(), Events{})
	w.produce(w.records("tags", 0, 3, 10)...)
	eventually(t, "rows of the first partition", func() bool { return w.warehouse.count() == 3 })
	if _, err := w.admin.CreatePartitions(t.Context(), 1, "test.tags"); err != nil {
		t.Fatal(err)
	}
	fresh, err := w.kafka.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner())) // the old one knows one partition, for a while
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	w.client = fresh
	w.produce(w.records("tags", 1, 3, 10)...)
	eventually(t, "rows of a partition that was added later", func() bool { return w.warehouse.count() == 6 })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A rebalance that comes while the ledger is asked about partitions leaves none of them behind: those that the consumer keeps are asked about again.
func TestRebalanceWhileTheLedgerIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, "tags")
	for p := range int32(6) {
		w.produce(w.records("tags", p, 10, 10)...)
	}
	var asked atomic.Int64
	var back atomic.Bool
	w.warehouse.nextErr = func() error {
		asked.Add(1)
		if back.Load() {
			return nil
		}
		return errWarehouse
	}
	first := w.start(w.config(), Events{})
	eventually(t, "the ledger to be asked", func() bool { return asked.Load() > 0 })
	second := w.start(w.config(), Events{})
	eventually(t, "a group of two", func() bool {
		groups, err := w.admin.DescribeGroups(t.Context(), w.kafka.ConsumerGroup(""))
		g := groups[w.kafka.ConsumerGroup("")]
		return err == nil && g.State == "Stable" && len(g.Members) == 2 && asked.Load() > 3 // each has asked since
	})
	back.Store(true)
	eventually(t, "the rows of all partitions", func() bool { return w.warehouse.count() == 60 })
	if err := errors.Join(first(), second()); err != nil {
		t.Error(err)
	}
	w.check("tags")
}

// Each of two consumers that are to end by themselves does, and together they load each record once.
func TestTwoConsumersDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6, "tags")
	for p := range int32(6) {
		w.produce(w.records("tags", p, 100, 100)...)
	}
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- w.once(w.config()) }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	w.check("tags")
}

// The ledger decides where loading starts, whatever the group has committed.
func TestLedgerBeatsGroupCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.records("tags", 0, 10, 10)...)
	commit := func(at int64) {
		os := kadm.Offsets{}
		os.AddOffset("test.tags", 0, at, -1)
		if err := w.admin.CommitAllOffsets(t.Context(), "test-consumer", os); err != nil {
			t.Fatal(err)
		}
	}
	commit(8)
	w.mustOnce(w.config())
	w.check("tags")

	w.produce(w.records("tags", 0, 5, 10)...)
	commit(2)
	w.mustOnce(w.config())
	w.check("tags")

	got, err := w.admin.FetchOffsets(t.Context(), "test-consumer")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := got.Lookup("test.tags", 0); o.At != 15 {
		t.Errorf("the group has committed %d, want 15 as the ledger has: lag tools look there", o.At)
	}
}

func TestLedgerThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(w *world)
		says  string
	}{
		"retention ate records": {func(w *world) {
			w.produce(w.records("tags", 0, 10, 10)...)
			if err := w.cluster.DeleteRecords("test.tags", 0, 15); err != nil {
				w.Fatal(err)
			}
		}, "wants offset 10 of test.tags[0] next, but the partition starts at offset 15"},
		"topic created again": {func(w *world) {
			if err := w.cluster.DeleteTopic("test.tags"); err != nil {
				w.Fatal(err)
			}
			w.create("tags", 1)
			w.client.PurgeTopicsFromClient("test.tags") // it knows the topic by its former id
			w.produce(w.records("tags", 0, 4, 10)...)
		}, "test.tags was deleted and created again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, "tags")
			w.produce(w.records("tags", 0, 10, 10)...)
			w.mustOnce(w.config())
			c.spoil(w)
			err := w.once(w.config())
			if !final(err) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "consumer accept -topic test.tags") {
				t.Errorf("error is %v, want one that says %q and names consumer accept", err, c.says)
			}
			if n := w.warehouse.count(); n != 10 {
				t.Errorf("%d rows, want the 10 of before", n)
			}
		})
	}
}

// A consumer at work meets the loss too: it stops and does not skip.
func TestRecordsLostWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.records("tags", 0, 10, 10)...)
	w.mustOnce(w.config())
	hold := make(chan struct{})
	w.warehouse.nextErr = func() error { // holds up the start until the records are gone
		select {
		case <-hold:
			return nil
		default:
			return errWarehouse
		}
	}
	cfg := w.config()
	stop := make(chan error, 1)
	go func() { stop <- Run(t.Context(), cfg, w.kafka, w.warehouse, Events{}) }()
	w.produce(w.records("tags", 0, 10, 10)...)
	if err := w.cluster.DeleteRecords("test.tags", 0, 15); err != nil {
		t.Fatal(err)
	}
	close(hold)
	var ledger *LedgerError
	if err := <-stop; !errors.As(err, &ledger) {
		t.Errorf("error is %v, want a *LedgerError", err)
	}
}

// A topic that is created again under a consumer at work stops it: offsets mean something else now.
func TestTopicCreatedAgainWhileRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.records("tags", 0, 10, 10)...)
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), w.config(), w.kafka, w.warehouse, Events{}) }()
	eventually(t, "the first rows", func() bool { return w.warehouse.count() == 10 })
	if err := w.cluster.DeleteTopic("test.tags"); err != nil {
		t.Fatal(err)
	}
	w.create("tags", 1)
	if err := <-done; err == nil || !strings.Contains(err.Error(), "test.tags was deleted") {
		t.Errorf("error is %v, want one that says that test.tags was deleted", err)
	}
}

// A fresh consumer of a topic that has lost its beginning starts at what is there.
func TestFreshConsumerAfterRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.records("tags", 0, 10, 10)...)
	if err := w.cluster.DeleteRecords("test.tags", 0, 6); err != nil {
		t.Fatal(err)
	}
	w.mustOnce(w.config())
	w.check("tags")
	if from := w.warehouse.written()[0].Ranges[0].From; from != 0 {
		t.Errorf("the first range is from %d, want 0 as the ledger says", from)
	}
}

func TestSchemaChangeClosesBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	rs, err := schemas.ByName("tags")
	if err != nil {
		t.Fatal(err)
	}
	records := w.records("tags", 0, 4, 10)
	older := strings.Replace(rs[0].Avro(), "A tag of", "An older tag of", 1)
	id, _, err := w.registry.RegisterSchema("other-value", sr.Schema{Schema: older, Type: sr.TypeAvro})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[2:] {
		binary.BigEndian.PutUint32(r.Value[1:], uint32(id))
	}
	w.produce(records...)
	w.mustOnce(w.config())
	w.check("tags")
	if got := len(w.warehouse.written()); got != 2 {
		t.Errorf("%d batches, want 2: one for each schema", got)
	}
}

func TestRegistryDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.records("tags", 0, 3, 10)...)
	var left atomic.Int32
	left.Store(4)
	w.registry.Intercept(func(rw http.ResponseWriter, _ *http.Request) bool {
		if left.Add(-1) < 0 {
			return false
		}
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	w.mustOnce(w.config())
	w.check("tags")
}

// A slow warehouse: what is accounted stays within the limit and one poll, and all is loaded in the end.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const limit, poll = 1 << 20, 256 << 10
	w := newWorld(t, 2, "tags", "groups", "leads")
	for p := range int32(2) {
		for _, resource := range []string{"tags", "groups", "leads"} {
			for range 40 { // record batches of about 30 kB
				w.produce(w.records(resource, p, 10, 3000)...)
			}
		}
	}
	w.warehouse.entered = func(context.Context, sink.Batch) { time.Sleep(5 * time.Millisecond) }
	cfg := w.config()
	cfg.Until, cfg.MemoryLimit, cfg.BatchBytes, cfg.BatchRows = Now(), limit, limit/batchShare, 100_000
	cfg.BatchAge = time.Hour // memory alone has to close batches
	l, err := newLoader(cfg, w.kafka, w.warehouse, Events{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.run(t.Context(), w.kafka); err != nil {
		t.Fatal(err)
	}
	w.check("tags", "groups", "leads")
	t.Logf("peak %s of %s", ops.Bytes(l.memory.peak), ops.Bytes(limit))
	if l.memory.peak > limit+poll {
		t.Errorf("%s accounted at the most, want up to %s", ops.Bytes(l.memory.peak), ops.Bytes(limit+poll))
	}
	if l.memory.records != 0 || l.memory.rows != 0 {
		t.Errorf("%d bytes of records and %d of rows are still accounted", l.memory.records, l.memory.rows)
	}
}

func TestLargeRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	for i := range 6 {
		w.produce(w.record("tags", int32(i%2), fmt.Sprint(i), 5<<20))
	}
	cfg := w.config()
	cfg.MemoryLimit, cfg.BatchBytes = 8<<20, 1<<20 // each alone is most of it
	w.mustOnce(cfg)
	w.check("tags")
}

// A consumer that loses the race for a partition drops what it has and goes on where the other left it.
func TestFencedConsumerGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	w.produce(w.records("tags", 0, 30, 10)...)
	w.produce(w.records("tags", 1, 30, 10)...)
	moved := false
	w.warehouse.entered = func(_ context.Context, b sink.Batch) {
		w.warehouse.mu.Lock()
		defer w.warehouse.mu.Unlock()
		for _, r := range b.Ranges {
			if !moved && r.ID == 0 { // as if another consumer had loaded offsets 0 to 19
				moved = true
				w.warehouse.ledger[r.Partition] = 20
				for i := range int64(20) {
					w.warehouse.rows[place{"tags", 0, i, fmt.Sprintf("tags-0-%d", i)}]++
				}
			}
		}
	}
	w.mustOnce(w.config())
	w.check("tags")
	if w.warehouse.fenced == 0 {
		t.Error("nothing was fenced: the test tests nothing")
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.records("tags", 0, 120, 10)...)
	cfg := w.config()
	cfg.Until = Now()
	var rows, inserted int64
	last := Loaded{Behind: -1}
	var backlog map[sink.Partition]Backlog
	err := Run(t.Context(), cfg, w.kafka, w.warehouse, Events{
		Assigned: func(m map[sink.Partition]Backlog) { backlog = m },
		Loaded: func(l Loaded) {
			rows += l.Rows
			inserted += l.Stats.Inserted
			last = l
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows != 120 || inserted != 120 || last.Behind != 0 || last.Table != "tags" || last.ID == "" {
		t.Errorf("%d rows, %d inserted, the last event is %+v", rows, inserted, last)
	}
	for p, b := range backlog {
		if p.Topic == "test.tags" && b != (Backlog{Next: 0, End: 120}) {
			t.Errorf("backlog of %s[%d] is %+v, want 0 to 120", p.Topic, p.ID, b)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for variable, spoil := range map[string]func(*Config){
		"BATCH_ROWS":   func(c *Config) { c.BatchRows = 0 },
		"BATCH_AGE":    func(c *Config) { c.BatchAge = -time.Second },
		"MEMORY_LIMIT": func(c *Config) { c.MemoryLimit = c.BatchBytes },
		"BATCH_BYTES":  func(c *Config) { c.BatchBytes = 0 },
	} {
		cfg := w.config()
		spoil(&cfg)
		var usage *ops.UsageError
		if err := w.once(cfg); !errors.As(err, &usage) || !strings.Contains(err.Error(), variable) {
			t.Errorf("error is %v, want a usage error that names %s", err, variable)
		}
	}
}
