//go:build cgo

package sink_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/ops"
)

// here is an empty warehouse in a directory, with its twin.
func here(t *testing.T, mode sink.Mode) *twins {
	return newTwins(t, 1, "file://"+filepath.ToSlash(t.TempDir()), "updated_at", mode)
}

// write loads rows into both warehouses; each write is a load of its own.
func (w *twins) write(rows ...sinktest.Row) {
	w.Helper()
	w.loads++
	b := sink.Batch{ID: fmt.Sprint("load ", w.loads), Table: w.table, Ranges: []sink.Range{sinktest.Span(0, 0, 1)}, Rows: sinktest.Record(w.table.Schema, rows)}
	b.Ranges[0].Group = b.ID
	for _, to := range []sink.Sink{w.to, w.beside} {
		if _, err := to.Write(w.Context(), b); err != nil {
			w.Fatal(err)
		}
	}
}

func document(id string, version, offset, day int) sinktest.Row {
	return sinktest.Row{"_id": id, "text": fmt.Sprint("at ", offset), "updated_at": compactStart.Add(time.Duration(version) * time.Second), "_kafka_offset": int64(offset),
		"_extracted_at": compactStart.AddDate(0, 0, day), "_loaded_at": compactStart.Add(time.Duration(offset) * time.Minute)}
}

func TestCompactDrops(t *testing.T) {
	t.Parallel()
	dead := func(id string, offset, loaded int) sinktest.Row {
		at := compactStart.Add(time.Duration(offset) * time.Second)
		return sinktest.Row{"_id": id, "_extracted_at": at, "_kafka_offset": int64(offset), "_deleted_at": at, "_deleted_offset": int64(offset), "_loaded_at": compactStart.Add(time.Duration(loaded) * time.Minute)}
	}
	again := func(r sinktest.Row) sinktest.Row {
		r["_loaded_at"] = compactStart.AddDate(0, 1, 0)
		return r
	}
	for _, c := range []struct {
		mode sink.Mode
		rows []sinktest.Row
		left string
	}{
		{sink.Upsert, []sinktest.Row{document("a", 1, 0, 0), document("a", 2, 1, 0), document("b", 1, 2, 0)}, "a 1, b 2"},
		{sink.Upsert, []sinktest.Row{document("a", 2, 0, 0), document("a", 1, 1, 0)}, "a 0"}, // late, and old
		{sink.Upsert, []sinktest.Row{document("a", 2, 0, 0), document("a", 1, 1, 3)}, "a 0"}, // nothing is left of a day
		{sink.Upsert, []sinktest.Row{document("a", 1, 0, 0), dead("a", 1, 1), dead("a", 2, 2), dead("b", 3, 3)}, "a 0, a 2, b 3"},
		{sink.Upsert, []sinktest.Row{document("a", 1, 0, 0), again(document("a", 1, 0, 0))}, "a 0"},
		{sink.Append, []sinktest.Row{document("a", 1, 0, 0), document("a", 2, 1, 0), dead("a", 2, 2), again(document("a", 1, 0, 0))}, "a 0, a 1, a 2"},
		{sink.History, []sinktest.Row{document("a", 1, 0, 0), document("a", 2, 1, 0), again(dead("a", 2, 2)), dead("a", 2, 2)}, "a 0, a 1, a 2"},
	} {
		w := here(t, c.mode)
		for _, r := range c.rows {
			w.write(r)
		}
		before := len(w.files())
		dry := w.compact(sink.Compaction{Memory: 1 << 20, DryRun: true})
		if n := len(w.files()); n != before {
			t.Errorf("a dry run leaves %d files of %d", n, before)
		}
		done := w.compact(atOnce)
		done.Removed, done.After.Bytes, dry.After.Bytes = 0, 0, 0
		if d := cmp.Diff(done, dry); d != "" {
			t.Errorf("what a dry run says differs (-done +dry):\n%s", d)
		}
		w.wantSame("after")
		got := fields(t, fmt.Sprintf(`SELECT _id, _kafka_offset FROM read_parquet('%s/tiledesk/things/*/*.parquet', union_by_name = true) ORDER BY ALL`, lookAt(t, w.at)))
		if got != c.left {
			t.Errorf("%s of %v: left are %s, want %s", c.mode, c.rows, got, c.left)
		}
	}
}

