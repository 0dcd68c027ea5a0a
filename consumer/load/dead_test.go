package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
)

// letters reads what is in the DLQ of a resource.
func (w *world) letters(resource string) []dlq.Letter {
	w.Helper()
	letters, _, err := dlq.Read(w.Context(), w.kafka, w.topic(resource), nil)
	if err != nil {
		w.Fatal(err)
	}
	return letters
}

// drain loads to the end, and wants exactly that some records were set aside.
func (w *world) drain(cfg Config) {
	w.Helper()
	if err := w.once(cfg); !errors.Is(err, ops.ErrDeadLetters) {
		w.Fatalf("error is %v, want ops.ErrDeadLetters", err)
	}
}

// checkDead compares the warehouse with the topics: every record once in the one or, if it is bad, in the DLQ, and the ledger at the
// ends.
func (w *world) checkDead(bad func(place) bool, resources ...string) {
	w.Helper()
	want, ends := w.truth(resources...)
	dead := map[place]int{}
	for p, n := range want {
		if bad(p) {
			dead[p] = n
		}
	}
	maps.DeleteFunc(want, func(p place, _ int) bool { return bad(p) })
	if diff := cmp.Diff(want, w.warehouse.places()); diff != "" {
		w.Errorf("rows (-topic +warehouse):\n%s", diff)
	}
	if diff := cmp.Diff(ends, w.warehouse.ends()); diff != "" {
		w.Errorf("ledger (-topic +warehouse):\n%s", diff)
	}
	got := map[place]int{}
	for _, r := range resources {
		for _, l := range w.letters(r) {
			got[place{r, l.Partition, l.Offset, string(l.Key)}]++
		}
	}
	if diff := cmp.Diff(dead, got); diff != "" {
		w.Errorf("dead letters (-topic +DLQ):\n%s", diff)
	}
}

func isBad(p place) bool { return strings.HasPrefix(p.ID, "bad") }

func TestRecordsThatCannotBeRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func([]byte) []byte
		says   string
		schema bool
	}{
		"not a frame":    {func([]byte) []byte { return []byte("hello") }, "not a registry frame", false},
		"empty":          {func([]byte) []byte { return []byte{} }, "not a registry frame", false},
		"unknown schema": {func(v []byte) []byte { binary.BigEndian.PutUint32(v[1:], 4711); return v }, "does not know this schema id", true},
		"cut":            {func(v []byte) []byte { return v[:len(v)-3] }, "decode", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, "tags")
			w.produce(w.records("tags", 0, 3, 10)...)
			w.mustOnce(w.config())
			bad := w.record("tags", 0, "bad", 10)
			bad.Headers = append(bad.Headers, kgo.RecordHeader{Key: "dlq.topic", Value: []byte("of somebody else")})
			bad.Value = c.spoil(bad.Value)
			w.produce(append([]*kgo.Record{bad}, w.records("tags", 0, 2, 10)...)...)
			w.drain(w.config())
			w.checkDead(isBad, "tags")

			want := []dlq.Letter{{Source: dlq.Source{Group: "test-consumer", Topic: "test.tags"}, Offset: 3, Schema: dlq.NoSchema, Sink: "memory",
				Attempt: 1, Key: bad.Key, Value: bad.Value, Timestamp: bad.Timestamp, Headers: bad.Headers}}
			if c.schema {
				want[0].Schema = int(binary.BigEndian.Uint32(bad.Value[1:]))
			}
			got := w.letters("tags")
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(dlq.Letter{}, "Cluster", "Reason", "Time"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("letters (-want +got):\n%s", diff)
			}
			if !strings.Contains(got[0].Reason, c.says) {
				t.Errorf("reason is %q, want one that says %q", got[0].Reason, c.says)
			}
			w.mustOnce(w.config()) // nothing new: no letters in this run
		})
	}
}

// One bad row among many costs about 2*log2(n) writes.
func TestRefusedRowIsFoundByHalves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	rs := w.records("tags", 0, 1000, 10)
	rs[617].Key = []byte("bad") // shown by the row's _id, too
	rs[617] = w.record("tags", 0, "bad", 10)
	w.produce(rs...)
	w.warehouse.refuses = isBad
	cfg := w.config()
	cfg.BatchRows, cfg.BatchAge = 1000, time.Minute
	w.drain(cfg)
	w.checkDead(isBad, "tags")
	if n := w.warehouse.refused + len(w.warehouse.written()); n > 24 {
		t.Errorf("%d writes for one bad row of 1000, want about 2*log2(1000)", n)
	}
	if got := w.letters("tags")[0]; got.Column != "tag" || !strings.Contains(got.Reason, "too long") {
		t.Errorf("column %q and reason %q are not the warehouse's", got.Column, got.Reason)
	}
}

// A consumer that dies between the letter and the ledger meets the record again: it is in the DLQ already.
func TestCrashBetweenLetterAndLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	w.produce(w.records("tags", 0, 5, 10)...)
	w.produce(w.record("tags", 0, "bad", 10), w.record("tags", 0, "good", 10))
	w.warehouse.refuses = isBad
	ctx, crash := context.WithCancel(t.Context())
	cfg := w.config()
	err := Run(ctx, cfg, w.kafka, w.warehouse, Events{DeadLetter: func(string, dlq.Letter) { crash() }})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.warehouse.ends()["test.tags/0"]; got > 5 {
		t.Fatalf("the ledger is at %d: the test tests nothing", got)
	}
	if n := len(w.letters("tags")); n != 1 {
		t.Fatalf("%d letters before the crash, want 1", n)
	}
	w.drain(w.config())
	w.checkDead(isBad, "tags")
}

