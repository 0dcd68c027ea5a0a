//go:build cgo

package sink_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/ops"
)

// TestDeleteMode loads a document, its deletion and, late, the document again, through the setting.
func TestDeleteMode(t *testing.T) {
	for mode, want := range map[string]int{"": 1, "soft": 1, "hard": 0} {
		t.Run("mode "+mode, func(t *testing.T) {
			var c sink.Config
			dir := t.TempDir()
			if err := ops.Load(t.Context(), envconfig.MapLookuper(map[string]string{"DELETE_MODE": mode}), &c); err != nil {
				t.Fatal(err)
			}
			to, err := c.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			table := sinktest.Table("tags", sinktest.Column("_deleted_at", sinktest.Timestamp), sinktest.Column("_deleted_offset", sinktest.Int64))
			table.Deleted, table.DeletedOffset, table.Version = "_deleted_at", "_deleted_offset", ""
			if err := to.Prepare(t.Context(), table); err != nil {
				t.Fatal(err)
			}
			doc := sinktest.Row{"_id": "a", "_kafka_offset": int64(0)}
			gone := sinktest.Row{"_id": "a", "_kafka_offset": int64(1), "_deleted_at": time.UnixMilli(1), "_deleted_offset": int64(1)}
			for _, b := range []struct {
				group string
				row   sinktest.Row
			}{{"live", doc}, {"live again", gone}, {"replay", doc}} {
				r := sinktest.Span(0, 0, 2)
				r.Group = b.group
				if _, err := to.Write(t.Context(), sink.Batch{ID: b.group, Table: table, Ranges: []sink.Range{r}, Rows: sinktest.Record(table.Schema, []sinktest.Row{b.row})}); err != nil {
					t.Fatal(err)
				}
			}
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			if got := len(readDuckDB(t, filepath.Join(dir, "tilestream.duckdb"), "tiledesk", table)); got != want {
				t.Errorf("%d rows, want %d", got, want)
			}
		})
	}
}

func TestDeleteModeRefused(t *testing.T) {
	var usage *ops.UsageError
	var c sink.Config
	if err := ops.Load(t.Context(), envconfig.MapLookuper(map[string]string{"DELETE_MODE": "maybe"}), &c); !errors.As(err, &usage) {
		t.Errorf("DELETE_MODE=maybe: %v, want a *ops.UsageError", err)
	}
	c = sink.Config{URL: "file:///tmp/warehouse", Dataset: "tiledesk", Deletes: sink.Hard}
	if _, err := c.Open(t.Context(), "", slog.New(slog.DiscardHandler)); !errors.As(err, &usage) {
		t.Errorf("hard deletes in files: %v, want a *ops.UsageError", err)
	}
}

func TestWriteMode(t *testing.T) {
	var usage *ops.UsageError
	for _, bad := range []string{"maybe", "append,history", "append,nothing=upsert", "tags=append,tags=append", "tags=", "=append", "append,"} {
		var c sink.Config
		err := ops.Load(t.Context(), envconfig.MapLookuper(map[string]string{"WRITE_MODE": bad}), &c)
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "WRITE_MODE") || !strings.Contains(err.Error(), "TABLE=MODE") {
			t.Errorf("WRITE_MODE=%s: %v, want a *ops.UsageError that names it and what it takes", bad, err)
		}
	}
	c := sink.Config{Deletes: sink.Hard, Modes: sink.Modes{"tags": sink.Append}}
	if _, err := c.Open(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler)); !errors.As(err, &usage) {
		t.Errorf("hard deletes where versions are kept: %v, want a *ops.UsageError", err)
	}
}

// TestWriteModes loads two versions of a row into tables of each mode, through the setting.
func TestWriteModes(t *testing.T) {
	var c sink.Config
	dir := t.TempDir()
	if err := ops.Load(t.Context(), envconfig.MapLookuper(map[string]string{"WRITE_MODE": "append, messages=upsert,requests=history"}), &c); err != nil {
		t.Fatal(err)
	}
	to, err := c.Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for name, want := range map[string]int{"tags": 2, "messages": 1, "requests": 2, "_tilestream_doctor": 1} {
		table := sinktest.Table(name)
		if err := to.Prepare(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		r := sinktest.Span(0, 0, 2)
		r.Topic = name
		rows := []sinktest.Row{{"_id": "a", "_kafka_offset": int64(0)}, {"_id": "a", "_kafka_offset": int64(1)}}
		if _, err := to.Write(t.Context(), sink.Batch{ID: name, Table: table, Ranges: []sink.Range{r}, Rows: sinktest.Record(table.Schema, rows)}); err != nil {
			t.Fatal(err)
		}
		if got := len(readDuckDB(t, filepath.Join(dir, "tilestream.duckdb"), "tiledesk", table)); got != want {
			t.Errorf("%s: %d rows, want %d", name, got, want)
		}
	}
}
