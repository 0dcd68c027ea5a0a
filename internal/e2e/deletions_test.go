package e2e

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/local"
	"tilestream/producer/tiledesk/tiledesktest"
)

// TestDeletions takes a tag and a bot out of the source and puts them back: their rows say so, and nothing else changes.
func TestDeletions(t *testing.T) {
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	desk := tiledesktest.NewSample(1, start, tiledesktest.Options{Clock: func() time.Time { return start }})
	web := httptest.NewServer(desk)
	t.Cleanup(web.Close)
	kafka, err := local.StartKafka(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Close() })
	file := filepath.Join(t.TempDir(), "deletions.duckdb")
	p := newPipeline(t, map[string]string{
		"TILEDESK_URL": web.URL, "TILEDESK_PROJECT_ID": desk.ID, "TILEDESK_TOKEN": desk.Owner.Token, "TILEDESK_REQUESTS_PER_MINUTE": "1000000",
		"TILEDESK_RESOURCES": "tags,bots", "TILEDESK_API": "v3",
		"KAFKA_BROKERS": kafka.Brokers[0], "SCHEMA_REGISTRY_URL": kafka.RegistryURL, "KAFKA_TOPIC_PREFIX": unique("deletions"),
		"WAREHOUSE_URL": "duckdb://" + file,
	})
	state := func() map[string]map[string]document {
		t.Helper()
		w := openDuckDB(t, file)
		defer w.db.Close()
		return map[string]map[string]document{"tags": w.rows(t, "tags"), "bots": w.rows(t, "bots")}
	}
	p.sync(t)
	before := state()
	chosen := map[string]document{} // the first document of each
	for _, name := range []string{"tags", "bots"} {
		var doc document
		decode(t, desk.Docs(name)[0], &doc)
		chosen[name] = doc
		if n := len(before[name]); n < 3 {
			t.Fatalf("%d %s: too few to prove anything", n, name)
		}
		desk.Delete(name, doc["_id"].(string))
	}
	if got := p.sync(t); got != (sink.Stats{}) {
		t.Errorf("after one look without them: %+v, want nothing", got)
	}
	if got, want := p.sync(t), (sink.Stats{Updated: 2}); got != want {
		t.Errorf("after a second look: %+v, want %+v", got, want)
	}
	after := state()
	for name, doc := range chosen {
		id := doc["_id"].(string)
		for _, d := range fields(nil).differences(t, name, doc, after[name][id]) {
			t.Errorf("deleted %s %s: %s", name, id, d)
		}
		for other, row := range after[name] {
			if deleted := row["_deleted_at"] != nil; deleted != (other == id) || deleted != (row["_deleted_offset"] != nil) {
				t.Errorf("%s %s: _deleted_at is %v, _deleted_offset is %v", name, other, row["_deleted_at"], row["_deleted_offset"])
			}
		}
		if len(after[name]) != len(before[name]) {
			t.Errorf("%d %s, want %d", len(after[name]), name, len(before[name]))
		}
		if err := desk.Put(name, doc); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.sync(t), (sink.Stats{Updated: 2}); got != want {
		t.Errorf("when they are back: %+v, want %+v", got, want)
	}
	back := state()
	for name, doc := range chosen {
		row := back[name][doc["_id"].(string)]
		for _, d := range fields(nil).differences(t, "", doc, row) {
			t.Errorf("%s that came back: %s", name, d)
		}
		if row["_deleted_at"] != nil || row["_deleted_offset"] != nil {
			t.Errorf("%s that came back: still deleted", name)
		}
	}
	if got := p.sync(t); got != (sink.Stats{}) {
		t.Errorf("at rest: %+v", got)
	}
}
