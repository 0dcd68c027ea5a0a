package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// replay runs a replay into a warehouse.
func (w *world) replay(ctx context.Context, cfg Config, to sink.Sink, r Replay) (Outcome, error) {
	if r.Topic == "" {
		r.Topic = "test.tags"
	}
	return r.Run(ctx, cfg, w.kafka, to, Events{})
}

// planned tells that a replay was begun and not ended.
func (w *warehouse) planned() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, n := range w.ledger {
		if p.ID <= endsID && n > 0 {
			return true
		}
	}
	return false
}

// between is what the truth has of the given offsets of each partition.
func between(truth map[place]int, in func(place) bool) map[place]int {
	out := maps.Clone(truth)
	maps.DeleteFunc(out, func(p place, _ int) bool { return !in(p) })
	return out
}

// A replay into a dataset of its own takes each record from its start to its end once, however often it is killed, whatever answers are
// lost and however many work on it, and nothing that is written after it began.
func TestReplayOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := random(t, seed)
			w := newWorld(t, 3, "tags")
			for n := range 30 {
				var rs []*kgo.Record
				for i := range 20 {
					rs = append(rs, w.record("tags", rnd.Int32N(3), fmt.Sprintf("%d-%d", n, i), rnd.IntN(300)))
				}
				w.transaction("producer", n%4 > 0, rs...)
			}
			want, _ := w.truth("tags")
			side := newWarehouse()
			side.besides = true
			var chance atomic.Int64
			side.fault = func(sink.Batch) fault {
				return map[int64]fault{3: before, 5: after, 7: fence}[chance.Add(1)%9]
			}
			config := func() Config {
				cfg := w.config()
				cfg.BatchRows = 5 + rnd.IntN(40)
				return cfg
			}
			r := Replay{Topic: "test.tags", From: "beginning", Into: "side"}
			// A live consumer and a producer go on meanwhile.
			stop := w.start(w.config(), Events{})
			defer stop()
			done, more := false, false
			for n := 0; !done; n++ {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+rnd.IntN(250+100*n))*time.Millisecond)
				var two sync.WaitGroup
				var finished atomic.Bool
				processes := int32(1 + n%2)
				if side.count() == len(want) {
					processes = 1 // which has nothing left but to end it
				}
				var in atomic.Int32
				all := make(chan struct{}) // in, and so none begins after another has ended, which would be to begin anew
				side.entered = func(context.Context, sink.Batch) {
					select {
					case <-all:
					case <-ctx.Done():
					}
				}
				for range processes {
					cfg := config()
					joined := sync.OnceFunc(func() {
						if in.Add(1) == processes {
							close(all)
						}
					})
					two.Go(func() {
						_, err := r.Run(ctx, cfg, w.kafka, side, Events{Assigned: func(map[sink.Partition]Backlog) { joined() }})
						switch {
						case err == nil:
							finished.Store(true)
						case ctx.Err() == nil:
							t.Errorf("replay: %v", err)
						}
					})
				}
				two.Wait()
				cancel()
				ended := side.count() > 0 && !side.planned() // and killed before it could say so
				done = finished.Load() || ended || t.Failed()
				if !more && side.count() > 0 { // it was begun
					more = true
					w.produce(w.records("tags", 0, 40, 10)...)
				}
			}
			if diff := cmp.Diff(want, side.places()); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			for _, b := range side.written() {
				if !b.Again {
					t.Fatal("a batch of a replay is not marked")
				}
			}
		})
	}
}

