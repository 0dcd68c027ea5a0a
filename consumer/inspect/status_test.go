package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

var update = flag.Bool("update", false, "write the golden files")

// look is the status ten minutes after the first record.
func (w *world) look() *Status {
	w.Helper()
	rs, err := schemas.ByName("leads", "tags", "bots")
	if err != nil {
		w.Fatal(err)
	}
	s, err := Look(w.Context(), Config{Kafka: w.kafka, Warehouse: w.url, Dataset: w.dataset, Resources: rs}, start.Add(10*time.Minute))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func TestStatus(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, open func(t *testing.T) *world) {
		w := open(t)
		w.fill()
		bad := w.document("tags", 4, 7)
		bad.Value = []byte("no frame")
		never := dlq.Unpublished("test.tags", []byte("b"), []byte(`{"_id":"b"}`), nil, start, errors.New("too large"))
		w.produce(bad)
		w.load()
		w.produce(never)
		s := w.look()
		if s.Topics[1].Unpublished != 1 || !strings.Contains(strings.Join(s.Notes, " "), "1 documents, or values of them, were never published") {
			t.Errorf("a document that was never published: %+v, notes %q", s.Topics[1], s.Notes)
		}
		leads, tags := s.Topics[0], s.Topics[1]
		if !s.OK || leads.Lag != 0 || leads.LagSeconds != 0 || leads.Partitions != partitions || leads.DeadLetters != 0 || tags.DeadLetters != 1 {
			t.Errorf("all is loaded: %+v", s)
		}
		if at := start.Add(5*time.Minute + time.Second); leads.Fresh == nil || !leads.Fresh.Equal(at) || leads.LastLoad == nil || leads.LastLoad.Rows == 0 {
			t.Errorf("fresh %v, want %s; last load %v", leads.Fresh, at, leads.LastLoad)
		}
		if s.Topics[2].LastLoad != nil || s.Topics[2].Fresh != nil {
			t.Errorf("nothing was ever loaded of bots: %+v", s.Topics[2])
		}
		w.produce(w.document("leads", 5, 8), w.document("leads", 5, 7), w.document("leads", 7, 9))
		s = w.look()
		if leads := s.Topics[0]; s.OK || leads.Lag != 3 || leads.LagSeconds != 119 {
			t.Errorf("three records wait and nobody is loading: %+v", s)
		}
		if len(s.Problems) != 1 || !strings.Contains(s.Problems[0].What, "3 records wait") {
			t.Errorf("problems: %v", s.Problems)
		}
	}
	each(t, test)
	t.Run("files", func(t *testing.T) { test(t, filesWorld) })
}

// TestStatusWhileLoading looks at a consumer of this process, whose warehouse is shared.
func TestStatusWhileLoading(t *testing.T) {
	t.Parallel()
	w := filesWorld(t)
	w.url = "duckdb://" + filepath.Join(t.TempDir(), "w.duckdb")
	w.fill()
	to, err := w.config().Open(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	loaded := make(chan struct{}, 1000)
	go func() {
		done <- load.Run(ctx, load.Config{BatchRows: 50000, BatchBytes: 1 << 20, BatchAge: 20 * time.Millisecond, MemoryLimit: 64 << 20, DLQMaxRatio: 1}, w.kafka, to,
			load.Events{Loaded: func(load.Loaded) { loaded <- struct{}{} }})
	}()
	<-loaded
	s := w.look()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(s.Members) != 1 || s.Members[0].Partitions == 0 || s.State != "Stable" || !s.OK {
		t.Errorf("one consumer is loading: %+v", s)
	}
}

func TestStatusWithoutServices(t *testing.T) {
	t.Parallel()
	w := filesWorld(t)
	w.fill()
	w.load()
	good := w.url
	w.url = "postgres://u:hunter2@127.0.0.1:1/d"
	s := w.look()
	if s.OK || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].What, "warehouse") || s.Topics[0].Ledger == 0 || s.Topics[0].Lag != 0 || s.Topics[0].LastLoad != nil {
		t.Errorf("the warehouse is away: %+v", s)
	}
	if text, _ := json.Marshal(s); bytes.Contains(text, []byte("hunter2")) {
		t.Error("the password shows")
	}
	w.url = good
	w.kafka.Brokers = []string{"127.0.0.1:1"}
	s = w.look()
	if s.OK || len(s.Problems) != 1 || !strings.Contains(s.Problems[0].What, "Kafka") || !strings.Contains(s.Problems[0].What, "KAFKA_BROKERS") || s.Topics[0].LastLoad == nil {
		t.Errorf("Kafka is away: %+v", s)
	}
}

