package local

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// TestKafkaFormats starts on a directory that was written when format 1 was made: records of a committed transaction and of one that was
// aborted, a group's offset, schemas. A kfake that reads it differently fails here, not on somebody's data.
func TestKafkaFormats(t *testing.T) {
	const golden = "testdata/kafka-format-1"
	if *update {
		writeGoldenKafka(t, golden)
	}
	for _, c := range []struct{ name, format, want string }{
		{"of format 1", "1\n", ""},
		{"of before there were formats", "", ""},
		{"newer", "2\n", "kafka has format 2, and this version"},
		{"damaged", "one\n", "format is damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(filepath.Join(dir, "kafka"), os.DirFS(golden)); err != nil {
				t.Fatal(err)
			}
			format := filepath.Join(dir, "kafka", "format")
			if err := os.WriteFile(format, []byte(c.format), 0o644); err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				k, err := StartKafka(t.Context(), dir, slog.New(slog.DiscardHandler))
				if err == nil {
					closeKafka(t, k)
				}
				var usage *ops.UsageError
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "start anew") || c.name == "newer" && !errors.As(err, &usage) {
					t.Errorf("start: %v, want %q", err, c.want)
				}
				return
			}
			for range 2 { // what the first start makes of it, the second reads, too
				k := startKafka(t, dir)
				if diff := cmp.Diff([]string{"a", "b", "c"}, values(t, k, "tiledesk.tags")); diff != "" {
					t.Error(diff)
				}
				adm := kadm.NewClient(client(t, k))
				offsets, err := adm.FetchOffsets(t.Context(), "g")
				if at, ok := offsets.Lookup("tiledesk.tags", 0); err != nil || !ok || at.At != 2 {
					t.Errorf("the group stands at %v, %v, want 2", at.At, err)
				}
				schema, err := registryClient(t, k).SchemaByID(t.Context(), 2)
				if err != nil || schema.Schema != `"long"` {
					t.Errorf("schema 2 is %v, %v", schema.Schema, err)
				}
				closeKafka(t, k)
			}
			if text, err := os.ReadFile(format); err != nil || string(text) != "1\n" {
				t.Errorf("format %q, %v", text, err)
			}
		})
	}
}

func writeGoldenKafka(t *testing.T, to string) {
	dir := t.TempDir()
	k := startKafka(t, dir)
	cl := client(t, k, kgo.TransactionalID("lane-0"))
	topic := broker.Config{Partitions: 1}.DataTopic("tiledesk.tags")
	if err := broker.Ensure(t.Context(), cl, slog.Default(), topic); err != nil {
		t.Fatal(err)
	}
	for _, tx := range []struct {
		values []string
		end    kgo.TransactionEndTry
	}{{[]string{"a", "b"}, kgo.TryCommit}, {[]string{"lost"}, kgo.TryAbort}, {[]string{"c"}, kgo.TryCommit}} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, cl, topic.Name, tx.values...)
		if err := cl.EndTransaction(t.Context(), tx.end); err != nil {
			t.Fatal(err)
		}
	}
	var offsets kadm.Offsets
	offsets.AddOffset(topic.Name, 0, 2, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "g", offsets); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`"string"`, `"long"`} {
		if _, err := registryClient(t, k).CreateSchema(t.Context(), "tiledesk.tags-value", sr.Schema{Schema: s}); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	closeKafka(t, k)
	if err := errors.Join(os.RemoveAll(to), os.Remove(filepath.Join(dir, "kafka", "lock")), os.CopyFS(to, os.DirFS(filepath.Join(dir, "kafka")))); err != nil {
		t.Fatal(err)
	}
}
