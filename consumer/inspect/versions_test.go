package inspect

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// TestVersions verifies a table that keeps every version: made of files, which do.
func TestVersions(t *testing.T) {
	t.Parallel()
	w := filesWorld(t)
	files := strings.TrimPrefix(w.url, "file://") + "/tiledesk/leads/*/0*.parquet"
	w.fill()
	w.load()
	w.url = "duckdb://" + filepath.Join(t.TempDir(), "w.duckdb")
	w.load()
	w.spoil(`DELETE FROM @.leads`, `INSERT INTO @.leads BY NAME SELECT * FROM read_parquet('`+files+`', union_by_name = true, hive_partitioning = false)`)
	rs, err := schemas.ByName("leads")
	if err != nil {
		t.Fatal(err)
	}
	w.modes = sink.Modes{"leads": sink.Append}
	verify := func(memory int64) *Report {
		cfg := Settings{Kafka: w.kafka, Warehouse: w.config()}.Config(rs)
		cfg.Memory = memory
		r, err := Verify(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := verify(1 << 20)
	w.wantProven(r)
	var documents, tombstones int64
	for _, p := range r.Partitions {
		documents, tombstones = documents+p.Documents, tombstones+p.Tombstones
	}
	if documents != 50 || tombstones != 3 {
		t.Errorf("%d documents and %d tombstones, want 50 and 3", documents, tombstones)
	}
	w.spoil(`DELETE FROM @.leads WHERE _id = '`+key(4)+`' AND updated_at = '2026-03-01T12:02:00Z'`, `INSERT INTO @.leads SELECT * FROM @.leads WHERE _id = '`+key(28)+`' AND _deleted_at IS NOT NULL`,
		`UPDATE @.leads SET fullname = 'Eve' WHERE _id = '`+key(5)+`' AND updated_at = '2026-03-01T12:01:00Z'`)
	w.wantFound(verify(1<<20), map[Kind]int64{Missing: 1, Twice: 1, Different: 1}, key(4))
}

// TestModes verifies what the loader makes of WRITE_MODE, on every warehouse, and a version that is lost.
func TestModes(t *testing.T) {
	test := func(t *testing.T, open func(t *testing.T) *world) {
		for _, mode := range []sink.Mode{sink.Append, sink.History} {
			t.Run(mode.String(), func(t *testing.T) {
				t.Parallel()
				w := open(t)
				w.modes = sink.Modes{"": mode, "tags": sink.Upsert}
				w.fill()
				w.load()
				r := w.verify(1 << 20)
				w.wantProven(r)
				rows := map[string]int64{}
				for _, p := range r.Partitions {
					rows[p.Topic] += p.Rows
				}
				if want := map[string]int64{"test.leads": 53, "test.tags": 31}; !maps.Equal(rows, want) {
					t.Errorf("rows %v, want %v", rows, want)
				}
				if strings.HasPrefix(w.url, "file:") {
					return
				}
				w.spoil(`DELETE FROM @.leads WHERE _id = '` + key(4) + `' AND updated_at = '2026-03-01T12:02:00Z'`)
				w.wantFound(w.verify(1<<20), map[Kind]int64{Missing: 1}, key(4))
				if mode == sink.History {
					w.spoil(`UPDATE @.leads SET _valid_to = NULL WHERE _id = '`+key(5)+`' AND updated_at = '2026-03-01T12:01:00Z'`,
						`UPDATE @.leads SET _valid_from = '2026-03-01T11:00:00Z' WHERE _id = '`+key(6)+`' AND updated_at = '2026-03-01T12:01:00Z'`,
						`UPDATE @.leads SET _valid_to = '2026-03-01T13:00:00Z' WHERE _id = '`+key(28)+`' AND _deleted_at IS NOT NULL`)
					w.wantFound(w.verify(1<<20), map[Kind]int64{Missing: 1, Different: 3}, key(5))
				}
			})
		}
	}
	each(t, test)
	t.Run("files", func(t *testing.T) { test(t, filesWorld) })
}
