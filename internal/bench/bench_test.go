package main

import (
	"strings"
	"testing"
)

// TestBench measures little, once, so that the bench keeps working; the rows are counted where they are loaded.
func TestBench(t *testing.T) {
	t.Setenv("TEST_KAFKA_BROKERS", "")
	var out strings.Builder
	b := bench{rows: 3000, runs: 2}
	if err := b.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the embedded Kafka", "3000 messages", "files, raw", "decode, a core, goavro", "extract and publish", "end to end, duckdb"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