// Offsets and times cut exactly.
func TestReplayBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	var rs []*kgo.Record
	for i := range 48 {
		r := w.record("tags", int32(i%2), fmt.Sprint(i), 10)
		r.Timestamp = day.Add(time.Duration(i) * time.Hour)
		rs = append(rs, r)
	}
	w.produce(rs...)
	truth, _ := w.truth("tags")
	hour := func(p place) int { return int(p.Offset)*2 + int(p.Partition) }
	for name, c := range map[string]struct {
		Replay
		in func(place) bool
	}{
		"all":           {Replay{From: "beginning"}, func(place) bool { return true }},
		"offset":        {Replay{From: "5"}, func(p place) bool { return p.Offset >= 5 }},
		"to offset":     {Replay{From: "beginning", To: "7"}, func(p place) bool { return p.Offset < 7 }},
		"both":          {Replay{From: "0", To: "1"}, func(p place) bool { return p.Offset < 1 }},
		"to past it":    {Replay{From: "20", To: "99"}, func(p place) bool { return p.Offset >= 20 }},
		"day":           {Replay{From: "2026-11-23"}, func(p place) bool { return hour(p) >= 24 }},
		"to day":        {Replay{From: "beginning", To: "2026-11-23"}, func(p place) bool { return hour(p) < 24 }},
		"instants":      {Replay{From: "2026-11-22T03:00:01Z", To: "2026-11-22T10:00:00+01:00"}, func(p place) bool { return hour(p) >= 4 && hour(p) < 9 }},
		"before all":    {Replay{From: "2020-01-01"}, func(place) bool { return true }},
		"after all":     {Replay{From: "2030-01-01"}, func(place) bool { return false }},
		"at the end":    {Replay{From: "24"}, func(place) bool { return false }},
		"to before all": {Replay{From: "beginning", To: "2020-01-01"}, func(place) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			side := newWarehouse()
			c.Into = "side"
			done, err := w.replay(t.Context(), w.config(), side, c.Replay)
			want := between(truth, c.in)
			if err != nil || done.Rows != int64(len(want)) {
				t.Fatalf("%+v, %v, want %d rows", done, err, len(want))
			}
			if diff := cmp.Diff(want, side.places()); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			c.Topic = "test.tags"
			if groups, err := w.admin.ListGroups(t.Context()); err != nil || slices.Contains(groups.Groups(), c.group("test-consumer")) {
				t.Errorf("the group is still there: %v, %v", groups.Groups(), err)
			}
		})
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	w.produce(append(w.records("tags", 0, 20, 10), w.records("tags", 1, 5, 10)...)...)
	if err := w.cluster.DeleteRecords("test.tags", 0, 3); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		r    Replay
		says string
	}{
		{Replay{From: "2"}, "-from 2: topic test.tags holds offsets 3 to 20 in partition 0, 0 to 5 in partition 1"},
		{Replay{From: "6"}, "offsets 3 to 20 in partition 0, 0 to 5 in partition 1"},
		{Replay{From: ""}, "-from is missing"},
		{Replay{From: "yesterday"}, `-from "yesterday": it takes`},
		{Replay{From: "-1"}, `-from "-1": it takes`},
		{Replay{From: "beginning", To: "beginning"}, `-to "beginning": it takes`},
		{Replay{From: "9", To: "9"}, "nothing between"},
		{Replay{From: "2026-11-22", To: "2026-11-21"}, "nothing between"},
		{Replay{Topic: "test.bots", From: "beginning"}, "there is no topic test.bots"},
		{Replay{Topic: "somebody", From: "beginning"}, "somebody is no topic of a resource"},
	} {
		_, err := w.replay(t.Context(), w.config(), newWarehouse(), c.r)
		var usage *ops.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: error is %v, want a usage error that says %q", c.r, err, c.says)
		}
	}
}

// What a replay has begun does not fit any more: it says so, and the same command begins anew.
func TestReplayOfAChangedTopic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world)
		want   int
	}{
		"created again": {func(w *world) { w.recreate("tags", 1); w.produce(w.named("new", "tags", 0, 120)...) }, 120},
		"retention": {func(w *world) {
			if err := w.cluster.DeleteRecords("test.tags", 0, 80); err != nil {
				w.Fatal(err)
			}
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, "tags")
			w.produce(w.records("tags", 0, 100, 10)...)
			side := newWarehouse()
			ctx, cancel := context.WithCancel(t.Context())
			side.entered = func(context.Context, sink.Batch) {
				if side.count() > 0 {
					cancel()
				}
			}
			cfg := w.config()
			cfg.BatchRows = 10
			r := Replay{From: "beginning", Into: "side"}
			if _, err := w.replay(ctx, cfg, side, r); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			begun := side.count()
			c.change(w)
			side.entered = nil
			done, err := w.replay(t.Context(), cfg, side, r)
			if err != nil || done.Rows != int64(c.want) {
				t.Errorf("%+v, %v, want %d rows", done, err, c.want)
			}
			t.Logf("%d rows before", begun)
		})
	}
}