// TestCompactGrace holds that a reader finds the files that it has listed until the grace is over, counted from when readers saw the new one.
func TestCompactGrace(t *testing.T) {
	t.Parallel()
	w := here(t, sink.Upsert)
	for i := range 5 {
		w.write(document("a", i, i, 0))
	}
	listed := w.files()
	how := sink.Compaction{Memory: 1 << 20, Grace: time.Hour}
	read := func() error {
		for _, f := range listed {
			if _, err := os.ReadFile(f); err != nil {
				return err
			}
		}
		return nil
	}
	if done := w.compact(how); done.Waiting != 5 || done.Before.Files != 5 || done.After != (sink.Extent{Files: 1, Rows: 1, Bytes: done.After.Bytes}) || done.Superseded != 4 {
		t.Errorf("%+v, want 5 files that wait and one of one row", done)
	}
	w.clock = w.clock.Add(59 * time.Minute)
	if done := w.compact(how); done.Waiting != 5 || done.Before.Files != 1 || read() != nil {
		t.Errorf("within the grace: %+v, %v", done, read())
	}
	w.clock = w.clock.Add(2 * time.Minute)
	if done := w.compact(how); done.Removed != 5 || done.Waiting != 0 || read() == nil || len(w.files()) != 1 {
		t.Errorf("after the grace: %+v, %v", done, w.files())
	}
	w.wantSame("at the end")

	// A record that a crash has kept from being published is published late: from then on the grace counts.
	w.write(document("a", 9, 9, 0))
	w.write(document("a", 10, 10, 0))
	listed = w.files()
	crash := errors.New("crash")
	_, err := w.compactor(func(op, name string) error {
		if op == "rename" {
			return crash
		}
		return nil
	}).Compact(t.Context(), w.table, how)
	if !errors.Is(err, crash) {
		t.Fatalf("%v, want the crash", err)
	}
	w.clock = w.clock.Add(10 * time.Hour)
	if done := w.compact(how); done.Waiting == 0 || read() != nil {
		t.Errorf("published late: %+v, %v", done, read())
	}
	w.wantTidy(1)
}