// TestGoldens shows what people and programs read.
func TestGoldens(t *testing.T) {
	now := start.Add(26 * time.Hour)
	fresh, part := now.Add(-75*time.Second), func(id int32, wrong map[Kind]int64) *Partition {
		return &Partition{Topic: "tiledesk.messages", Partition: id, Ledger: 5120, Start: 0, End: 5130, Records: 5000, Documents: 4000, Tombstones: 12, Rows: 4012, Wrong: wrong,
			DeadLetters: 1, Unproven: 2, SumOfTopic: "00f1a2b3c4d5e6f7", SumOfRows: "00f1a2b3c4d5e6f7"}
	}
	proven := &Report{Warehouse: "postgres://me:****@host/warehouse tiledesk", Group: "tiledesk-consumer", Partitions: []*Partition{part(0, nil), part(1, nil)}, Passes: 1}
	proven.conclude()
	damaged := &Report{Warehouse: "duckdb://./tilestream-data/tilestream.duckdb tiledesk", Group: "tiledesk-consumer", Passes: 1,
		Partitions: []*Partition{part(0, map[Kind]int64{Missing: 1, Different: 1})}, Findings: []Finding{
			{Kind: Missing, Topic: "tiledesk.messages", Offset: 17, Key: key(1), Expected: "a row", Found: "no row"},
			{Kind: Different, Topic: "tiledesk.messages", Offset: 18, Key: key(2), Column: "text", Expected: `"Hello"`, Found: `"Hullo"`},
		}}
	damaged.conclude()
	well := &Status{Time: now, Warehouse: "postgres://me:****@host/warehouse tiledesk", Group: "tiledesk-consumer", OK: true, Problems: []Problem{}, Notes: []string{}, State: "Stable",
		Members: []Member{{"10.0.0.7", 30}, {"10.0.0.8", 30}}, Topics: []TopicStatus{
			{Topic: "tiledesk.messages", Partitions: 6, Ledger: 123456, HighWatermark: 123460, Lag: 4, LagSeconds: 3, oldest: now.Add(-3 * time.Second), Fresh: &fresh,
				LastLoad: &LastLoad{now.Add(-5 * time.Second), 812, 0.31}},
			{Topic: "tiledesk.tags", Partitions: 6}, {Topic: "tiledesk.groups"}}}
	ill := *well
	ill.OK, ill.State, ill.Members = false, "Empty", []Member{}
	ill.Problems = []Problem{{"Nobody is loading: the group has no members, and 4 records wait.", "start the consumer; if it does not stay up, its log says why"}}
	ill.Notes = []string{"2 records could not be loaded and are set aside: consumer dlq list says why, consumer dlq replay loads them again."}
	loaded := oneLoad{ID: "019abc12-3456-7890-abcd-ef0123456789", Table: "messages", Time: now, Rows: 812, Stats: sink.Stats{Inserted: 800, Updated: 10, Unchanged: 2},
		Bytes: 401_408, TookSeconds: 0.31, Ranges: []loadedRange{{"tiledesk.messages", 0, 120, 530}, {"tiledesk.messages", 3, 7, 412}}}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"verify_proven.txt":  func(b *bytes.Buffer) error { return proven.print(b) },
		"verify_damaged.txt": func(b *bytes.Buffer) error { return damaged.print(b) },
		"status_well.txt":    func(b *bytes.Buffer) error { return well.print(b) },
		"status_ill.txt":     func(b *bytes.Buffer) error { return ill.print(b) },
		"json/verify.json":   func(b *bytes.Buffer) error { return ops.Options{Stdout: b}.Encode(damaged) },
		"json/status.json":   func(b *bytes.Buffer) error { return ops.Options{Stdout: b}.Encode(ill) },
		"json/loads.json":    func(b *bytes.Buffer) error { return ops.Options{Stdout: b}.Encode(loaded) },
		"loads.txt":          func(b *bytes.Buffer) error { return loaded.print(b) },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got), -update writes it:\n%s", name, diff)
		}
	}
}
