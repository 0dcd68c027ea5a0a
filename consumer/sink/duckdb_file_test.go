//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

// After a fatal error DuckDB refuses everything until the file is opened again.
func TestDuckDBOpensAgainAfterFatalError(t *testing.T) {
	to, err := Open(t.Context(), "duckdb://"+filepath.Join(t.TempDir(), "warehouse.duckdb"), "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	p := Partition{Cluster: "c", Group: "g", Topic: "t"}
	if _, err := to.Write(t.Context(), Batch{Ranges: []Range{{Partition: p, To: 5}}}); err != nil {
		t.Fatal(err)
	}
	file := to.(*duckDB).file
	before, err := file.handle()
	if err != nil {
		t.Fatal(err)
	}
	fatal := &duckdb.Error{Type: duckdb.ErrorTypeFatal, Msg: "FATAL Error: the disk is on fire"}
	if err := file.write(t.Context(), func(context.Context, *sql.Tx) error { return fatal }); !errors.Is(err, fatal) {
		t.Errorf("write: %v, want the fatal error", err)
	}
	if next, err := to.Next(t.Context(), []Partition{p}); err != nil || next[p] != 5 {
		t.Errorf("Next after the fatal error: %v, %v, want 5", next, err)
	}
	if after, _ := file.handle(); after == before {
		t.Error("the database was not opened again")
	}
}

// A write waits for the one before it no longer than its context lets it; a read does not wait.
func TestDuckDBWaitsForWriter(t *testing.T) {
	to, err := Open(t.Context(), "duckdb://"+filepath.Join(t.TempDir(), "warehouse.duckdb"), "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	p := Partition{Cluster: "c", Group: "g", Topic: "t"}
	err = to.(*duckDB).file.write(t.Context(), func(ctx context.Context, _ *sql.Tx) error {
		if next, err := to.Next(ctx, []Partition{p}); err != nil || next[p] != 0 {
			t.Errorf("Next beside a write: %v, %v", next, err)
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if _, err := to.Write(ctx, Batch{Ranges: []Range{{Partition: p, To: 5}}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write beside a write: %v, want to have waited", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
