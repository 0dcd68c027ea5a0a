//go:build cgo

package sink_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// compactTable has all that orders rows; later is the same with a column more and a column of another type.
func compactTable(version string, mode sink.Mode, later bool) sink.Table {
	columns := []arrow.Field{sinktest.Column("text", sinktest.String), sinktest.Column("doc", sinktest.JSON), sinktest.Column("n", sinktest.Int32)}
	if later {
		columns[2] = sinktest.Column("n", sinktest.Int64)
		columns = append(columns, sinktest.Column("b", sinktest.Boolean))
	}
	t := sinktest.Table("things", append(columns, sinktest.Column("_extracted_at", sinktest.Timestamp), sinktest.Column("_loaded_at", sinktest.Timestamp),
		sinktest.Column("_deleted_at", sinktest.Timestamp), sinktest.Column("_deleted_offset", sinktest.Int64))...)
	t.Version, t.Deleted, t.DeletedOffset, t.Mode = version, "_deleted_at", "_deleted_offset", mode
	return t
}

var compactStart = time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)

// twins are two warehouses that get the same loads, of which one is compacted: what a reader sees of them must not differ.
type twins struct {
	*testing.T
	rnd        *rand.Rand
	at, other  string // URLs
	to, beside sink.Sink
	table      sink.Table
	offset     int64
	hours      int // in which documents were read
	loads      int
	log        []sinktest.Row
	clock      time.Time
}

func newTwins(t *testing.T, seed uint64, at string, version string, mode sink.Mode) *twins {
	t.Helper()
	w := &twins{T: t, rnd: rand.New(rand.NewPCG(seed, 7)), at: at, other: "file://" + filepath.ToSlash(t.TempDir()), clock: time.Now(), hours: 100}
	w.table = compactTable(version, mode, false)
	w.to, w.beside = faulty(t, w.at, nil), faulty(t, w.other, nil)
	w.prepare()
	return w
}

func (w *twins) prepare() {
	w.Helper()
	for _, to := range []sink.Sink{w.to, w.beside} {
		if err := to.Prepare(w.Context(), w.table); err != nil {
			w.Fatal(err)
		}
	}
}

// row is a new record of one of few keys, or one that was loaded before, now and then a tombstone or a document of no date.
func (w *twins) row(loaded time.Time) sinktest.Row {
	if len(w.log) > 0 && w.rnd.IntN(4) == 0 {
		r := maps.Clone(w.log[w.rnd.IntN(len(w.log))])
		r["_loaded_at"] = loaded
		return r
	}
	at := compactStart.Add(time.Duration(w.rnd.IntN(w.hours)) * time.Hour)
	r := sinktest.Row{"_id": fmt.Sprint("key ", w.rnd.IntN(12)), "_extracted_at": at, "_loaded_at": loaded, "_kafka_offset": w.offset}
	switch w.rnd.IntN(5) {
	case 0:
		r["_deleted_at"], r["_deleted_offset"] = at, w.offset
	case 1:
	default:
		r["text"], r["updated_at"] = fmt.Sprint("at ", w.offset), compactStart.Add(time.Duration(w.rnd.IntN(40))*time.Hour)
		r["doc"], r["n"] = fmt.Sprintf(`{"offset": %d, "ü": [1.50, null]}`, w.offset), int32(w.offset)
	}
	w.offset++
	w.log = append(w.log, r)
	return r
}

func (w *twins) batch(rows int) sink.Batch {
	w.loads++
	loaded := compactStart.Add(time.Duration(w.loads) * time.Second)
	rs := make([]sinktest.Row, rows)
	for i := range rs {
		rs[i] = maps.Clone(w.row(loaded))
		rs[i]["_load_id"] = fmt.Sprint("load ", w.loads)
		if n, ok := rs[i]["n"].(int32); ok && w.table.Schema.HasField("b") {
			rs[i]["n"], rs[i]["b"] = int64(n)<<33, n%2 == 0
		}
	}
	b := sink.Batch{ID: fmt.Sprint("load ", w.loads), Table: w.table, Ranges: []sink.Range{sinktest.Span(0, 0, 1)}, Rows: sinktest.Record(w.table.Schema, rs)}
	b.Ranges[0].Group = b.ID
	return b
}

func (w *twins) load(rows int) {
	w.Helper()
	b := w.batch(rows)
	for _, to := range []sink.Sink{w.to, w.beside} {
		if _, err := to.Write(w.Context(), b); err != nil {
			w.Fatal(err)
		}
	}
}

