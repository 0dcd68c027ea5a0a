package sink_test

import (
	"os"
	"os/exec"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// TestStreamForever is the process that the crash tests kill.
func TestStreamForever(t *testing.T) {
	url, dataset := os.Getenv("SINKTEST_STREAM_URL"), os.Getenv("SINKTEST_STREAM_DATASET")
	if url == "" {
		t.Skip("the crash tests run this in a process of its own")
	}
	to, err := sink.Open(t.Context(), url, dataset)
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(sinktest.Stream(t.Context(), to))
}

// streamForever is the command that runs TestStreamForever on a warehouse.
func streamForever(t *testing.T, url, dataset string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run=^TestStreamForever$", "-test.v")
	c.Env = append(os.Environ(), "SINKTEST_STREAM_URL="+url, "SINKTEST_STREAM_DATASET="+dataset)
	return c
}
