package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCommandsPage holds what docs/commands.md shows of -json against the golden files of the commands.
func TestCommandsPage(t *testing.T) {
	const page, begin, end = "../../docs/commands.md", "<!-- json -->\n", "<!-- /json -->"
	var files []string
	for _, pattern := range []string{"../../consumer/*/testdata/json/*.json", "../../internal/*/testdata/json/*.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	slices.SortFunc(files, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	var want bytes.Buffer
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		want.WriteString("\n### " + strings.ReplaceAll(strings.TrimSuffix(filepath.Base(f), ".json"), "_", " ") + "\n\n```json\n")
		if err := json.Indent(&want, bytes.TrimSpace(b), "", "  "); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		want.WriteString("\n```\n")
	}
	if len(files) < 10 {
		t.Fatalf("only %d files", len(files))
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(b), begin)
	shown, tail, ok := strings.Cut(rest, end)
	switch {
	case !ok:
		t.Fatalf("%s has no part between %q and %q", page, begin, end)
	case shown == want.String():
	case !*update:
		t.Errorf("%s differs from the golden files: go test ./internal/e2e -run TestCommandsPage -update writes it", page)
	default:
		if err := os.WriteFile(page, []byte(head+begin+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
