package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFirstMinute does what somebody new does: runs the program with nothing configured, pastes the query that it shows,
// and runs it again.
func TestFirstMinute(t *testing.T) {
	bin := program(t)
	for _, tc := range []struct{ name, warehouse string }{{"DuckDB", ""}, {"files", "file://"}} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			run := func() string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), bin, "-once")
				cmd.Env = append(os.Environ(), "DATA_DIR="+filepath.Join(dir, "data"))
				if tc.warehouse != "" {
					cmd.Env = append(cmd.Env, "WAREHOUSE_URL="+tc.warehouse+filepath.Join(dir, "warehouse"))
				}
				var out, log bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &log
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v\n%s%s", err, &log, &out)
				}
				return out.String()
			}
			first := run()
			if !strings.Contains(first, "10 load packages, no failed jobs") {
				t.Errorf("the summary does not tell of ten load packages:\n%s", first)
			}
			_, query, _ := strings.Cut(first, "<<'SQL'\n")
			query, _, ok := strings.Cut(query, "SQL\n")
			if !ok {
				t.Fatalf("no query in\n%s", first)
			}
			file := filepath.Join(dir, "data", "tilestream.duckdb")
			if tc.warehouse != "" {
				file = ""
			}
			w := openDuckDB(t, file)
			conversations := w.number(t, "SELECT sum(conversations)::int FROM ("+query+")")
			if err := w.db.Close(); err != nil {
				t.Fatal(err)
			}
			if conversations < 500 {
				t.Errorf("the query counts %d conversations", conversations)
			}
			second := run()
			if words := strings.Join(strings.Fields(second), " "); !strings.Contains(words, "bots 0 0 0") || !strings.Contains(words, "tags 0 0 0") {
				t.Errorf("a second run loaded what had not changed:\n%s", second)
			}
			t.Logf("%d conversations; the second run said:\n%s", conversations, second)
		})
	}
}