// A box that is opened fences the one that was open: of two owners one writes, and sees what the other has written.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	s := dlq.Source{Cluster: "c", Group: "g", Topic: "test.tags"}
	l, _, _ := offline(Config{}, w.warehouse)
	open := func() *dlq.Box {
		b, err := dlq.Open(t.Context(), w.kafka, l.log, s.Group, s)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	letter := func(offset int64) []dlq.Letter {
		return []dlq.Letter{{Source: s, Offset: offset, Attempt: 1, Timestamp: time.UnixMilli(1)}}
	}
	zombie := open()
	if err := zombie.Write(t.Context(), letter(1)); err != nil {
		t.Fatal(err)
	}
	owner := open()
	if err := zombie.Write(t.Context(), letter(2)); err == nil {
		t.Error("the zombie wrote a letter")
	}
	if !owner.Has(1, 1) || owner.Has(2, 1) {
		t.Error("the owner does not see what the zombie had written, and only that")
	}
	for range 2 {
		if err := owner.Write(t.Context(), append(letter(1), letter(2)...)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.letters("tags")); n != 2 {
		t.Errorf("%d letters, want 2", n)
	}
}

func TestTooManyDeadLetters(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ratio   float64
		refuse  bool // by the warehouse; else undecodable
		letters int
		stops   bool
	}{
		"all undecodable":     {0.1, false, 0, true},
		"all refused":         {0.1, true, 10, true},
		"none allowed":        {0, true, 0, true},
		"as many as there be": {1, true, 50, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, "tags")
			for i := range 50 {
				r := w.record("tags", 0, fmt.Sprintf("bad-%d", i), 10)
				if !c.refuse {
					r.Value = []byte("hello")
				}
				w.produce(r)
			}
			w.warehouse.refuses = isBad
			cfg := w.config()
			cfg.DLQMaxRatio = c.ratio
			for range 2 { // starting again gets no further
				err := w.once(cfg)
				var many *TooManyError
				if c.stops && (!errors.As(err, &many) || !strings.Contains(err.Error(), "DLQ_MAX_RATIO")) {
					t.Errorf("error is %v, want a *TooManyError that names DLQ_MAX_RATIO", err)
				}
				if n := len(w.letters("tags")); n != c.letters {
					t.Errorf("%d letters, want %d", n, c.letters)
				}
			}
			if got := w.warehouse.ends()["test.tags/0"]; got != int64(c.letters) {
				t.Errorf("the ledger is at %d, want %d", got, c.letters)
			}
		})
	}
}

// TestDeadLettersExactlyOnce: whatever is restarted, refused and lost on the way, good records are in the warehouse once and bad
// ones in the DLQ once.
func TestDeadLettersExactlyOnce(t *testing.T) {
	seeds := 5
	if testing.Short() {
		seeds = 2
	}
	for i := range seeds {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) { t.Parallel(); deadOnce(t, uint64(i+1)) })
	}
}

func deadOnce(t *testing.T, seed uint64) {
	rnd := random(t, seed)
	resources := []string{"tags", "groups"}
	partitions := 1 + rnd.Int32N(3)
	w := newWorld(t, partitions, resources...)
	w.warehouse.refuses = isBad
	chance := rand.New(rand.NewPCG(seed, 99)) // under the warehouse's lock
	w.warehouse.fault = func(sink.Batch) fault {
		switch n := chance.IntN(100); {
		case n < 6:
			return before
		case n < 14:
			return after
		}
		return none
	}
	keys := []kmsg.Key{kmsg.Produce, kmsg.EndTxn, kmsg.InitProducerID, kmsg.AddPartitionsToTxn}
	running := map[int]func() error{}
	for n := range 12 {
		var rs []*kgo.Record
		for i := range 60 {
			id := fmt.Sprintf("good-%d-%d", n, i)
			if rnd.IntN(15) == 0 {
				id = fmt.Sprintf("bad-%d-%d", n, i)
			}
			r := w.record(resources[rnd.IntN(2)], rnd.Int32N(partitions), id, rnd.IntN(500))
			if isBad(place{ID: id}) && rnd.IntN(3) == 0 {
				r.Value = r.Value[:rnd.IntN(len(r.Value))]
			}
			rs = append(rs, r)
		}
		w.produce(rs...)
		lost := w.cluster.Fault(kfake.Fault{Keys: keys[rnd.IntN(len(keys)):][:1], Err: kerr.RequestTimedOut, Count: 1 + rnd.IntN(2)})
		if len(running) == 2 || len(running) > 0 && rnd.IntN(2) == 0 {
			for i, stop := range running {
				delete(running, i)
				if err := stop(); err != nil {
					t.Errorf("consumer %d: %v", i, err)
				}
				break
			}
		} else {
			cfg := w.config()
			cfg.DLQMaxRatio, cfg.BatchRows = 1, 1+rnd.IntN(120)
			running[n] = w.start(cfg, Events{})
		}
		time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
		lost.Remove()
	}
	for i, stop := range running {
		if err := stop(); err != nil {
			t.Errorf("consumer %d: %v", i, err)
		}
	}
	cfg := w.config()
	cfg.DLQMaxRatio = 1
	if err := w.once(cfg); err != nil && !errors.Is(err, ops.ErrDeadLetters) {
		t.Fatal(err)
	}
	w.checkDead(isBad, resources...)
	t.Logf("%d rows, %d and %d letters, %d times fenced", w.warehouse.count(), len(w.letters("tags")), len(w.letters("groups")), w.warehouse.fenced)
}
