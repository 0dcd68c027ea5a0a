package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// lettersBy counts the letters of a resource by group and record.
func (w *world) lettersBy(resource string) map[string]int {
	out := map[string]int{}
	for _, l := range w.letters(resource) {
		out[fmt.Sprintf("%s %s attempt %d", strings.TrimPrefix(l.Group, "test-consumer"), l.Key, l.Attempt)]++
	}
	return out
}

// What live loading has set aside is not set aside again; what a replay finds bad where live loading has passed is a letter of live loading's
// group, so that dlq list and dlq replay know it; what live loading has not reached is left to it.
func TestReplayMeetsDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.record("tags", 0, "bad-old", 10), w.record("tags", 0, "turned", 10))
	w.produce(w.named("good", "tags", 0, 60)...)
	bad := func(p place) bool { return isBad(p) }
	w.warehouse.refuses = func(p place) bool { return bad(p) }
	w.drain(w.config())
	w.produce(w.record("tags", 0, "bad-new", 10)) // live loading has not reached it
	bad = func(p place) bool { return isBad(p) || p.ID == "turned" }
	for range 2 {
		w.warehouse.mu.Lock()
		clear(w.warehouse.rows)
		w.warehouse.mu.Unlock()
		done, err := w.replay(t.Context(), w.config(), w.warehouse, Replay{From: "beginning"})
		if !errors.Is(err, ops.ErrDeadLetters) || done.Refused != 3 || done.Rows != 60 {
			t.Errorf("%+v, %v, want 60 rows, 3 refused, and ops.ErrDeadLetters", done, err)
		}
	}
	if diff := cmp.Diff(map[string]int{" bad-old attempt 1": 1, " turned attempt 1": 1}, w.lettersBy("tags")); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
	w.drain(w.config())
	if n := w.lettersBy("tags")[" bad-new attempt 1"]; n != 1 {
		t.Errorf("%d letters of what live loading met last, want 1", n)
	}
	if out, err := w.command("dlq list", "-json"); err != nil || strings.Count(out, "\n") != 3 {
		t.Errorf("dlq list: %q, %v, want 3 letters", out, err)
	}
	w.warehouse.refuses = nil
	done, err := ReplayDLQ(t.Context(), w.config(), w.kafka, w.warehouse, Events{})
	if err != nil || done != (Replayed{Loaded: 3}) {
		t.Errorf("dlq replay: %+v, %v, want 3 loaded", done, err)
	}
}

// A side dataset has letters of its own, but for what live loading has set aside already.
func TestSideReplayMeetsDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.record("tags", 0, "bad-1", 10), w.record("tags", 0, "turned", 10))
	w.produce(w.named("good", "tags", 0, 60)...)
	w.warehouse.refuses = isBad
	w.drain(w.config())
	side := newWarehouse()
	side.refuses = func(p place) bool { return isBad(p) || p.ID == "turned" }
	r := Replay{Topic: "test.tags", From: "beginning", Into: "side"}
	for range 2 {
		if done, err := w.replay(t.Context(), w.config(), side, r); !errors.Is(err, ops.ErrDeadLetters) || done.Refused != 2 {
			t.Errorf("%+v, %v, want 2 refused and ops.ErrDeadLetters", done, err)
		}
	}
	group := strings.TrimPrefix(r.group("test-consumer"), "test-consumer")
	if diff := cmp.Diff(map[string]int{" bad-1 attempt 1": 1, group + " turned attempt 1": 1}, w.lettersBy("tags")); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
}

