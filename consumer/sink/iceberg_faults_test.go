//go:build cgo

package sink_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// icebergThings is a prepared table of an empty warehouse in a directory.
func icebergThings(t *testing.T) (to sink.Sink, d sinktest.Destination, things sink.Table) {
	t.Helper()
	d = icebergInDir(t)
	to = d.Open(t)
	t.Cleanup(func() { to.Close() })
	things = sinktest.Table("things", sinktest.Column("n", sinktest.Int64))
	if err := to.Prepare(t.Context(), things); err != nil {
		t.Fatal(err)
	}
	return to, d, things
}

func icebergBatch(things sink.Table, offset int64) (sink.Batch, sinktest.Row) {
	row := sinktest.Row{"_id": fmt.Sprint("key ", offset), "n": offset, "_kafka_offset": offset}
	return sink.Batch{ID: fmt.Sprint("load ", offset), Table: things, Ranges: []sink.Range{sinktest.Span(0, offset, offset+1)},
		Rows: sinktest.Record(things.Schema, []sinktest.Row{row}), Bytes: 100}, row
}

func wantIceberg(t *testing.T, to sink.Sink, d sinktest.Destination, things sink.Table, next int64, rows ...sinktest.Row) {
	t.Helper()
	got, err := to.Next(t.Context(), []sink.Partition{sinktest.Part(0)})
	if err != nil || got[sinktest.Part(0)] != next {
		t.Errorf("Next: %v, %v, want %d", got, err, next)
	}
	if diff := sinktest.Diff(things, rows, d.Read(t, things)); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

// TestIcebergLostReply loses an answer of the catalog, before or after the commit, with each error that a catalog has for it.
func TestIcebergLostReply(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		for _, lost := range []error{errors.New("connection reset"), context.DeadlineExceeded, fmt.Errorf("a proxy: %w", table.ErrCommitFailed)} {
			t.Run(fmt.Sprint(when, " ", lost), func(t *testing.T) {
				t.Parallel()
				to, d, things := icebergThings(t)
				armed := false
				sink.FaultyIceberg(to, func(now string) error {
					if armed && now == when {
						armed = false
						return lost
					}
					return nil
				})
				b, first := icebergBatch(things, 0)
				if _, err := to.Write(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				b, second := icebergBatch(things, 1)
				armed = true
				_, err := to.Write(t.Context(), b)
				if armed {
					t.Fatal("no commit")
				}
				if known := when == "after" || errors.Is(lost, table.ErrCommitFailed); (err == nil) != known || errors.Is(err, sink.ErrFenced) {
					t.Errorf("Write: %v", err)
				}
				if err != nil {
					wantIceberg(t, to, d, things, 1, first)
					if _, err := to.Write(t.Context(), b); err != nil {
						t.Fatal(err)
					}
				}
				wantIceberg(t, to, d, things, 2, first, second)
			})
		}
	}
}

// TestIcebergOvertaken has another writer commit between the look at the ledger and the commit.
func TestIcebergOvertaken(t *testing.T) {
	to, d, things := icebergThings(t)
	other := d.Open(t)
	defer other.Close()
	b, first := icebergBatch(things, 0)
	if _, err := other.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	rows := []sinktest.Row{first}
	for i, c := range []struct {
		name    string
		ranges  sink.Range
		fenced  bool
		between func() error
	}{
		{"by one of the same offsets", sinktest.Span(0, 1, 2), true, func() error {
			b, row := icebergBatch(things, 1)
			_, err := other.Write(t.Context(), b)
			rows = append(rows, row)
			return err
		}},
		{"by one of another partition", sinktest.Span(1, 0, 1), false, func() error {
			_, err := other.Write(t.Context(), sink.Batch{ID: "other", Table: things, Ranges: []sink.Range{sinktest.Span(2, 0, 1)}})
			return err
		}},
		{"by a column that becomes another type", sinktest.Span(1, 1, 2), false, func() error {
			return other.Prepare(t.Context(), sinktest.Table("things", sinktest.Column("n", sinktest.Float64)))
		}},
	} {
		between := c.between
		to := d.Open(t)
		sink.FaultyIceberg(to, func(when string) error {
			if between == nil || when != "before" {
				return nil
			}
			now := between
			between = nil
			return now()
		})
		b, row := icebergBatch(things, 10+int64(i))
		b.Ranges = []sink.Range{c.ranges}
		_, err := to.Write(t.Context(), b)
		if c.fenced != errors.Is(err, sink.ErrFenced) || !c.fenced && err != nil {
			t.Errorf("overtaken %s: %v", c.name, err)
		}
		if !c.fenced {
			rows = append(rows, row)
		}
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, r := range rows {
		r["n"] = float64(r["n"].(int64))
	}
	wantIceberg(t, to, d, sinktest.Table("things", sinktest.Column("n", sinktest.Float64)), 2, rows...)
}

// TestIcebergOthers does to a table what other engines do: the ledger goes with the rows.
func TestIcebergOthers(t *testing.T) {
	to, d, things := icebergThings(t)
	var rows []sinktest.Row
	for offset := range int64(3) {
		b, row := icebergBatch(things, offset)
		if _, err := to.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	change := func(do func(*table.Table, *table.Transaction) error) {
		t.Helper()
		have, err := sink.IcebergTable(t.Context(), to, "things")
		if err != nil {
			t.Fatal(err)
		}
		tx := have.NewTransaction()
		if err := do(have, tx); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantIceberg(t, to, d, things, 3, rows...)
	change(func(have *table.Table, tx *table.Transaction) error {
		return tx.RollbackToSnapshot(*have.CurrentSnapshot().ParentSnapshotID)
	})
	wantIceberg(t, to, d, things, 2, rows[:2]...)
	b, _ := icebergBatch(things, 2)
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantIceberg(t, to, d, things, 3, rows...)

	change(func(_ *table.Table, tx *table.Transaction) error { return tx.AddFiles(t.Context(), nil, nil, false) }) // its summary has no ledger
	wantIceberg(t, to, d, things, 3, rows...)
	time.Sleep(2 * time.Millisecond)
	change(func(_ *table.Table, tx *table.Transaction) error {
		return tx.ExpireSnapshots(table.WithRetainLast(1), table.WithOlderThan(time.Millisecond))
	})
	have, err := sink.IcebergTable(t.Context(), to, "things")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(have.Metadata().Snapshots()); n != 1 {
		t.Fatalf("%d snapshots are left, want 1", n)
	}
	wantIceberg(t, to, d, things, 3, rows...)
	b, row := icebergBatch(things, 3)
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantIceberg(t, to, d, things, 4, append(rows, row)...)
}

// TestIcebergWidens writes a table anew for types that Iceberg does not widen to.
func TestIcebergWidens(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to sinktest.Row
		before   sink.Table
		after    sink.Table
	}{
		{"boolean to text", sinktest.Row{"v": true}, sinktest.Row{"v": "true"}, sinktest.Table("things", sinktest.Column("v", sinktest.Boolean)), sinktest.Table("things", sinktest.Column("v", sinktest.String))},
		{"time to text", sinktest.Row{"v": time.UnixMilli(1)}, sinktest.Row{"v": "1970-01-01T00:00:00.001Z"}, sinktest.Table("things", sinktest.Column("v", sinktest.Timestamp)), sinktest.Table("things", sinktest.Column("v", sinktest.String))},
		{"number to JSON", sinktest.Row{"v": 0.5}, sinktest.Row{"v": "0.5"}, sinktest.Table("things", sinktest.Column("v", sinktest.Float64)), sinktest.Table("things", sinktest.Column("v", sinktest.JSON))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := icebergInDir(t)
			to := d.Open(t)
			defer to.Close()
			key := sinktest.Row{"_id": "a", "_kafka_offset": int64(0)}
			for r := range key {
				c.from[r], c.to[r] = key[r], key[r]
			}
			if err := to.Prepare(t.Context(), c.before); err != nil {
				t.Fatal(err)
			}
			b := sink.Batch{ID: "one", Table: c.before, Ranges: []sink.Range{sinktest.Span(0, 0, 1)}, Rows: sinktest.Record(c.before.Schema, []sinktest.Row{c.from})}
			if _, err := to.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if err := to.Prepare(t.Context(), c.after); err != nil {
				t.Fatal(err)
			}
			wantIceberg(t, to, d, c.after, 1, c.to)
		})
	}
}

// TestIcebergReader reads what status shows.
func TestIcebergReader(t *testing.T) {
	at := "iceberg+file://" + t.TempDir()
	d := icebergAt(t, at)
	to := d.Open(t)
	defer to.Close()
	things := sinktest.Table("things", sinktest.Column("n", sinktest.Int64))
	if err := to.Prepare(t.Context(), things); err != nil {
		t.Fatal(err)
	}
	for offset := range int64(2) {
		b, _ := icebergBatch(things, offset)
		if _, err := to.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	r, err := sink.OpenReader(t.Context(), at, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := r.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if ledger, err := v.Ledger(t.Context()); err != nil || len(ledger) != 1 || ledger[sinktest.Part(0)] != 2 {
		t.Errorf("Ledger: %v, %v", ledger, err)
	}
	var ids []string
	for l, err := range v.Loads(t.Context(), "things", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if l.Rows != 1 || l.Bytes != 100 || len(l.Ranges) != 1 || l.Took < 0 {
			t.Errorf("load: %+v", l)
		}
		ids = append(ids, l.ID)
	}
	if want := []string{"load 1", "load 0"}; !slices.Equal(ids, want) {
		t.Errorf("loads: %v, want %v", ids, want)
	}
}

// TestIcebergAdvice says what to do where S3 refuses.
func TestIcebergAdvice(t *testing.T) {
	at := icebergURL(t)
	for _, c := range []struct{ name, url, secret, want string }{
		{"wrong credentials", at, "wrong", "AWS_SECRET_ACCESS_KEY"},
		{"no such bucket", strings.Replace(at, "://warehouse/", "://no-such-bucket-here/", 1), "", "create the bucket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.secret != "" {
				t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
			}
			to := icebergAt(t, c.url).Open(t)
			defer to.Close()
			err := to.Prepare(t.Context(), sinktest.Table("things"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Prepare: %v, want %q", err, c.want)
			}
		})
	}
}

// TestIcebergView runs the statement of docs/iceberg.md, on what another engine lists of the table's files.
func TestIcebergView(t *testing.T) {
	to, _, _ := icebergThings(t)
	requests := sinktest.Table("requests", sinktest.Column("text", sinktest.String), sinktest.Column("_deleted_at", sinktest.Timestamp),
		sinktest.Column("_deleted_offset", sinktest.Int64), sinktest.Column("_loaded_at", sinktest.Timestamp), sinktest.Column("_extracted_at", sinktest.Timestamp))
	if err := to.Prepare(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	rows := []sinktest.Row{
		{"_id": "changed", "text": "old", "updated_at": day(1), "_kafka_offset": int64(3), "_extracted_at": day(1)},
		{"_id": "changed", "text": "new", "updated_at": day(2), "_kafka_offset": int64(1), "_extracted_at": day(2)},
		{"_id": "gone", "text": "x", "updated_at": day(1), "_kafka_offset": int64(4), "_extracted_at": day(1)},
		{"_id": "gone", "_deleted_at": day(2), "_deleted_offset": int64(5), "_kafka_offset": int64(5), "_extracted_at": day(2)},
		{"_id": "back", "_deleted_at": day(1), "_deleted_offset": int64(6), "_kafka_offset": int64(6)},
		{"_id": "back", "text": "again", "updated_at": day(3), "_kafka_offset": int64(7)},
	}
	if _, err := to.Write(t.Context(), sink.Batch{ID: "one", Table: requests, Ranges: []sink.Range{sinktest.Span(0, 0, 8)}, Rows: sinktest.Record(requests.Schema, rows)}); err != nil {
		t.Fatal(err)
	}
	have, err := sink.IcebergTable(t.Context(), to, "requests")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := have.Scan().PlanFiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, task := range tasks {
		files = append(files, "'"+task.File.FilePath()+"'")
	}
	if len(files) != 3 {
		t.Errorf("%d files, want one for each day and one for rows without: %v", len(files), files)
	}
	doc, err := os.ReadFile("../../docs/iceberg.md")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(string(doc), "CREATE VIEW requests_now AS ")
	query, _, _ = strings.Cut(query, "```")
	query = strings.Replace(query, "tiledesk.requests", "read_parquet(["+strings.Join(files, ", ")+"], hive_partitioning = false)", 1)
	if got, want := fields(t, "SELECT _id, text FROM ("+query+") ORDER BY _id"), "back again, changed new"; got != want {
		t.Errorf("%s: %s, want %s", query, got, want)
	}
}
