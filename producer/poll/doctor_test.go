package poll

import (
	"strings"
	"testing"

	"tilestream/internal/ops"
	"tilestream/producer/tiledesk"
)

// TestDoctor looks at a new Kafka, and at one that has been used.
func TestDoctor(t *testing.T) {
	r := newRig(t)
	examine := func(want ...string) {
		t.Helper()
		checks, err := Checks(Config{Resources: []string{"bots", "tags"}}, r.kafka, []*tiledesk.Client{r.client(r.tiledesk.Project)})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := ops.Examine(t.Context(), ops.Options{Stdout: &out}, checks); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), w) {
				t.Errorf("no %q in\n%s", w, out.String())
			}
		}
	}
	examine("speaks v3 and takes TILEDESK_TOKEN", "topic test.bots not there yet", "ids that begin with test-producer-", "the producer registers it")
	r.mustOnce("bots", "tags")
	examine("topic test.bots 2 partitions", "topic test.checkpoints 16 partitions, DESCRIBE, READ, WRITE", "schema test.bots-value version 1, id ")
}
