package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms says what each room may import of the others; data moves one way. What is not listed may import anything.
var rooms = map[string][]string{
	"tilestream/schemas":                        {},
	"tilestream/internal/ops":                   {},
	"tilestream/internal/broker":                {"tilestream/internal/ops"},
	"tilestream/producer/tiledesk":              {"tilestream/schemas", "tilestream/internal/ops"},
	"tilestream/producer/tiledesk/tiledesktest": {"tilestream/internal/e2e"},
	"tilestream/producer/poll":                  {"tilestream/internal/dlq", "tilestream/producer/tiledesk", "tilestream/schemas", "tilestream/internal/broker", "tilestream/internal/ops"},
	"tilestream/producer":                       {"tilestream/producer/poll", "tilestream/producer/tiledesk", "tilestream/internal/broker", "tilestream/internal/ops"},
	"tilestream/consumer/sink":                  {"tilestream/schemas", "tilestream/internal/ops"},
	"tilestream/internal/dlq":                   {"tilestream/schemas", "tilestream/internal/broker", "tilestream/internal/ops"},
	"tilestream/consumer/load":                  {"tilestream/internal/dlq", "tilestream/consumer/sink", "tilestream/schemas", "tilestream/internal/broker", "tilestream/internal/ops"},
	"tilestream/consumer/inspect":               {"tilestream/internal/dlq", "tilestream/consumer/sink", "tilestream/schemas", "tilestream/internal/broker", "tilestream/internal/ops"},
	"tilestream/consumer/dashboard":             {"tilestream/consumer/inspect", "tilestream/consumer/sink", "tilestream/internal/dlq", "tilestream/schemas", "tilestream/internal/broker", "tilestream/internal/ops"},
	"tilestream/consumer/mcp":                   {"tilestream/consumer/inspect", "tilestream/consumer/load", "tilestream/consumer/sink", "tilestream/internal/dlq", "tilestream/schemas", "tilestream/internal/ops"},
	"tilestream/consumer":                       {"tilestream/consumer/dashboard", "tilestream/consumer/mcp", "tilestream/schemas", "tilestream/internal/dlq", "tilestream/consumer/inspect", "tilestream/consumer/load", "tilestream/consumer/sink", "tilestream/internal/broker", "tilestream/internal/ops"},
}

// TestRooms holds every package's imports against rooms.
func TestRooms(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "tilestream/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		allowed, ruled := rooms[pkg]
		if !ruled {
			continue
		}
		seen++
		for _, i := range strings.Fields(imports) {
			if strings.HasPrefix(i, "tilestream/") && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s: data moves one way, tiledesk -> poll -> [Kafka] -> load -> sink, and the halves meet only in schemas", pkg, i)
			}
		}
	}
	if seen != len(rooms) {
		t.Errorf("go list knows %d of the %d rooms: the table names one that is gone", seen, len(rooms))
	}
}

// TestProducerWithoutC proves that the producer links no C code and no embedded stand-in.
func TestProducerWithoutC(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "tilestream/producer")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for _, unwanted := range []string{"duckdb", "kfake", "srfake"} {
		if strings.Contains(string(out), unwanted) {
			t.Errorf("the producer's binary would hold %s", unwanted)
		}
	}
}
