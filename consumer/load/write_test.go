package load

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// offline is a loader without Kafka: one table with two partitions. Records are tombstones, which need no registry.
func offline(cfg Config, to sink.Sink) (*loader, *writer, []*partition) {
	l := &loader{cfg: cfg, log: slog.New(slog.DiscardHandler), to: to, memory: newBudget(1 << 20),
		tables: map[string]*table{}, parts: map[sink.Partition]*partition{}, projects: map[string]string{}, wake: func() {}}
	t := &table{name: "tags", topic: "test.tags", batches: batches{limits: limits{1000, 1 << 20, cfg.BatchAge}}, ready: make(chan struct{}, 1)}
	l.tables[t.topic] = t
	var ps []*partition
	for id := range int32(2) {
		p := &partition{Partition: l.key(t.topic, id), table: t}
		l.parts[p.Partition] = p
		ps = append(ps, p)
	}
	return l, l.newWriter(t), ps
}

func (l *loader) feed(t *testing.T, p *partition, offset int64) {
	t.Helper()
	l.mu.Lock()
	n := l.add(p, &kgo.Record{Topic: p.Topic, Partition: p.ID, Offset: offset, Key: []byte("k")}, time.Now())
	l.mu.Unlock()
	l.memory.hold(n)
	l.wakeWriters()
}

func TestBatchClosesByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWarehouse()
		l, writer, ps := offline(Config{BatchAge: 2 * time.Second}, w)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- writer.run(ctx) }()

		l.feed(t, ps[0], 0)
		time.Sleep(time.Second)
		l.feed(t, ps[1], 7)
		time.Sleep(999 * time.Millisecond)
		if n := len(w.written()); n != 0 {
			t.Errorf("%d batches before the age, want 0", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		want := []sink.Range{{Partition: ps[0].Partition, From: 0, To: 1}, {Partition: ps[1].Partition, From: 0, To: 8}}
		if got := w.written(); len(got) != 1 || !cmp.Equal(got[0].Ranges, want) {
			t.Errorf("got %v, want one batch with %v", got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if l.memory.records != 0 || l.memory.rows != 0 {
			t.Errorf("%d bytes of records and %d of rows are still accounted", l.memory.records, l.memory.rows)
		}
	})
}

// What the writer does about each way in which a write can end, over an hour of trying.
func TestWriteOutcomes(t *testing.T) {
	const down = 240 // about an hour and a half of backoff
	for name, c := range map[string]struct {
		faults  []fault
		during  func(l *loader, w *warehouse, ps []*partition) // on the first write
		once    bool
		batches int
		ledger  [2]int64
		err     error
	}{
		"fails, then works":   {faults: []fault{before, before}, batches: 1, ledger: [2]int64{1, 1}},
		"reply lost":          {faults: []fault{after}, batches: 1, ledger: [2]int64{1, 1}},
		"fenced by mistake":   {faults: []fault{fence, fence}, batches: 1, ledger: [2]int64{1, 1}},
		"down for long":       {faults: make([]fault, down), batches: 1, ledger: [2]int64{1, 1}},
		"down for long, once": {faults: make([]fault, down), once: true, err: errWarehouse},
		"rejected in one":     {faults: []fault{reject}, batches: 2, ledger: [2]int64{1, 1}},
		"one part revoked":    {faults: []fault{before}, during: func(l *loader, _ *warehouse, ps []*partition) { l.mu.Lock(); l.drop(ps[0].Partition); l.mu.Unlock() }, batches: 1, ledger: [2]int64{0, 1}},
		"all parts revoked": {faults: []fault{before}, during: func(l *loader, _ *warehouse, ps []*partition) {
			l.revoked(context.Background(), nil, map[string][]int32{"test.tags": {0, 1}})
		}},
		"one part moved to To": {during: func(_ *loader, w *warehouse, ps []*partition) { w.ledger[ps[0].Partition] = 1 }, batches: 1, ledger: [2]int64{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWarehouse()
				cfg := Config{BatchAge: time.Second}
				if c.once {
					cfg.Until = make(chan struct{})
				}
				l, writer, ps := offline(cfg, w)
				n := 0
				w.fault = func(sink.Batch) fault {
					n++
					if n > len(c.faults) {
						return none
					}
					return max(c.faults[n-1], before)
				}
				w.entered = func(context.Context, sink.Batch) {
					if n == 0 && c.during != nil {
						c.during(l, w, ps)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- writer.run(ctx) }()
				l.feed(t, ps[0], 0)
				l.feed(t, ps[1], 0)
				time.Sleep(3 * time.Hour)
				cancel()
				err := <-done
				if !errors.Is(err, c.err) {
					t.Errorf("error is %v, want %v", err, c.err)
				}
				if got := len(w.written()); got != c.batches {
					t.Errorf("%d batches, want %d", got, c.batches)
				}
				checkEnd(t, l, w, ps, c.ledger)
			})
		})
	}
}

// checkEnd wants the ledger at these offsets, each record once, and nothing left in memory.
func checkEnd(t *testing.T, l *loader, w *warehouse, ps []*partition, ledger [2]int64) {
	t.Helper()
	if got := [2]int64{w.ledger[ps[0].Partition], w.ledger[ps[1].Partition]}; got != ledger {
		t.Errorf("ledger at %v, want %v", got, ledger)
	}
	for place, n := range w.places() {
		if n != 1 {
			t.Errorf("%v is there %d times", place, n)
		}
	}
	if l.memory.records != 0 || l.memory.rows != 0 {
		t.Errorf("%d bytes of records and %d of rows are still accounted", l.memory.records, l.memory.rows)
	}
}

