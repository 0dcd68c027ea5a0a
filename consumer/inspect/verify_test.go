package inspect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProven(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, open func(t *testing.T) *world) {
		w := open(t)
		w.fill()
		w.load()
		r := w.verify(1 << 20)
		w.wantProven(r)
		if r.Passes != 1 {
			t.Errorf("%d passes", r.Passes)
		}
		var documents, tombstones int64
		for _, p := range r.Partitions {
			documents, tombstones = documents+p.Documents, tombstones+p.Tombstones
		}
		if documents != 28+29 || tombstones != 3+2 {
			t.Errorf("%d documents and %d tombstones, want 57 and 5", documents, tombstones)
		}
		w.produce(w.document("leads", 3, 9))
		if r := w.verify(1 << 20); !r.OK || !strings.Contains(r.Conclusion, "1 offsets behind") {
			t.Errorf("lag is not damage: %s", r.Conclusion)
		}
	}
	each(t, test)
	t.Run("files", func(t *testing.T) { test(t, filesWorld) })
}

func TestHardDeletesProven(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open func(t *testing.T) *world) {
		w := open(t)
		w.deletes = "hard"
		w.fill()
		w.load()
		w.wantProven(w.verify(1 << 20))
		w.deletes = "soft"
		if got := w.verify(1 << 20).said(); got[Missing] == 0 {
			t.Errorf("rows that are gone and should show their deletion: %v", got)
		}
	})
}

// TestDamage spoils a warehouse in each way, and wants that very thing named.
func TestDamage(t *testing.T) {
	t.Parallel()
	id := func(n int) string { return "'" + key(n) + "'" }
	tests := map[string]struct {
		spoil []string
		want  map[Kind]int64
		says  string
	}{
		"a row deleted":      {[]string{`DELETE FROM @.leads WHERE _id = ` + id(4)}, map[Kind]int64{Missing: 1}, key(4)},
		"a deletion deleted": {[]string{`DELETE FROM @.leads WHERE _id = ` + id(99)}, map[Kind]int64{Missing: 1}, "shows the deletion"},
		"a text changed": {[]string{`UPDATE @.leads SET fullname = 'Eve' WHERE _id = ` + id(4)}, map[Kind]int64{Different: 1},
			`fullname: expected "Ada 3 of 4", found "Eve"`},
		"a number gone": {[]string{`UPDATE @.leads SET status = NULL WHERE _id = ` + id(4)}, map[Kind]int64{Different: 1}, `status: expected 4, found null`},
		"a JSON changed": {[]string{`UPDATE @.leads SET attributes = '{"a":[1.5,"ü",null,true],"b":5,"version":3}' WHERE _id = ` + id(4)}, map[Kind]int64{Different: 1},
			`attributes: expected`},
		"a time changed": {[]string{`UPDATE @.leads SET updated_at = '2027-01-01T00:00:00Z' WHERE _id = ` + id(4)}, map[Kind]int64{Different: 1},
			`updated_at: expected 2026-03-01T12:03:00Z, found 2027-01-01T00:00:00Z`},
		"an older version": {[]string{`UPDATE @.leads SET updated_at = '2026-03-01T12:01:00Z', _kafka_offset = 1, fullname = 'Ada 1 of 4' WHERE _id = ` + id(4)},
			map[Kind]int64{Stale: 1}, "the version of offset 1, 2026-03-01T12:01:00Z"},
		"a row that never was": {[]string{`UPDATE @.leads SET _id = 'never' WHERE _id = ` + id(4)}, map[Kind]int64{Missing: 1, Unexpected: 1}, "never"},
		"a deleted row shown alive": {[]string{`UPDATE @.leads SET _deleted_at = NULL, _deleted_offset = NULL WHERE _id = ` + id(28)}, map[Kind]int64{Stale: 1},
			"_deleted_at"},
		"a living row shown deleted": {[]string{`UPDATE @.leads SET _deleted_at = '2027-01-01T00:00:00Z', _deleted_offset = 15 WHERE _id = ` + id(4)},
			map[Kind]int64{Different: 1}, "_deleted_at"},
		"a ledger before the rows": {[]string{`UPDATE @._tilestream_ledger SET next_offset = 3 WHERE topic = 'test.leads' AND "partition" = 1`},
			map[Kind]int64{Ahead: 10, Ledger: 1}, "was moved back"},
		"a ledger behind the end": {[]string{`UPDATE @._tilestream_ledger SET next_offset = 3000 WHERE topic = 'test.leads' AND "partition" = 1`},
			map[Kind]int64{Ledger: 1}, "the ledger wants offset 3000"},
		"a load that overlaps": {[]string{`INSERT INTO @._tilestream_loads SELECT 'other', table_name, "rows", inserted, updated, unchanged, bytes, ranges, started_at, finished_at
			FROM @._tilestream_loads WHERE CAST(ranges AS text) LIKE '%test.leads%' AND CAST(ranges AS text) NOT LIKE '%"from"_0,%' AND CAST(ranges AS text) NOT LIKE '%"from"__0,%'`}, nil, "do not overlap"},
	}
	each(t, func(t *testing.T, open func(t *testing.T) *world) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := open(t)
				w.fill()
				w.load()
				w.spoil(test.spoil...)
				r := w.verify(1 << 20)
				w.wantFound(r, test.want, test.says)
			})
		}
		t.Run("a gap", func(t *testing.T) {
			t.Parallel()
			w := open(t)
			w.fill()
			w.load()
			w.produce(w.document("leads", 31, 1), w.document("leads", 34, 1))
			w.spoil(`UPDATE @._tilestream_ledger SET next_offset = next_offset + 2 WHERE topic = 'test.leads' AND "partition" = 1`)
			w.wantFound(w.verify(1<<20), map[Kind]int64{Missing: 2}, key(31))
		})
	})
}

