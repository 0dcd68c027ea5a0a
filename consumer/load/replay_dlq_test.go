package load

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/e2e"
	"tilestream/internal/ops"
)

// command runs one of Commands and returns what it prints.
func (w *world) command(name string, args ...string) (string, error) {
	w.Helper()
	env := envconfig.MapLookuper(map[string]string{"KAFKA_BROKERS": strings.Join(w.kafka.Brokers, ","), "KAFKA_TOPIC_PREFIX": w.kafka.Prefix,
		"SCHEMA_REGISTRY_URL": w.kafka.Registry.URL, "WAREHOUSE_URL": "duckdb://" + w.duckdb()})
	for _, c := range Commands() {
		if c.Name != name {
			continue
		}
		var out strings.Builder
		o, err := c.Parse(args)
		if err != nil {
			w.Fatal(err)
		}
		o.Env, o.Log, o.Stdout = env, slog.New(slog.DiscardHandler), &out
		if err := ops.Load(w.Context(), env, c.Config); err != nil {
			w.Fatal(err)
		}
		err = c.Run(w.Context(), o)
		return out.String(), err
	}
	w.Fatalf("there is no command %s", name)
	return "", nil
}

// A letter that the warehouse takes by now lands once, as the record it was; one that it refuses again is a letter once more. Replies are
// lost and the replay is run again and again: nothing is there twice.
func TestReplayDLQ(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	for i := range 6 {
		w.produce(w.record("tags", int32(i%2), fmt.Sprintf("bad-%d", i), 10), w.record("tags", int32(i%2), fmt.Sprintf("good-%d", i), 10))
	}
	w.warehouse.refuses = isBad
	cfg := w.config()
	cfg.DLQMaxRatio = 1
	w.drain(cfg)
	w.checkDead(isBad, "tags")

	still := func(p place) bool { return p.ID == "bad-3" }
	w.warehouse.refuses = still
	n := 0
	w.warehouse.fault = func(sink.Batch) fault {
		n++
		return []fault{none, after, before}[n%3]
	}
	for i, want := range []int{1, 1, 1} {
		done, err := ReplayDLQ(t.Context(), cfg, w.kafka, w.warehouse, Events{})
		if err != nil {
			t.Fatal(err)
		}
		if done.Refused > want {
			t.Errorf("replay %d: %d refused, want %d", i, done.Refused, want)
		}
	}
	truth, _ := w.truth("tags")
	delete(truth, place{"tags", 1, 2, "bad-3"})
	if diff := cmp.Diff(truth, w.warehouse.places()); diff != "" {
		t.Errorf("rows (-topic +warehouse):\n%s", diff)
	}
	attempts := map[int]int{}
	for _, l := range w.letters("tags") {
		if l.Offset == 2 && l.Partition == 1 {
			attempts[l.Attempt]++
		}
	}
	if diff := cmp.Diff(map[int]int{1: 1, 2: 1, 3: 1, 4: 1}, attempts); diff != "" {
		t.Errorf("letters of the record that is still refused (-want +got):\n%s", diff)
	}
	w.warehouse.fault = nil
	w.mustOnce(cfg) // replay has not touched the ledger of the topic
	if out, err := w.command("dlq list", "-json"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("dlq list shows %q, %v, want the one letter that is not replayed", out, err)
	}
}

func TestDLQCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	if out, err := w.command("dlq list"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("without letters: %q, %v", out, err)
	}
	undecodable := w.record("tags", 1, "bad\x1b[31m", 10)
	undecodable.Value = []byte{1, 2, 0xff}
	unknown := w.record("tags", 1, "bad-2", 10)
	binary.BigEndian.PutUint32(unknown.Value[1:], 4711)
	w.produce(undecodable, unknown, w.record("tags", 1, "bad-3", 10))
	w.warehouse.refuses = isBad
	w.drain(w.config())

	out, err := w.command("dlq list", "-topic", "tags")
	if err != nil || strings.Count(out, "\n") != 4 || !strings.Contains(out, "not a registry frame") || strings.Contains(out, "\x1b") {
		t.Errorf("dlq list: %q, %v", out, err)
	}
	if out, err := w.command("dlq list", "-json", "-limit", "1"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("dlq list -limit 1: %q, %v", out, err)
	}
	letters := w.letters("tags")
	for i, want := range []string{"01 02 ff", "4711", `"_id":"bad-3"`} {
		at := letters[i].At
		out, err := w.command("dlq show", "tags", fmt.Sprint(at.Partition), fmt.Sprint(at.Offset))
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("dlq show: %q, %v, want %q in it", out, err, want)
		}
		out, err = w.command("dlq show", "-json", "test.tags.dlq", fmt.Sprint(at.Partition), fmt.Sprint(at.Offset))
		var v struct{ Value []byte }
		if err != nil || json.Unmarshal([]byte(out), &v) != nil || string(v.Value) != string(letters[i].Value) {
			t.Errorf("dlq show -json: %q, %v", out, err)
		}
	}
	for _, args := range [][]string{{"tags"}, {"tags", "x", "1"}, {"tags", "0", "-1"}, {"tags", "0", "77"}} {
		if _, err := w.command("dlq show", args...); err == nil {
			t.Errorf("dlq show %q is no error", args)
		}
	}
}

// What PostgreSQL refuses for real: text with a NUL.
func TestPostgresRefusesNUL(t *testing.T) {
	address := e2e.Service(t, "TEST_POSTGRES_URL")
	w := newWorld(t, 1, "tags")
	to, err := sink.Open(t.Context(), address, fmt.Sprintf("dead_%d_%d", os.Getpid(), time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = to.Close() })
	var rs []*kgo.Record
	for i := range 100 {
		id := fmt.Sprintf("good-%d", i)
		if i == 37 {
			id = "bad\x00"
		}
		rs = append(rs, w.record("tags", 0, id, 10))
	}
	w.produce(rs...)
	cfg := w.config()
	cfg.Until, cfg.BatchRows = Now(), 100
	var loaded int64
	if err := Run(t.Context(), cfg, w.kafka, to, Events{Loaded: func(l Loaded) { loaded += l.Stats.Inserted }}); !errors.Is(err, ops.ErrDeadLetters) {
		t.Fatalf("error is %v, want ops.ErrDeadLetters", err)
	}
	letters := w.letters("tags")
	if loaded != 99 || len(letters) != 1 || letters[0].Offset != 37 || letters[0].Column != "_id" {
		t.Errorf("%d rows, letters %+v: want 99 rows and the letter of offset 37, column _id", loaded, letters)
	}
	next, err := to.Next(t.Context(), []sink.Partition{{Cluster: letters[0].Cluster, Group: "test-consumer", Topic: "test.tags"}})
	if err != nil {
		t.Fatal(err)
	}
	for p, at := range next {
		if at != 100 {
			t.Errorf("the ledger of %s[%d] is at %d, want 100: past the letter", p.Topic, p.ID, at)
		}
	}
}
