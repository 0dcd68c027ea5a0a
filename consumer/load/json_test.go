package load

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
)

var update = flag.Bool("update", false, "write the golden files")

// TestJSON holds what programs read of each command against its golden file; docs/commands.md shows them. Every command has -json.
func TestJSON(t *testing.T) {
	at := time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC)
	letter := viewOf(dlq.Letter{Source: dlq.Source{Cluster: "c", Group: "tiledesk-consumer", Topic: "tiledesk.messages", Partition: 3}, Offset: 412, Schema: 7,
		Sink: "postgres", Column: "created_at", Reason: "date/time field value out of range", Time: at, Attempt: 1, Key: []byte("64f1c0ffee64f1c0ffee64f1"), Value: []byte("\x00\x00"),
		Timestamp: at.Add(-time.Minute), Headers: []kgo.RecordHeader{{Key: "project", Value: []byte("p1")}}, At: dlq.Place{Partition: 0, Offset: 17}})
	shown := letter
	shown.Row = []byte(`{"_id":"64f1c0ffee64f1c0ffee64f1","text":"Hello"}`)
	stats := sink.Stats{Inserted: 2, Updated: 1, Unchanged: 997}
	values := map[string]any{
		"plan":       tablePlan{Table: "messages", SchemaID: 8, Changes: []sink.Change{{What: "add column mood, text", SQL: []string{`ALTER TABLE "tiledesk"."messages" ADD COLUMN "mood" text`}}}},
		"replay":     replayed{"tiledesk.messages", "tiledesk", Outcome{Stats: stats, Rows: 1000, Refused: 0}, 1.25},
		"accept":     Acceptance{Group: "tiledesk-consumer", Topic: "tiledesk.messages", Accepted: true, Partitions: []Accepted{{ID: 0, Ledger: 100, Start: 250, End: 900, Reset: true}}},
		"compact":    compacted{"messages", false, sink.Compacted{Before: sink.Extent{Files: 120, Rows: 5000, Bytes: 9 << 20}, After: sink.Extent{Files: 1, Rows: 4000, Bytes: 2 << 20}, Superseded: 1000, Waiting: 120}},
		"dlq list":   letter,
		"dlq show":   shown,
		"dlq replay": Replayed{Loaded: 16, Refused: 1},
	}
	for _, c := range Commands() {
		v, ok := values[c.Name]
		if !ok || c.JSON == "" {
			t.Errorf("%s has no -json, or no example of it here", c.Name)
			continue
		}
		var got strings.Builder
		if err := (ops.Options{Stdout: &got}).Encode(v); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "json", strings.ReplaceAll(c.Name, " ", "_")+".json")
		if *update {
			if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-update writes it): %s", path, diff)
		}
	}
}
