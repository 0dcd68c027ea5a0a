//go:build cgo && linux

package sink_test

import (
	"errors"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// The disk is full for a while: DuckDB fails to commit, then to fold its log into the file, which is fatal to its handle.
// With space again the writes go on, and nothing is lost or there twice.
func TestDuckDBDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	to, err := sink.Open(t.Context(), "duckdb://"+path+"?checkpoint_threshold=1MB", "Test set")
	if err != nil {
		t.Fatal(err)
	}
	messages := sinktest.MessagesTable()
	if err := to.Prepare(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	const perWrite = 500
	var held, failures int
	write := func() {
		b := sink.Batch{ID: "load", Table: messages, Ranges: []sink.Range{sinktest.Span(0, int64(held), int64(held+1))},
			Rows: sinktest.Record(messages.Schema, sinktest.Messages(held*perWrite, 1, perWrite, 1))}
		_, err := to.Write(t.Context(), b)
		if errors.As(err, new(*sink.RejectedError)) || errors.Is(err, sink.ErrFenced) {
			t.Fatalf("Write on a full disk: %v", err)
		}
		if err != nil {
			failures++
		}
		next, err := to.Next(t.Context(), []sink.Partition{sinktest.Part(0)})
		if err != nil {
			t.Fatalf("Next on a full disk: %v", err)
		}
		held = int(next[sinktest.Part(0)])
	}

	limitFiles(t, 1_300_000)
	for tries := 0; failures < 4; tries++ {
		if tries > 100 {
			t.Fatal("the disk was never full")
		}
		write()
	}
	limitFiles(t, 0)
	failures = 0
	for range 5 {
		write()
	}
	if failures > 0 {
		t.Errorf("%d of 5 writes failed with space again", failures)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
	if diff := sinktest.Diff(messages, sinktest.Messages(0, 1, held*perWrite, 1), readDuckDB(t, path, "Test set", messages)); diff != "" {
		t.Errorf("the ledger is at %d, the rows differ (-want +got):\n%.2000s", held, diff)
	}
}

// limitFiles makes writes beyond the size fail, as a full disk does; 0 ends that, as does the end of the test.
func limitFiles(t *testing.T, size uint64) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if size > 0 {
		limit.Cur = size
		signal.Ignore(syscall.SIGXFSZ) // so that the write returns an error instead
		t.Cleanup(func() { limitFiles(t, 0) })
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
}