// TestCompactVoid has somebody remove what is staged before it is published: what it replaces stays.
func TestCompactVoid(t *testing.T) {
	t.Parallel()
	w := here(t, sink.Upsert)
	w.write(document("a", 1, 0, 0))
	w.write(document("b", 1, 1, 0))
	if _, err := w.compactor(func(op, name string) error {
		if op == "rename" {
			staged, _ := filepath.Glob(lookAt(t, w.at) + "/tiledesk/_tilestream_pending/_compactions/*/*")
			for _, s := range staged {
				os.Remove(s)
			}
		}
		return nil
	}).Compact(t.Context(), w.table, atOnce); err != nil {
		t.Fatal(err)
	}
	if n := len(w.files()); n != 2 {
		t.Errorf("%d files, want both", n)
	}
	w.wantTidy(1)
	if n := len(w.files()); n != 1 {
		t.Errorf("%d files, want one: the next run takes them again", n)
	}

	// What a dead compactor has staged and not recorded goes after a while, and nothing else does.
	dir := filepath.Join(lookAt(t, w.at), "tiledesk/_tilestream_pending/_compactions/things")
	for name, at := range map[string]time.Time{"0123456789abcdef": w.clock.Add(-2 * time.Hour), "fedcba9876543210": w.clock.Add(-time.Minute)} {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%013d-%s", at.UnixMilli(), name)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	w.compact(atOnce)
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 1 || !strings.HasSuffix(left[0], "fedcba9876543210") {
		t.Errorf("left: %v, want the young one", left)
	}
}

func TestCompactRefuses(t *testing.T) {
	t.Parallel()
	var usage *ops.UsageError
	for _, url := range []string{"duckdb://" + filepath.Join(t.TempDir(), "w.duckdb"), "postgres://u:hidden@localhost/db"} {
		if _, err := sink.OpenCompactor(t.Context(), url, "tiledesk"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "only files") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", url, err)
		}
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	if _, err := sink.OpenCompactor(t.Context(), "file://"+nowhere, "tiledesk"); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("an empty place: %v", err)
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("it was created")
	}

	w := here(t, sink.History)
	for i := range 3 {
		w.write(document("a", i, i, 0))
	}
	w.compact(atOnce) // what was compacted says so, too
	w.write(document("b", 1, 9, 0))
	wrong := w.table
	wrong.Mode = sink.Upsert
	if _, err := w.compactor(nil).Compact(t.Context(), wrong, atOnce); !errors.As(err, &usage) || !strings.Contains(err.Error(), "WRITE_MODE=things=history") {
		t.Errorf("versions taken for superseded ones: %v", err)
	}
	w.wantSame("after the refusal")

	// A file of somebody else stays, and what no reader can read is said.
	w = here(t, sink.Upsert)
	w.write(document("a", 1, 0, 0))
	w.write(document("a", 2, 1, 0))
	foreign := filepath.Join(filepath.Dir(w.files()[0]), "mine.parquet")
	db := openDB(t)
	if _, err := db.Exec(fmt.Sprintf(`COPY (SELECT 'z' AS _id, 7 AS n) TO '%s' (FORMAT parquet)`, foreign)); err != nil {
		t.Fatal(err)
	}
	done := w.compact(atOnce)
	if len(done.Left) != 1 || !strings.Contains(done.Left[0], "mine.parquet") || len(w.files()) != 2 {
		t.Errorf("a foreign file: %+v, %v", done, w.files())
	}
	if err := os.WriteFile(foreign, []byte("no Parquet"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := w.compactor(nil).Compact(t.Context(), w.table, atOnce); err == nil || !strings.Contains(err.Error(), "mine.parquet") {
		t.Errorf("a damaged file: %v, want its name", err)
	}
}

// TestNewestTombstone has a key's tombstones stand in another order by offset than by time: the row that is shown is that of the newest.
func TestNewestTombstone(t *testing.T) {
	t.Parallel()
	w := here(t, sink.Upsert)
	for offset, at := range map[int]int{1: 20, 2: 10} {
		when := compactStart.Add(time.Duration(at) * time.Second)
		w.write(sinktest.Row{"_id": "a", "_kafka_offset": int64(offset), "_deleted_at": when, "_deleted_offset": int64(offset), "_extracted_at": when, "_loaded_at": compactStart})
	}
	if rows := readFiles(t, lookAt(t, w.at), w.table); len(rows) != 1 || !rows[0]["_extracted_at"].(time.Time).Equal(compactStart.Add(20*time.Second)) {
		t.Errorf("%v, want the tombstone of second 20", rows)
	}
	w.compact(atOnce)
	w.wantSame("compacted")
}

// BenchmarkCompact compares a query over 200 small files with the same after they are compacted, and their sizes.
func BenchmarkCompact(b *testing.B) {
	dir := b.TempDir()
	to, err := sink.Open(b.Context(), "file://"+filepath.ToSlash(dir), "tiledesk")
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	table := sinktest.MessagesTable()
	if err := to.Prepare(b.Context(), table); err != nil {
		b.Fatal(err)
	}
	const files, rows = 200, 500
	for i := range files { // each key has four versions
		if _, err := to.Write(b.Context(), sink.Batch{ID: fmt.Sprint(i), Table: table, Ranges: []sink.Range{sinktest.Span(0, int64(i), int64(i)+1)},
			Rows: sinktest.Record(table.Schema, sinktest.Messages(i%50*rows, 1, rows, i/50))}); err != nil {
			b.Fatal(err)
		}
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	query := "SELECT count(*), max(length(text)) FROM (" + sink.FilesQuery(dir, "tiledesk", table) + ")"
	best := func() time.Duration {
		least := time.Hour
		for range 5 {
			began := time.Now()
			if _, err := db.Exec(query); err != nil {
				b.Fatal(err)
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	before := best()
	c, err := sink.OpenCompactor(b.Context(), "file://"+filepath.ToSlash(dir), "tiledesk")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var done sink.Compacted
	for b.Loop() { // the first one does it all
		once, err := c.Compact(b.Context(), table, sink.Compaction{Memory: 256 << 20})
		if err != nil {
			b.Fatal(err)
		}
		if once.Before.Files > done.Before.Files {
			done = once
		}
	}
	b.ReportMetric(float64(before)/float64(best()), "faster")
	b.ReportMetric(float64(done.Before.Bytes)/float64(done.After.Bytes), "smaller")
	b.ReportMetric(float64(done.Before.Files), "files-before")
	b.ReportMetric(float64(done.After.Files), "files-after")
}

// TestCompactPinned has a load of which a file is still pending under its first name, as a kill in the middle of a move leaves it on an object
// store: whoever finishes the load would show the file once more, so it stays until then.
func TestCompactPinned(t *testing.T) {
	t.Parallel()
	w := here(t, sink.Append)
	w.write(document("a", 1, 0, 0))
	w.write(document("b", 1, 1, 0))
	name := w.files()[0]
	log, err := filepath.Glob(lookAt(t, w.at) + "/tiledesk/_tilestream_pending/*/*1/*")
	if err != nil || len(log) != 1 {
		t.Fatal(log, err)
	}
	load, err := filepath.Glob(strings.Replace(log[0], "_pending", "_loads", 1) + "/*/*.json")
	if err != nil || len(load) != 1 {
		t.Fatal(load, err)
	}
	text, err := os.ReadFile(load[0])
	if err != nil {
		t.Fatal(err)
	}
	if base := filepath.Base(name); !strings.Contains(string(text), base) {
		name = w.files()[1]
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pending := filepath.Join(log[0], strings.TrimSuffix(filepath.Base(name), ".parquet")+"-0-0.0")
	if err := os.WriteFile(pending, data, 0o666); err != nil {
		t.Fatal(err)
	}
	w.compact(atOnce)
	if _, err := os.Stat(name); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
	p := sinktest.Part(0)
	p.Group = "load 1"
	if _, err := w.to.Next(t.Context(), []sink.Partition{p}); err != nil {
		t.Fatal(err)
	}
	w.wantTidy(1)
	if n := len(w.files()); n != 1 {
		t.Errorf("%d files, want one", n)
	}
}