// wantSame compares what readers see.
func (w *twins) wantSame(when string) {
	w.Helper()
	want := readFiles(w.T, lookAt(w.T, w.other), w.table)
	got := readFiles(w.T, lookAt(w.T, w.at), w.table)
	if d := sinktest.Diff(w.table, byText(want), byText(got)); d != "" {
		w.Fatalf("%s (-want +got):\n%s", when, d)
	}
}

// byText has rows in one order, also where a key has several.
func byText(rows []sinktest.Row) []sinktest.Row {
	slices.SortFunc(rows, func(a, b sinktest.Row) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return rows
}

func (w *twins) compactor(fault func(op, name string) error) *sink.Compactor {
	w.Helper()
	c, err := sink.FaultyCompactor(w.Context(), w.at, "tiledesk", 1<<20, func() time.Time { return w.clock }, fault)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	return c
}

var atOnce = sink.Compaction{Memory: 1 << 20}

func (w *twins) compact(how sink.Compaction) sink.Compacted {
	w.Helper()
	done, err := w.compactor(nil).Compact(w.Context(), w.table, how)
	if err != nil {
		w.Fatal(err)
	}
	return done
}

// files are those of the table that have rows.
func (w *twins) files() []string {
	w.Helper()
	names, _ := filepath.Glob(lookAt(w.T, w.at) + "/tiledesk/things/*/[^s]*.parquet")
	return names
}

// wantTidy checks that a last compaction leaves no row twice, a few files of each day, and nothing that waits.
func (w *twins) wantTidy(perDay int) {
	w.Helper()
	w.clock = w.clock.Add(48 * time.Hour)
	w.compact(atOnce)
	w.compact(atOnce) // what was just made may go in now
	w.wantSame("at the end")
	perDirectory := map[string]int{}
	for _, f := range w.files() {
		perDirectory[filepath.Dir(f)]++
	}
	for day, n := range perDirectory {
		if n > perDay {
			w.Errorf("%d files are left in %s", n, day)
		}
	}
	if left, _ := filepath.Glob(lookAt(w.T, w.at) + "/tiledesk/_tilestream_pending/_compactions/*/*"); left != nil {
		w.Errorf("left pending: %v", left)
	}
	// Each file was replaced once: no row is there more often than it was loaded.
	columns := `SELECT _id, _load_id, _kafka_offset FROM read_parquet('%s/tiledesk/things/*/*.parquet', union_by_name = true)`
	if got := fields(w.T, fmt.Sprintf(`SELECT count(*) FROM (`+columns+` EXCEPT ALL `+columns+`)`, lookAt(w.T, w.at), lookAt(w.T, w.other))); got != "0" {
		w.Errorf("%s rows are there twice", got)
	}
}

// TestCompactShowsTheSame loads and compacts in random turns, in every mode and order of versions, and compares what readers see before some of a
// compaction's steps on the disk.
func TestCompactShowsTheSame(t *testing.T) {
	t.Parallel()
	for i, version := range []string{"updated_at", "_extracted_at", ""} {
		for _, mode := range []sink.Mode{sink.Upsert, sink.Append, sink.History} {
			t.Run(fmt.Sprint(version, " ", mode), func(t *testing.T) {
				t.Parallel()
				w := newTwins(t, uint64(i), "file://"+filepath.ToSlash(t.TempDir()), version, mode)
				for step := range 6 {
					for range 1 + w.rnd.IntN(4) {
						w.load(1 + w.rnd.IntN(9))
					}
					if step == 3 {
						w.table = compactTable(version, mode, true)
						w.prepare()
					}
					w.clock = w.clock.Add(time.Duration(w.rnd.IntN(90)) * time.Minute)
					how := sink.Compaction{Memory: int64(w.rnd.IntN(1 << 20)), Grace: time.Duration(w.rnd.IntN(3)) * time.Hour / 2}
					c := w.compactor(func(op, name string) error {
						// While files are removed, some at a time, a reader that has listed one of them fails, and asks again.
						if op != "write" && op != "remove" && w.rnd.IntN(6) == 0 {
							w.wantSame(fmt.Sprint("step ", step, ", before ", op, " ", name))
						}
						return nil
					})
					if _, err := c.Compact(t.Context(), w.table, how); err != nil {
						t.Fatal(err)
					}
					w.wantSame(fmt.Sprint("after step ", step))
				}
				w.wantTidy(2)
			})
		}
	}
}

// compactInto is a warehouse with some loads in it, of which a part is compacted and not over, so that a further compaction passes
// through each of its steps.
func compactInto(t *testing.T, at string, mode sink.Mode) *twins {
	t.Helper()
	w := newTwins(t, 3, at, "updated_at", mode)
	w.hours = 36
	for range 2 {
		w.load(6)
	}
	w.compact(sink.Compaction{Memory: 1 << 20, Grace: time.Hour})
	w.clock = w.clock.Add(2 * time.Hour)
	for range 2 {
		w.load(6)
	}
	return w
}

// TestCompactKilled kills a process that compacts, with SIGKILL, before each of its steps in turn.
func TestCompactKilled(t *testing.T) {
	onStores(t, func(t *testing.T, _ int, empty func(*testing.T) string) {
		steps(t, 12, func(t *testing.T, n int) bool {
			w := compactInto(t, empty(t), sink.Upsert)
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCompactCrashChild$")
			c.Env = append(os.Environ(), "TILESTREAM_TEST_COMPACT_URL="+w.at, "TILESTREAM_TEST_KILL_AT="+strconv.Itoa(n))
			out, err := c.CombinedOutput()
			killed := false
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				status, ok := exit.Sys().(syscall.WaitStatus)
				killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
			}
			if err != nil && !killed {
				t.Fatalf("child: %v\n%s", err, out)
			}
			w.wantSame("after the kill")
			w.wantTidy(2)
			return killed
		})
	})
}