// versions makes records of one lead.
func (w *world) lead(partition int32, id string, version int) *kgo.Record {
	w.Helper()
	rs, err := schemas.ByName("leads")
	if err != nil {
		w.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 0, version, 0, time.UTC)
	doc := fmt.Sprintf(`{"_id":%q,"updatedAt":%q,"fullname":"v%d"}`, id, at.Format(time.RFC3339), version)
	frame, _, err := w.codec.Encode(w.Context(), rs[0], []byte(doc))
	if err != nil {
		w.Fatal(err)
	}
	return &kgo.Record{Topic: w.topic("leads"), Partition: partition, Key: []byte(id), Value: frame, Timestamp: at}
}

// newDuckDB is a warehouse of its own, and a way to look at it.
func newDuckDB(t *testing.T) (to sink.Sink, db *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w.duckdb")
	to, err := sink.Open(t.Context(), "duckdb://"+path, "tiledesk")
	if err != nil {
		t.Skip(err) // without cgo
	}
	t.Cleanup(func() { _ = to.Close() })
	if db, err = sql.Open("duckdb", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return to, db
}

// names are the full names of the leads that are alive.
func names(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT _id, fullname FROM tiledesk.leads WHERE _deleted_at IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, name string
		if err := rows.Scan(&id, &name); err != nil {
			t.Fatal(err)
		}
		if out[id] != "" {
			t.Errorf("%s is there twice", id)
		}
		out[id] = name
	}
	return out
}

// A replay over live data, while live loading goes on and new versions arrive: the table is what the newest versions make it. What was
// damaged is whole again, and a second replay changes nothing.
func TestReplayOverLiveData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "leads")
	to, db := newDuckDB(t)
	want := map[string]string{}
	publish := func(n, version int) {
		var rs []*kgo.Record
		for i := range n {
			id := fmt.Sprintf("lead-%d", i)
			r := w.lead(int32(i%2), id, version)
			if want[id] = fmt.Sprintf("v%d", version); i%7 == version%7 {
				r.Value = nil // a tombstone of what was before
				delete(want, id)
			}
			rs = append(rs, r)
		}
		w.produce(rs...)
	}
	for version := range 5 {
		publish(200, version)
	}
	once := w.config()
	once.Until = Now()
	if err := Run(t.Context(), once, w.kafka, to, Events{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, names(t, db)); diff != "" {
		t.Fatalf("before (-want +got):\n%s", diff)
	}
	r := Replay{Topic: "test.leads", From: "beginning"}
	done, err := w.replay(t.Context(), w.config(), to, r)
	if err != nil || done.Rows != 1000 || done.Inserted != 0 || done.Updated != 0 {
		t.Errorf("over live data: %+v, %v, want 1000 rows that change nothing", done, err)
	}

	if _, err := db.ExecContext(t.Context(), `DELETE FROM tiledesk.leads WHERE _kafka_partition = 1 OR _id LIKE '%4'`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	live := make(chan error, 1)
	go func() { live <- Run(ctx, w.config(), w.kafka, to, Events{}) }()
	for n, killed := 0, false; !killed; n++ { // killed at random and continued
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+100*n)*time.Millisecond)
		_, err := w.replay(ctx, w.config(), to, r)
		cancel()
		if killed = err == nil; !killed && ctx.Err() == nil {
			t.Fatal(err)
		}
		publish(200, 10+n)
	}
	if err := Run(t.Context(), once, w.kafka, to, Events{}); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-live; err != nil {
		t.Errorf("live loading: %v", err)
	}
	if diff := cmp.Diff(want, names(t, db)); diff != "" {
		t.Errorf("after the replay (-want +got):\n%s", diff)
	}
}
