package load

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// TestPlan: what is planned is what Prepare does, from the newest schema of the topic, or from one in a file that has a column more.
func TestPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	plan := func(args ...string) string {
		t.Helper()
		out, err := w.command("plan", append([]string{"-topic", "tags"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := plan(); !strings.Contains(out, "tags (as this version has it") || !strings.Contains(out, "create table tags") || !strings.Contains(out, "CREATE TABLE") {
		t.Errorf("before the first record: %s", out)
	}
	w.produce(w.record("tags", 0, "a", 10))
	out := plan("-json")
	var p tablePlan
	if err := json.Unmarshal([]byte(out), &p); err != nil || p.SchemaID == 0 || p.Table != "tags" || len(p.Changes) == 0 || !strings.HasPrefix(p.Changes[0].SQL[0], "CREATE TABLE") {
		t.Fatalf("%s: %v", out, err)
	}
	rs, err := schemas.ByName("tags")
	if err != nil {
		t.Fatal(err)
	}
	id, decoder, err := w.codec.Newest(t.Context(), rs[0])
	if err != nil {
		t.Fatal(err)
	}
	to, err := sink.Open(t.Context(), "duckdb://"+w.duckdb(), "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Prepare(t.Context(), newLayout("tags", id, decoder).table); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if out := plan(); !strings.HasSuffix(out, "): nothing to do\n") {
		t.Errorf("after Prepare: %s", out)
	}
	if out := plan("-json"); !strings.HasSuffix(out, `"changes":[]}`+"\n") {
		t.Errorf("after Prepare: %s", out)
	}
	file := filepath.Join(t.TempDir(), "tags.avsc")
	avsc := rs[0].Avro()
	avsc = avsc[:strings.LastIndex(avsc, "]")] + `,{"name":"moodOfAll","type":["null","string"],"default":null}]}`
	if err := os.WriteFile(file, []byte(avsc), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it has done nothing
		if out := plan("-schema", file); !strings.Contains(out, "tags ("+file+"): \n  add column mood_of_all, VARCHAR\n      ALTER TABLE \"tiledesk\".\"tags\" ADD COLUMN \"mood_of_all\" VARCHAR;\n") {
			t.Errorf("with a column more: %s", out)
		}
	}
	for args, want := range map[string]string{"-schema " + file: "-topic too", "-topic nothing": "nothing", "-topic tags -schema " + file + "x": "no such file"} {
		if _, err := w.command("plan", strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("plan %s: %v, want %q", args, err, want)
		}
	}
}