func (w *world) wantFound(r *Report, want map[Kind]int64, says string) {
	w.Helper()
	if r.OK {
		w.Error("proven, although it is spoiled")
	}
	if diff := cmp.Diff(want, r.said()); want != nil && diff != "" {
		w.Errorf("wrong (-want +got):\n%s", diff)
	}
	var text strings.Builder
	if err := r.print(&text); err != nil {
		w.Fatal(err)
	}
	if !strings.Contains(text.String(), says) {
		w.Errorf("it does not say %q:\n%s", says, text.String())
	}
}

// TestRowTwice needs a table without a primary key, which is DuckDB's.
func TestRowTwice(t *testing.T) {
	t.Parallel()
	w := filesWorld(t) // for the check that DuckDB is there
	w.url, w.dataset = "duckdb://"+filepath.Join(t.TempDir(), "w.duckdb"), "tiledesk"
	w.fill()
	w.load()
	w.spoil(`INSERT INTO @.leads SELECT * FROM @.leads WHERE _id = '` + key(4) + `'`)
	w.wantFound(w.verify(1<<20), map[Kind]int64{Twice: 1}, key(4))
}

// TestPasses has less memory than the keys take.
func TestPasses(t *testing.T) {
	t.Parallel()
	w := filesWorld(t)
	w.url, w.dataset = "duckdb://"+filepath.Join(t.TempDir(), "w.duckdb"), "tiledesk"
	w.fill()
	for n := range 3000 {
		w.client.Produce(t.Context(), w.document("leads", n+100, 1), nil)
	}
	if err := w.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.load()
	many, one := w.verify(1), w.verify(1<<30)
	w.wantProven(many)
	if many.Passes < 3 || one.Passes != 1 {
		t.Errorf("%d passes with little memory, %d with much", many.Passes, one.Passes)
	}
	if diff := cmp.Diff(one.Partitions, many.Partitions, cmp.AllowUnexported(Partition{})); diff != "" {
		t.Errorf("passes change the result (-one +many):\n%s", diff)
	}
	w.spoil(`DELETE FROM @.leads WHERE _id = '`+key(700)+`'`, `UPDATE @.leads SET fullname = 'Eve' WHERE _id = '`+key(900)+`'`)
	w.wantFound(w.verify(1), map[Kind]int64{Missing: 1, Different: 1}, key(700))
}

func TestFilesDamage(t *testing.T) {
	t.Parallel()
	data := func(w *world) []string {
		files, err := filepath.Glob(strings.TrimPrefix(w.url, "file://") + "/tiledesk/leads/*/0*.parquet")
		if err != nil || len(files) < 3 {
			w.Fatal(files, err)
		}
		return files
	}
	rewrite := func(w *world, query string) {
		for _, f := range data(w) {
			w.spoil(`COPY (` + strings.ReplaceAll(query, "FILE", "read_parquet('"+f+"', hive_partitioning = false)") + `) TO '` + f + `.new' (FORMAT parquet)`)
			if err := os.Rename(f+".new", f); err != nil {
				w.Fatal(err)
			}
		}
	}
	t.Run("a file removed", func(t *testing.T) {
		w := filesWorld(t)
		w.fill()
		w.load()
		if err := os.Remove(data(w)[0]); err != nil {
			t.Fatal(err)
		}
		if got := w.verify(1 << 20).said(); got[Missing] == 0 || len(got) > 2 {
			t.Errorf("got %v", got)
		}
	})
	for name, test := range map[string]struct {
		query string
		want  map[Kind]int64
		says  string
	}{
		"a text changed":  {`SELECT * REPLACE (CASE WHEN _id = '` + key(4) + `' AND _deleted_at IS NULL THEN 'Eve' ELSE fullname END AS fullname) FROM FILE`, map[Kind]int64{Different: 1}, "Eve"},
		"a version gone":  {`SELECT * FROM FILE WHERE NOT (_id = '` + key(4) + `' AND updated_at = '2026-03-01T12:03:00Z')`, map[Kind]int64{Stale: 1}, key(4)},
		"a deletion gone": {`SELECT * FROM FILE WHERE NOT (_id = '` + key(28) + `' AND _deleted_at IS NOT NULL)`, map[Kind]int64{Stale: 1}, "_deleted_at"},
	} {
		t.Run(name, func(t *testing.T) {
			w := filesWorld(t)
			w.fill()
			w.load()
			rewrite(w, test.query)
			w.wantFound(w.verify(1<<20), test.want, test.says)
		})
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := filesWorld(t)
	w.url = "duckdb://" + filepath.Join(t.TempDir(), "w.duckdb")
	w.fill()
	bad := w.document("leads", 4, 9)
	bad.Value = []byte("no frame")
	w.produce(bad)
	w.load()
	r := w.verify(1 << 20)
	w.wantProven(r)
	if !strings.Contains(r.Conclusion, "1 records are dead letters") {
		t.Error(r.Conclusion)
	}
}
