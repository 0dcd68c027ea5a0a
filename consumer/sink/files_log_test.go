package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

var stamp = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}

// logBatch has a row for each time, extracted then, and moves partition 3 of the topic from from to to.
func logBatch(from, to int64, times ...time.Time) Batch {
	schema := arrow.NewSchema([]arrow.Field{{Name: "_id", Type: arrow.BinaryTypes.String}, {Name: "_extracted_at", Type: stamp, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i, at := range times {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprint("row ", i))
		if at.IsZero() {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMilli()))
		}
	}
	return Batch{ID: "load-1", Table: Table{Name: "messages", Schema: schema, Key: "_id"}, Rows: b.NewRecordBatch(), Bytes: 1234,
		Ranges: []Range{{Partition{"cluster", "group", "tiledesk.messages", 3}, from, to}}}
}

const logDir = "_tilestream_loads/cluster/group/tiledesk.messages/"

func TestCommitObject(t *testing.T) {
	root := t.TempDir()
	to := newFiles(disk{root: root})
	midnight := time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)
	b := logBatch(0, 9, midnight, midnight.Add(-time.Millisecond), time.Time{}, midnight.Add(time.Hour))
	b.Ranges = append(b.Ranges, Range{Partition{"cluster", "group", "tiledesk.messages", 1}, 0, 4})
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	empty := logBatch(9, 12)
	empty.Rows, empty.Bytes = nil, 0
	if _, err := to.Write(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"format":1,"seq":1,"attempt":"ATTEMPT","cluster":"cluster","group":"group","topic":"tiledesk.messages","load_id":"load-1","table":"messages","rows":4,"bytes":1234,` +
			`"started_at":"TIME","committed_at":"TIME","ranges":[{"partition":3,"from":0,"to":9},{"partition":1,"from":0,"to":4}],` +
			`"files":[{"path":"messages/extracted_date=2026-05-04/000000000001-ATTEMPT.parquet","rows":1,"bytes":SIZE},` +
			`{"path":"messages/extracted_date=2026-05-05/000000000001-ATTEMPT.parquet","rows":2,"bytes":SIZE},` +
			`{"path":"messages/extracted_date=__HIVE_DEFAULT_PARTITION__/000000000001-ATTEMPT.parquet","rows":1,"bytes":SIZE}],` +
			`"ledger":[{"partition":1,"next":4},{"partition":3,"next":9}]}` + "\n",
		`{"format":1,"seq":2,"attempt":"ATTEMPT","cluster":"cluster","group":"group","topic":"tiledesk.messages","load_id":"load-1","table":"messages","rows":0,"bytes":0,` +
			`"started_at":"TIME","committed_at":"TIME","ranges":[{"partition":3,"from":9,"to":12}],` +
			`"files":[],"ledger":[{"partition":1,"next":4},{"partition":3,"next":12}]}` + "\n",
	} {
		text, err := os.ReadFile(filepath.Join(root, fmt.Sprintf(logDir+"000000000/%012d.json", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		got := regexp.MustCompile(`\b[0-9a-f]{16}\b`).ReplaceAllString(string(text), "ATTEMPT")
		got = regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z"`).ReplaceAllString(got, `"TIME"`)
		got = regexp.MustCompile(`"bytes":\d+}`).ReplaceAllString(got, `"bytes":SIZE}`)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("commit %d (-want +got):\n%s", i+1, d)
		}
	}
	paths, _ := filepath.Glob(root + "/messages/*/*.parquet")
	if len(paths) != 3 {
		t.Errorf("%d files where the commits name 3: %v", len(paths), paths)
	}
}