// The rows of the next batch are built while one is being written, and given up where the write fails; each record lands once.
func TestBuildsAhead(t *testing.T) {
	lose := func(l *loader, ps []*partition) { l.mu.Lock(); l.drop(ps[0].Partition); l.mu.Unlock() }
	for name, c := range map[string]struct {
		first  fault
		during func(l *loader, ps []*partition) // the first write
		tight  bool                             // no memory for two batches
		ledger [2]int64
	}{
		"works":                       {ledger: [2]int64{20, 20}},
		"fails":                       {first: before, ledger: [2]int64{20, 20}},
		"reply lost":                  {first: after, ledger: [2]int64{20, 20}},
		"rejected, and cut in halves": {first: reject, ledger: [2]int64{20, 20}},
		"no memory":                   {tight: true, ledger: [2]int64{20, 20}},
		"no memory, rejected":         {first: reject, tight: true, ledger: [2]int64{20, 20}},
		"a partition is lost":         {during: lose, ledger: [2]int64{10, 20}}, // the write under way is the last of it
		"fails, a partition is lost":  {first: before, during: lose, ledger: [2]int64{0, 20}},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := kgo.NewClient() // of no Kafka: it is told to pause
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			synctest.Test(t, func(t *testing.T) {
				w := newWarehouse()
				l, writer, ps := offline(Config{BatchAge: time.Second}, w)
				l.kafka = client
				writer.t.rows = 20
				for offset := range int64(20) {
					l.feed(t, ps[0], offset)
					l.feed(t, ps[1], offset)
				}
				if c.tight {
					l.memory.limit = l.memory.records + 1
				}
				first := true
				w.fault = func(sink.Batch) fault {
					if !first {
						return none
					}
					first = false
					return c.first
				}
				w.entered = func(_ context.Context, b sink.Batch) {
					if !first {
						return
					}
					synctest.Wait()
					if built := l.memory.rows > sizeOf(b.Rows); built == c.tight {
						t.Errorf("the rows of the next batch are built: %t", built)
					}
					if c.during != nil {
						c.during(l, ps)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- writer.run(ctx) }()
				time.Sleep(time.Minute)
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				checkEnd(t, l, w, ps, c.ledger)
			})
		})
	}
}

// A write that is under way when Run has to stop is let finish, within reason.
func TestShutdownLetsWriteFinish(t *testing.T) {
	for name, c := range map[string]struct {
		takes   time.Duration
		batches int
	}{"in time": {writeGrace - time.Second, 1}, "too slow": {writeGrace + time.Second, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWarehouse()
				l, writer, ps := offline(Config{BatchAge: time.Second}, w)
				ctx, cancel := context.WithCancel(t.Context())
				w.entered = func(ctx context.Context, _ sink.Batch) {
					cancel()
					_ = ops.Sleep(ctx, c.takes)
				}
				l.feed(t, ps[0], 0)
				if err := writer.run(ctx); err != nil {
					t.Error(err)
				}
				if got := len(w.written()); got != c.batches {
					t.Errorf("%d batches written, want %d", got, c.batches)
				}
			})
		})
	}
}

func TestTombstoneRow(t *testing.T) {
	w := newWarehouse()
	l, writer, ps := offline(Config{BatchAge: time.Second}, w)
	l.feed(t, ps[1], 4)
	b, _ := writer.t.take(time.Now(), true)
	at := time.UnixMilli(1_700_000_000_000)
	b.parts[0].rows[0].time = at.UnixMilli()
	rows, dead, err := newLayout("tags", 0, nil).rows(t.Context(), b, loadOf{"L", time.Now()})
	if err != nil || len(dead) > 0 {
		t.Fatal(err, dead)
	}
	defer rows.Release()
	if got := column[*array.Timestamp](rows, "_deleted_at").Value(0).ToTime(milli.Unit); !got.Equal(at) {
		t.Errorf("_deleted_at is %s, want the record's time %s", got, at)
	}
	if got := column[*array.String](rows, "_id").Value(0); got != "k" {
		t.Errorf("_id is %q, want the record's key", got)
	}
	if !rows.Column(rows.Schema().FieldIndices("_schema_id")[0]).IsNull(0) {
		t.Error("_schema_id is set, want null")
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		b.hold(60)
		if !b.full() {
			t.Error("60 of 100 in records: fetching should wait at half")
		}
		if !b.reserve(t.Context(), 90) {
			t.Error("the first reservation has to be granted, however large")
		}
		second := make(chan bool)
		go func() { second <- b.reserve(t.Context(), 10) }()
		synctest.Wait()
		select {
		case <-second:
			t.Error("a second reservation was granted over the limit")
		default:
		}
		b.correct(-90)
		if !<-second {
			t.Error("the second reservation should have been granted once the first was freed")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b.reserve(ctx, 1000) {
			t.Error("a reservation was granted after its context ended")
		}
		b.hold(-60)
		b.room(t.Context())
	})
}