func TestCompactCrashChild(t *testing.T) {
	at := os.Getenv("TILESTREAM_TEST_COMPACT_URL")
	if at == "" {
		return // it runs as a child of TestCompactKilled
	}
	n, err := strconv.Atoi(os.Getenv("TILESTREAM_TEST_KILL_AT"))
	if err != nil {
		t.Fatal(err)
	}
	kill := &atStep{n: n, do: func(string, string) error {
		self, _ := os.FindProcess(os.Getpid())
		self.Kill()
		select {} // until it is dead
	}}
	c, err := sink.FaultyCompactor(t.Context(), at, "tiledesk", 1<<20, time.Now, inTurn(kill.fault))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Compact(t.Context(), compactTable("updated_at", sink.Upsert, false), atOnce); err != nil {
		t.Fatal(err)
	}
}

// inTurn calls fault for one step at a time: files are removed several at once.
func inTurn(fault func(op, name string) error) func(op, name string) error {
	var mu sync.Mutex
	return func(op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		return fault(op, name)
	}
}

// TestCompactFault fails each step in turn, and has another compactor take everything before each step in turn.
func TestCompactFault(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *twins) error
		want error
	}{
		{"a full disk", func(*twins) error { return syscall.ENOSPC }, syscall.ENOSPC},
		{"another compactor", func(w *twins) error { w.compact(atOnce); return nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStores(t, func(t *testing.T, _ int, empty func(*testing.T) string) {
				steps(t, 12, func(t *testing.T, n int) bool {
					w := compactInto(t, empty(t), sink.Append)
					at := &atStep{n: n, do: func(string, string) error { return c.do(w) }}
					_, err := w.compactor(inTurn(at.fault)).Compact(t.Context(), w.table, atOnce)
					reached := at.seen >= n
					if want := c.want; !errors.Is(err, want) && (reached || err != nil) {
						t.Errorf("%v, want %v", err, want)
					}
					w.wantSame("after the fault")
					w.wantTidy(2)
					return reached
				})
			})
		})
	}
}

// TestCompactBesideLoads has two compactors at work beside a loader.
func TestCompactBesideLoads(t *testing.T) {
	onStores(t, func(t *testing.T, _ int, empty func(*testing.T) string) {
		w := newTwins(t, 5, empty(t), "updated_at", sink.Append)
		w.load(3)
		done := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				c, err := sink.FaultyCompactor(t.Context(), w.at, "tiledesk", 1<<20, time.Now, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for again := true; again; {
					select {
					case <-done:
						again = false
					default:
					}
					// Without grace, who is slow may find that the other has taken each file away.
					if _, err := c.Compact(t.Context(), w.table, atOnce); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("compact beside loads: %v", err)
						return
					}
				}
			})
		}
		for range 25 {
			w.load(5)
		}
		close(done)
		wg.Wait()
		w.wantSame("after loads and compactions at once")
		w.wantTidy(2)
	})
}
