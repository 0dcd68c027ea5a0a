package inspect

import (
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
	verify := func(memory int64) *Report {
		r, err := Verify(t.Context(), Config{Kafka: w.kafka, Warehouse: w.url, Dataset: w.dataset, Memory: memory, Resources: rs, Modes: map[string]sink.Mode{"leads": sink.Append}})
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
