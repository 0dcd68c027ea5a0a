package local

import (
	"errors"
	"os"
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

// TestSummary holds what -once -json prints against its golden file, which docs/commands.md shows.
func TestSummary(t *testing.T) {
	resources, err := schemas.ByName("messages", "bots")
	if err != nil {
		t.Fatal(err)
	}
	r := &report{started: time.Now(), resources: resources, tables: map[string]*table{}, skipped: map[string]error{"bots": errors.New("403 Forbidden")}}
	r.told.Loaded = func(load.Loaded) {}
	r.loaded(load.Loaded{Table: "messages", Rows: 5567, Stats: sink.Stats{Inserted: 5560, Updated: 7}, Took: 1500 * time.Millisecond})
	r.loading().DeadLetter("messages", dlq.Letter{})
	done := r.summary("duckdb://./tilestream-data/tilestream.duckdb", "tiledesk")
	done.TookSeconds = 3.25
	var got, text strings.Builder
	if err := (ops.Options{Stdout: &got}).Encode(done); err != nil {
		t.Fatal(err)
	}
	const path = "testdata/json/tilestream_-once.json"
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
	if err := done.print(&text, "SELECT 1"); err != nil || !strings.Contains(text.String(), "1 load package, no failed jobs, in 3.2 s.\nSkipped bots: 403 Forbidden\nThe data is in duckdb:") {
		t.Errorf("%v: %s", err, text.String())
	}
}
