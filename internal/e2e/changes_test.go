package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// kindsOfChange are what may become of a key: members of two documents, of which the second comes later.
var kindsOfChange = []struct{ what, before, after string }{
	{"new key", ``, `"mood":"fine"`},
	{"whole number to fraction", `"score":1`, `"score":1.5`},
	{"number to text", `"grade":1.5`, `"grade":"n/a"`},
	{"text to object", `"note":"x"`, `"note":{"a":1}`},
	{"date to text", `"seenAt":"2026-01-02T03:04:05.000Z"`, `"seenAt":"yesterday"`},
	{"number past 64 bits", `"big":1`, `"big":18446744073709551616`},
	{"object nested deeper", `"o":{"a":1}`, `"o":{"a":{"b":1}}`},
	{"array of texts to array of objects", `"marks":["x"]`, `"marks":[{"tag":"y"}]`},
	{"renamed key", `"oldName":"x"`, `"newName":"y"`},
	{"keys that differ by case", `"lang":"a"`, `"lang":"a","Lang":"b"`},
	{"500 keys", ``, manyKeys(500)},
}

func manyKeys(n int) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf(`"k%d":%d`, i, i))
	}
	return strings.Join(keys, ",")
}

// TestKindsOfChange shows what becomes of each kind of change in DuckDB: the columns that hold the key, and both documents' values in them.
// docs/schema-evolution.md sets it beside what testdata/changes_dlt.py prints of the same changes.
func TestKindsOfChange(t *testing.T) {
	desk := &hostileDesk{docs: map[string][]hostileDoc{}}
	file := filepath.Join(t.TempDir(), "changes.duckdb")
	p := newPipeline(t, hostileVariables(t, desk, "bots", file))
	for i := range 2 {
		now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
		doc := fmt.Sprintf(`{"_id":"%d","createdAt":%q,"updatedAt":%[2]q`, i, now)
		for _, c := range kindsOfChange {
			if members := []string{c.before, c.after}[i]; members != "" {
				doc += "," + members
			}
		}
		desk.put(t, "bots", doc+"}")
		p.sync(t)
	}
	w, fields := openDuckDB(t, file), p.columns(t, "bots")
	var got strings.Builder
	for _, c := range kindsOfChange {
		fmt.Fprintf(&got, "%s\n", c.what)
		var doc document
		decode(t, []byte("{"+strings.Trim(c.before+","+c.after, ",")+"}"), &doc)
		if len(doc) > 10 {
			columns := 0
			for key := range doc {
				columns += len(fields.of("bots", key))
			}
			var beside int
			if err := w.db.QueryRowContext(t.Context(), `SELECT len(json_keys(_extra)) FROM tiledesk.bots WHERE _id = '1'`).Scan(&beside); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&got, "  %d columns, %d keys in _extra\n", columns, beside)
			continue
		}
		for _, key := range []string{"mood", "score", "grade", "note", "seenAt", "big", "o", "marks", "oldName", "newName", "lang", "Lang"} {
			if _, ok := doc[key]; !ok {
				continue
			}
			for _, column := range fields.of("bots", key) {
				var typ, values string
				if err := w.db.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT any_value(typeof(%[1]q)), string_agg(coalesce(CAST(%[1]q AS VARCHAR), 'null'), ', then ' ORDER BY _id) FROM tiledesk.bots`, column)).Scan(&typ, &values); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "  %s %s: %s\n", column, typ, values)
			}
		}
	}
	const golden = "testdata/changes.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got); go test -update writes it anew:\n%s", golden, diff)
	}
}