func TestLogGoesOnInNextDirectory(t *testing.T) {
	root := t.TempDir()
	first := newFiles(disk{root: root})
	if _, err := first.Write(t.Context(), logBatch(0, 5, time.Unix(0, 0))); err != nil {
		t.Fatal(err)
	}
	// A log of 999 commits: the last of the first directory.
	text, err := os.ReadFile(filepath.Join(root, logDir+"000000000/000000000001.json"))
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), `"seq":1,`, `"seq":999,`, 1))
	if err := os.WriteFile(filepath.Join(root, logDir+"000000000/000000000999.json"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	for round := range int64(2) { // the second one finds 1000 and writes 1001
		to := newFiles(disk{root: root})
		if _, err := to.Write(t.Context(), logBatch(5+round, 6+round, time.Unix(0, 0))); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf(logDir+"000000001/%012d.json", 1000+round)
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	// What a crash can leave, and what others put there, does not count.
	for _, dir := range []string{"000000002", "notes", "999"} {
		if err := os.MkdirAll(filepath.Join(root, logDir, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, logDir, "000000001/zzz.json"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	p := logBatch(0, 0).Ranges[0].Partition
	next, err := newFiles(disk{root: root}).Next(t.Context(), []Partition{p})
	if err != nil || next[p] != 7 {
		t.Errorf("Next: %v, %v, want 7", next, err)
	}
}

func TestLogRefusesWhatItCannotRead(t *testing.T) {
	p := logBatch(0, 0).Ranges[0].Partition
	for _, c := range []struct{ name, text, want string }{
		{"cut", `{"format":1,"se`, "is damaged"},
		{"newer", `{"format":2,"seq":1}`, "has format 2, and this version"},
		{"newer, with other types", `{"format":2,"seq":"1"}`, "has format 2, and this version"},
		{"of no format", `{"seq":1}`, "has format 0, which no version"},
		{"moved", `{"format":1,"seq":2}`, "has number 2 in it"},
		{"another log's", `{"format":1,"seq":1,"cluster":"Cluster","group":"group","topic":"tiledesk.messages"}`, "takes both names for the same"},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, logDir, "000000000")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "000000000001.json"), []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		to := newFiles(disk{root: root})
		if _, err := to.Next(t.Context(), []Partition{p}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Next: %v, want %q in it", c.name, err, c.want)
		}
		if _, err := to.Write(t.Context(), logBatch(0, 1, time.Unix(0, 0))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Write: %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestFilesRefuse(t *testing.T) {
	ok := Partition{"cluster", "group", "tiledesk.messages", 3}
	other := Partition{"cluster", "group", "tiledesk.leads", 3}
	for _, c := range []struct {
		name   string
		ranges []Range
	}{
		{"none", nil},
		{"two topics", []Range{{ok, 0, 1}, {other, 0, 1}}},
		{"the same twice", []Range{{ok, 0, 1}, {ok, 0, 1}}},
		{"backwards", []Range{{ok, 0, -1}}},
	} {
		b := logBatch(0, 1, time.Unix(0, 0))
		b.Ranges = c.ranges
		_, err := newFiles(disk{root: t.TempDir()}).Write(t.Context(), b)
		if err == nil || errors.Is(err, ErrFenced) {
			t.Errorf("ranges %s: %v, want an error that is not ErrFenced", c.name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), localURL("file", file), "tiledesk"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open of a file: %v, want its name", err)
	}
}

// TestWriteCancelled cancels the context before each step of a Write.
func TestWriteCancelled(t *testing.T) {
	p := logBatch(0, 0).Ranges[0].Partition
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		to := newFiles(disk{root: t.TempDir(), fault: func(string, string) error {
			if seen++; seen == n {
				cancel()
			}
			return nil
		}})
		_, err := to.Write(ctx, logBatch(0, 5, time.Unix(0, 0)))
		cancel()
		next, errNext := to.Next(t.Context(), []Partition{p})
		if errNext != nil {
			t.Fatal(errNext)
		}
		switch {
		case err == nil && next[p] != 5, err != nil && (next[p] != 0 || !errors.Is(err, context.Canceled)):
			t.Errorf("cancelled at step %d: %v, and the ledger stands at %d", n, err, next[p])
		}
		if n > seen {
			return
		}
	}
}

func TestPrepareRefusesWhatNoQueryReads(t *testing.T) {
	jsonType, err := extensions.NewJSONType(arrow.BinaryTypes.String)
	if err != nil {
		t.Fatal(err)
	}
	table := func(c arrow.DataType) Table {
		return Table{Name: "t", Schema: arrow.NewSchema([]arrow.Field{{Name: "c", Type: c, Nullable: true}}, nil)}
	}
	for _, c := range []struct {
		have, want arrow.DataType
		ok         bool
	}{
		{arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64, true},
		{arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Int32, true},
		{arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String, true},
		{stamp, arrow.BinaryTypes.String, true},
		{arrow.FixedWidthTypes.Boolean, stamp, false},
		{stamp, arrow.PrimitiveTypes.Int64, false},
		{stamp, jsonType, true},
		{arrow.BinaryTypes.String, jsonType, false},
		{jsonType, arrow.BinaryTypes.String, false},
	} {
		root := t.TempDir()
		if err := newFiles(disk{root: root}).Prepare(t.Context(), table(c.have)); err != nil {
			t.Fatal(err)
		}
		err := newFiles(disk{root: root}).Prepare(t.Context(), table(c.want))
		if c.ok != (err == nil) {
			t.Errorf("%s then %s: %v", c.have, c.want, err)
		}
	}
}