// A live consumer that has its box open goes on to write letters after a replay has written some.
func TestReplayDoesNotFenceLiveLoading(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.record("tags", 0, "bad-1", 10), w.record("tags", 0, "turned", 10))
	w.produce(w.named("good", "tags", 0, 60)...)
	w.warehouse.refuses = isBad
	cfg := w.config()
	cfg.DLQMaxRatio = 1
	failed := 0
	stop := w.start(cfg, Events{DeadLetter: func(string, dlq.Letter) { failed++ }})
	eventually(t, "the first letter", func() bool { return len(w.letters("tags")) == 1 && w.warehouse.count() == 61 })
	side := newWarehouse()
	side.refuses = func(p place) bool { return p.ID == "turned" }
	if _, err := w.replay(t.Context(), cfg, side, Replay{From: "beginning", Into: "side"}); !errors.Is(err, ops.ErrDeadLetters) {
		t.Fatal(err)
	}
	w.produce(w.record("tags", 0, "bad-2", 10))
	eventually(t, "the letter of live loading", func() bool { return len(w.letters("tags")) == 3 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if failed != 2 {
		t.Errorf("live loading told of %d dead letters, want 2, each at the first try", failed)
	}
}

// A column that was added to the schema is filled from what old records hold in _extra.
func TestReplayFillsNewColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	rs, err := schemas.ByName("tags")
	if err != nil {
		t.Fatal(err)
	}
	frame, _, err := w.codec.Encode(t.Context(), rs[0], []byte(`{"_id":"1","tag":"x","mood":"fine","other":1}`))
	if err != nil {
		t.Fatal(err)
	}
	r := w.record("tags", 0, "1", 1)
	r.Value = frame
	w.produce(r)
	newer := strings.Replace(rs[0].Avro(), `"fields": [`, `"fields": [{"name": "mood", "type": ["null", "string"], "default": null},`, 1)
	if _, _, err := w.registry.RegisterSchema(rs[0].Subject(w.kafka.Prefix), sr.Schema{Schema: newer, Type: sr.TypeAvro}); err != nil || newer == rs[0].Avro() {
		t.Fatal(err)
	}
	to, db := newDuckDB(t)
	if _, err := w.replay(t.Context(), w.config(), to, Replay{From: "beginning", Into: "tiledesk"}); err != nil {
		t.Fatal(err)
	}
	var mood, extra string
	if err := db.QueryRow(`SELECT mood, _extra::text FROM tiledesk.tags`).Scan(&mood, &extra); err != nil || mood != "fine" || extra != `{"other":1}` {
		t.Errorf("mood %q, _extra %q, %v, want fine and the rest", mood, extra, err)
	}
}

// The commands, in the words of their help, over a DuckDB of their own.
func TestReplayCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "leads")
	w.produce(w.lead(0, "a", 1), w.lead(0, "b", 2))
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"replay", "-topic", "leads", "-from", "beginning"}, "replayed test.leads into tiledesk: 2 rows (2 inserted, 0 updated, 0 unchanged), 0 dead letters, took "},
		{[]string{"replay", "-topic", "test.leads", "-from", "beginning"}, "2 rows (0 inserted, 0 updated, 2 unchanged)"},
		{[]string{"replay", "-topic", "leads", "-from", "1", "-into", "side"}, "replayed test.leads into side: 1 rows (1 inserted, "},
		{[]string{"accept", "-topic", "leads"}, "nothing to accept: the ledger of group test-consumer fits topic test.leads"},
		{[]string{"accept"}, "-topic is missing"},
		{[]string{"replay", "-from", "1"}, "-topic is missing"},
	} {
		out, err := w.command(c.args[0], c.args[1:]...)
		if says := out + fmt.Sprint(err); !strings.Contains(says, c.says) {
			t.Errorf("%q says %q, want %q in it", c.args, says, c.says)
		}
	}
	w.produce(w.lead(0, "c", 3))
	cfg := w.config()
	cfg.Until = Now()
	to, err := sink.Open(context.Background(), "duckdb://"+w.duckdb(), "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), cfg, w.kafka, to, Events{}); err != nil {
		t.Error(err)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
	w.recreate("leads", 1)
	w.produce(w.lead(0, "d", 4))
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"-dry-run"}, []string{"topic test.leads was created again", "partition  ledger at  log start  end", "begins anew", "<nil>"}},
		{nil, []string{"begins anew", "accepted: the next consumer of group test-consumer goes on from there"}},
		{nil, []string{"nothing to accept"}},
	} {
		out, err := w.command("accept", append([]string{"-topic", "leads"}, c.args...)...)
		says := out + fmt.Sprint(err)
		if i := slices.IndexFunc(c.says, func(s string) bool { return !strings.Contains(says, s) }); i >= 0 {
			t.Errorf("accept %q says %q, want %q in it", c.args, says, c.says[i])
		}
	}
}
