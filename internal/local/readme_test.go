package local

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"tilestream/internal/ops"
)

var update = flag.Bool("update", false, "write the README's table of settings anew")

// TestReadme holds the README's table of settings against the code.
func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "<!-- settings:", "<!-- /settings -->"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	from, to := strings.Index(readme, begin), strings.Index(readme, end)
	if from < 0 || to < from {
		t.Fatalf("%s has no part between %s and %s", path, begin, end)
	}
	from += strings.Index(readme[from:], "\n") + 1
	want := settings()
	if readme[from:to] == want {
		return
	}
	if !*update {
		t.Fatalf("the table of settings in %s differs from the code: go test ./internal/local -run TestReadme -update writes it", path)
	}
	if err := os.WriteFile(path, []byte(readme[:from]+want+readme[to:]), 0o644); err != nil {
		t.Fatal(err)
	}
}

func settings() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range append(ops.Variables(&Config{}), ops.CommonVariables()...) {
		meaning := v.Help
		if meaning == "" {
			meaning = v.Takes
		}
		value := ""
		if v.Default != "" {
			value = "`" + v.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.Name, value, strings.ReplaceAll(meaning, "|", "\\|"))
	}
	return b.String()
}
