package inspect

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// TestDoctor looks at a warehouse that works, twice, at one whose place cannot be written, and at what comes after a Kafka that is
// not there.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, "file://"+dir, "doctored")
	examine := func(cfg Settings, want ...string) error {
		t.Helper()
		cfg.Warehouse.Dataset = w.dataset
		house := &warehouse{cfg: &cfg}
		defer func() {
			if err := house.close(); err != nil {
				t.Error(err)
			}
		}()
		var out strings.Builder
		err := ops.Examine(t.Context(), ops.Options{Stdout: &out}, append(kafkaChecks(cfg), house.checks()...))
		for _, want := range want {
			if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
		return err
	}
	well := Settings{Kafka: w.kafka, Warehouse: sink.Config{URL: ops.Secret(w.url)}}
	for range 2 {
		if err := examine(well, "ok topic test.messages", "ok topic test.messages.dlq not there yet", "ok warehouse", "may be created, extended and widened", "may be inserted and replaced"); err != nil {
			t.Error(err)
		}
	}
	blocked := filepath.Join(dir, "a file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ill := well
	ill.Warehouse.URL = ops.Secret("file://" + strings.ReplaceAll(blocked, " ", "%20"))
	if err := examine(ill, "FAIL warehouse", "skip rows of _tilestream_doctor"); !errors.Is(err, ops.ErrUnwell) {
		t.Errorf("a warehouse below a file: %v", err)
	}
	ill = well
	ill.Kafka.Brokers = []string{"127.0.0.1:1"}
	if err := examine(ill, "FAIL Kafka reach Kafka at 127.0.0.1:1", "skip group", "ok warehouse"); !errors.Is(err, ops.ErrUnwell) {
		t.Errorf("without Kafka: %v", err)
	}
}
