package local

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"go.uber.org/goleak"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

func startKafka(t *testing.T, dir string) *Kafka {
	t.Helper()
	k, err := StartKafka(t.Context(), dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func closeKafka(t *testing.T, k *Kafka) {
	t.Helper()
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestKafkaKeepsWhatItHas(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	k := startKafka(t, dir)
	topic := broker.Config{Partitions: 2}.DataTopic("tiledesk.leads")
	cl := client(t, k)
	if err := broker.Ensure(t.Context(), cl, slog.Default(), topic); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(cl)
	before, err := adm.BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	produce(t, cl, topic.Name, "a", "b", "c")
	var offsets kadm.Offsets
	offsets.AddOffset(topic.Name, 0, 2, -1)
	if err := adm.CommitAllOffsets(t.Context(), "g", offsets); err != nil {
		t.Fatal(err)
	}
	cl.Close()
	closeKafka(t, k)

	k = startKafka(t, dir)
	defer closeKafka(t, k)
	cl = client(t, k)
	defer cl.Close()
	adm = kadm.NewClient(cl)
	after, err := adm.BrokerMetadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.Cluster != after.Cluster || !strings.HasPrefix(after.Cluster, "tilestream-") {
		t.Errorf("cluster id %q, then %q", before.Cluster, after.Cluster)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, values(t, k, topic.Name)); diff != "" {
		t.Error(diff)
	}
	got, err := adm.FetchOffsets(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := got.Lookup(topic.Name, 0); o.At != 2 {
		t.Errorf("group offset %d, want 2", o.At)
	}
	rcs, err := adm.DescribeTopicConfigs(t.Context(), topic.Name)
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]string{}
	for _, c := range rcs[0].Configs {
		if _, ok := topic.Configs[c.Key]; ok {
			configs[c.Key] = c.MaybeValue()
		}
	}
	if diff := cmp.Diff(topic.Configs, configs); diff != "" {
		t.Error(diff)
	}
}

func TestKafkaGivesEachDirectoryItsClusterID(t *testing.T) {
	ids := map[string]bool{}
	for range 2 {
		k := startKafka(t, t.TempDir())
		cl := client(t, k)
		m, err := kadm.NewClient(cl).BrokerMetadata(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ids[m.Cluster] = true
		cl.Close()
		closeKafka(t, k)
	}
	if len(ids) != 2 {
		t.Errorf("two directories, cluster ids %v", slices.Collect(maps.Keys(ids)))
	}
}

func TestKafkaDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	k := startKafka(t, dir)
	_, err := StartKafka(t.Context(), dir, slog.Default())
	var usage *ops.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "DATA_DIR="+dir+" is in use by another process") {
		t.Errorf("got %v", err)
	}
	closeKafka(t, k)
	closeKafka(t, startKafka(t, dir))
}

func TestKafkaTakesLargeMessages(t *testing.T) {
	k := startKafka(t, t.TempDir())
	defer closeKafka(t, k)
	cl := client(t, k, kgo.ProducerBatchMaxBytes(16<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	topic := broker.Config{Partitions: 1}.DataTopic("t")
	if err := broker.Ensure(t.Context(), cl, slog.Default(), topic); err != nil {
		t.Fatal(err)
	}
	send := func(n int) error {
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: make([]byte, n)}).FirstErr()
	}
	if err := send(broker.MaxMessageBytes - 200); err != nil {
		t.Errorf("a message below the limit: %v", err)
	}
	if err := send(broker.MaxMessageBytes + 200); !errors.Is(err, kerr.MessageTooLarge) {
		t.Errorf("a message above the limit: %v, want MESSAGE_TOO_LARGE", err)
	}
}

// An open transaction holds back readers of committed records, until the next owner of its id settles it.
func TestKafkaFencesAndSettles(t *testing.T) {
	k := startKafka(t, t.TempDir())
	defer closeKafka(t, k)
	old := client(t, k, kgo.TransactionalID("lane"))
	defer old.Close()
	createTopic(t, k, "t")
	begin(t, old, "t", "1")
	commit(t, old)
	begin(t, old, "t", "lost")
	stable := func() int64 {
		cl := client(t, k)
		defer cl.Close()
		os, err := kadm.NewClient(cl).ListCommittedOffsets(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		o, _ := os.Lookup("t", 0)
		return o.Offset
	}
	if got := stable(); got != 2 {
		t.Errorf("last stable offset %d with an open transaction, want 2", got)
	}
	heir := client(t, k, kgo.TransactionalID("lane"))
	defer heir.Close()
	if _, _, err := heir.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := stable(); got != 4 {
		t.Errorf("last stable offset %d once it is settled, want 4", got)
	}
	if err := old.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Errorf("the fenced producer's commit: %v", err)
	}
	if diff := cmp.Diff([]string{"1"}, values(t, k, "t")); diff != "" {
		t.Error(diff)
	}
}

// The states that a kill can leave behind, made by hand.
func TestKafkaRecovers(t *testing.T) {
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   []string
	}{
		{"nothing", func(*testing.T, string) {}, []string{"a1", "a2", "b1", "b2"}},
		{"a commit marker in one of two partitions", func(t *testing.T, dir string) {
			cut(t, dir, "b-0/0", 1, 1)
		}, []string{"a1", "a2", "b1", "b2"}},
		{"no commit marker", func(t *testing.T, dir string) {
			cut(t, dir, "a-0/0", 1, 1)
			cut(t, dir, "b-0/0", 1, 1)
		}, []string{"a1", "b1"}},
		{"a marker without its index entry", func(t *testing.T, dir string) {
			cut(t, dir, "b-0/0", 0, 1)
		}, []string{"a1", "a2", "b1", "b2"}},
		{"records without their index entry", func(t *testing.T, dir string) {
			cut(t, dir, "a-0/0", 1, 2)
			cut(t, dir, "b-0/0", 1, 1)
		}, []string{"a1", "b1"}},
		{"half an index entry", func(t *testing.T, dir string) {
			cut(t, dir, "a-0/0", 1, 1)
			cut(t, dir, "b-0/0", 0, 1)
			appendFile(t, filepath.Join(dir, "kafka/broker/partitions/b-0/0.idx"), "\x01\x00\x00")
		}, []string{"a1", "b1"}},
		{"half a batch", func(t *testing.T, dir string) {
			appendFile(t, filepath.Join(dir, "kafka/broker/partitions/a-0/0.dat"), strings.Repeat("\x00", 11)+"\x40and so on")
		}, []string{"a1", "a2", "b1", "b2"}},
		{"half an entry in the state logs", func(t *testing.T, dir string) {
			appendFile(t, filepath.Join(dir, "kafka/broker/pids.log"), "\x40\x00\x00\x00torn")
			appendFile(t, filepath.Join(dir, "kafka/broker/groups.log"), "\x40\x00")
		}, []string{"a1", "a2", "b1", "b2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			k := startKafka(t, dir)
			createTopic(t, k, "a", "b")
			cl := client(t, k, kgo.TransactionalID("lane"))
			for _, n := range []string{"1", "2"} {
				begin(t, cl, "a", "a"+n)
				if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "b", Value: []byte("b" + n)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				commit(t, cl)
			}
			cl.Close()
			closeKafka(t, k)
			test.damage(t, dir)

			// Twice, with another transaction of the same producer each time: what was settled stays settled.
			want := test.want
			for _, again := range []string{"c3", "c4"} {
				k = startKafka(t, dir)
				if diff := cmp.Diff(want, values(t, k, "a", "b")); diff != "" {
					t.Error(diff)
				}
				cl = client(t, k, kgo.TransactionalID("lane"))
				begin(t, cl, "a", again)
				if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "b", Value: []byte(again)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				commit(t, cl)
				cl.Close()
				closeKafka(t, k)
				want = slices.Sorted(slices.Values(append(want, again, again)))
			}
		})
	}
}

// cut removes the last batches and the last index entries of a segment.
func cut(t *testing.T, dir, segment string, batches, entries int) {
	t.Helper()
	path := filepath.Join(dir, "kafka/broker/partitions", segment)
	idx, err := os.ReadFile(path + ".idx")
	if err != nil {
		t.Fatal(err)
	}
	n := len(idx) / indexEntry
	f, err := os.Open(path + ".dat")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, _ := f.Stat()
	pos := int64(0)
	for range n - batches {
		b, err := readBatch(f, nil, pos, info.Size())
		if err != nil || b == nil {
			t.Fatal(err)
		}
		pos += int64(len(b))
	}
	if err := errors.Join(os.Truncate(path+".dat", pos), os.Truncate(path+".idx", int64((n-entries)*indexEntry))); err != nil {
		t.Fatal(err)
	}
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	if err := appendTo(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestRegistryKeepsIDs(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	k := startKafka(t, dir)
	reg := registryClient(t, k)
	one, two, three := `"string"`, `"int"`, `"long"`
	var want []sr.SubjectSchema
	for _, s := range []struct{ subject, schema string }{{"b-value", one}, {"a-value", two}, {"b-value", three}, {"c-value", one}} {
		got, err := reg.CreateSchema(t.Context(), s.subject, sr.Schema{Schema: s.schema})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, got)
	}
	if _, err := reg.CreateSchema(t.Context(), "a-value", sr.Schema{Schema: "not a schema"}); err == nil {
		t.Error("a schema that is not JSON was taken")
	}
	reg.SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatNone}, "b-value")
	closeKafka(t, k)
	journal := filepath.Join(dir, "kafka", "registry.jsonl")
	before := size(t, journal)
	appendFile(t, journal, `{"method":"POST","path":"/subj`) // a kill while it was written

	for range 2 {
		k = startKafka(t, dir)
		reg = registryClient(t, k)
		for _, w := range want {
			got, err := reg.SchemaByVersion(t.Context(), w.Subject, w.Version)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(w, got); diff != "" {
				t.Error(diff)
			}
			// The programs register at every start: that finds the same id and leaves no trace.
			if got, err = reg.CreateSchema(t.Context(), w.Subject, w.Schema); err != nil || got.ID != w.ID {
				t.Errorf("registered again: id %d, %v, want %d", got.ID, err, w.ID)
			}
		}
		if c := reg.Compatibility(t.Context(), "b-value"); c[0].Level != sr.CompatNone {
			t.Errorf("compatibility %v, want NONE", c[0].Level)
		}
		closeKafka(t, k)
	}
	if after := size(t, journal); after > 2*before {
		t.Errorf("the journal grew from %d to %d bytes", before, after)
	}
}

func TestRegistryRefusesADamagedJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.jsonl")
	if err := os.WriteFile(path, []byte(`{"method":"POST","path":"/subjects/s/versions","body":"{\"schema\":\"\\\"int\\\"\"}","answer":"{\"id\":7}\n"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openRegistry(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func client(t *testing.T, k *Kafka, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := broker.Config{Brokers: k.Brokers}.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func registryClient(t *testing.T, k *Kafka) *sr.Client {
	t.Helper()
	c, err := broker.Config{Registry: broker.Registry{URL: k.RegistryURL}}.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func createTopic(t *testing.T, k *Kafka, topics ...string) {
	t.Helper()
	cl := client(t, k)
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(t.Context(), 1, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
}

func produce(t *testing.T, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(v), Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func begin(t *testing.T, cl *kgo.Client, topic, value string) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, topic, value)
}

func commit(t *testing.T, cl *kgo.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// values returns what readers of committed records see, sorted.
func values(t *testing.T, k *Kafka, topics ...string) []string {
	t.Helper()
	var out []string
	for _, r := range readAll(t, k, topics...) {
		out = append(out, string(r.Value))
	}
	slices.Sort(out)
	return out
}
