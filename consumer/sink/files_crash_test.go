//go:build cgo

package sink_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

// crashTable has the columns by which files are laid out and rows told apart.
var crashTable = sinktest.Table("things", sinktest.Column("text", sinktest.String), sinktest.Column("_extracted_at", sinktest.Timestamp),
	sinktest.Column("_kafka_partition", sinktest.Int32))

// The topic has two partitions of so many records. Row o of a partition was extracted on day o%2, so batches make two
// files each.
const crashRecords = 4

var crashParts = []sink.Partition{sinktest.Part(0), sinktest.Part(1)}

// loadAll loads what the ledger says is missing, in batches that span both partitions and hold up to size records of
// each, as a consumer does: after an error it asks the ledger. It gives up after some errors in a row.
func loadAll(ctx context.Context, to sink.Sink, size int64) error {
	if err := to.Prepare(ctx, crashTable); err != nil {
		if err := to.Prepare(ctx, crashTable); err != nil {
			return err
		}
	}
	for failures := 0; failures < 3; {
		next, err := to.Next(ctx, crashParts)
		if err == nil {
			b := batchFrom(next, size)
			if b.Ranges == nil {
				return nil
			}
			_, err = to.Write(ctx, b)
		}
		if err == nil {
			failures = 0
		} else if failures++; failures == 3 {
			return err
		}
	}
	return nil
}

func batchFrom(next map[sink.Partition]int64, size int64) sink.Batch {
	b := sink.Batch{ID: fmt.Sprint("load of ", size), Table: crashTable}
	var rows []sinktest.Row
	for _, p := range crashParts {
		from := next[p]
		if from == crashRecords {
			continue
		}
		r := sink.Range{Partition: p, From: from, To: min(from+size, crashRecords)}
		for o := r.From; o < r.To; o++ {
			rows = append(rows, sinktest.Row{"_id": fmt.Sprint(p.ID, "/", o), "_kafka_offset": o, "_kafka_partition": p.ID,
				"_extracted_at": time.Date(2026, 5, 4+int(o)%2, 0, 0, 0, 0, time.UTC)})
		}
		b.Ranges = append(b.Ranges, r)
	}
	if rows != nil {
		b.Rows = sinktest.Record(crashTable.Schema, rows)
	}
	return b
}

// visible is the offsets of each partition that a plain look at all of the table's files shows, repeats included.
func visible(t *testing.T, db *sql.DB, at string) map[sink.Partition][]int64 {
	t.Helper()
	dir := lookAt(t, at)
	rows, err := db.Query(fmt.Sprintf(`SELECT _kafka_partition, _kafka_offset FROM read_parquet('%s/tiledesk/things/*/*.parquet') ORDER BY ALL`, dir))
	if err != nil {
		if matches, _ := filepath.Glob(dir + "/tiledesk/things/*/*.parquet"); matches == nil {
			return nil
		}
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[sink.Partition][]int64{}
	for rows.Next() {
		var id int32
		var offset int64
		if err := rows.Scan(&id, &offset); err != nil {
			t.Fatal(err)
		}
		out[sinktest.Part(id)] = append(out[sinktest.Part(id)], offset)
	}
	return out
}

// below is the offsets that a ledger says are in the warehouse.
func below(next map[sink.Partition]int64) map[sink.Partition][]int64 {
	out := map[sink.Partition][]int64{}
	for p, n := range next {
		for o := range n {
			out[p] = append(out[p], o)
		}
	}
	return out
}

// wantConsistent checks that after Next, what is visible is what the ledger says, each record once; and that loading
// goes on from there to the end, and leaves nothing pending.
func wantConsistent(t *testing.T, db *sql.DB, at string, to sink.Sink, size int64) {
	t.Helper()
	before := visible(t, db, at)
	next, err := to.Next(t.Context(), crashParts)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(below(next), visible(t, db, at)); d != "" && len(below(next)) > 0 {
		t.Errorf("visible after Next differs from the ledger %v (-ledger +visible):\n%s", next, d)
	}
	for p, offsets := range before { // what was visible before Next may lack files of the last commit, and has nothing else
		for i, o := range offsets {
			if o >= next[p] || i > 0 && offsets[i-1] == o {
				t.Errorf("before Next, %v showed offsets %v; the ledger stands at %d", p, offsets, next[p])
				break
			}
		}
	}
	if err := loadAll(t.Context(), to, size); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Next(t.Context(), crashParts); err != nil { // as the next assignment does
		t.Fatal(err)
	}
	all := below(map[sink.Partition]int64{sinktest.Part(0): crashRecords, sinktest.Part(1): crashRecords})
	if d := cmp.Diff(all, visible(t, db, at)); d != "" {
		t.Errorf("visible at the end (-want +got):\n%s", d)
	}
	if left, _ := filepath.Glob(lookAt(t, at) + "/tiledesk/_tilestream_pending/*/*/*/*"); left != nil {
		t.Errorf("left pending: %v", left)
	}
}

func openDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onStores runs a test on a directory and on each object store that there is. A write on it has at least that many steps.
func onStores(t *testing.T, test func(t *testing.T, least int, empty func(*testing.T) string)) {
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		test(t, 20, func(t *testing.T) string { return "file://" + filepath.ToSlash(t.TempDir()) })
	})
	for _, b := range buckets {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			base := b.url(t)
			test(t, 13, func(t *testing.T) string { return prefixed(t, base) })
		})
	}
}

// faulty opens the warehouse; fault is called before each step on the store. Nil: never.
func faulty(t *testing.T, at string, fault func(op, name string) error) sink.Sink {
	t.Helper()
	to, err := sink.FaultyFiles(t.Context(), at, "tiledesk", fault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	return to
}

// lookAt is a directory with what is in the warehouse.
func lookAt(t *testing.T, at string) (dir string) {
	t.Helper()
	dir, local := strings.CutPrefix(at, "file://")
	if local {
		return dir
	}
	dir = t.TempDir()
	mirror(t, at, dir, "")
	return dir
}

// steps runs test(n) for n = 1, 2, ... until it says that there was no n-th step.
func steps(t *testing.T, least int, test func(t *testing.T, n int) (reached bool)) {
	t.Helper()
	for n, reached := 1, true; reached; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) { reached = test(t, n) })
		if t.Failed() {
			return
		}
		if n < least && !reached {
			t.Fatalf("only %d steps: the test does not reach what it tests", n)
		}
	}
}

// atStep calls do at the n-th step. Of the many writes that make a file, one in eight is a step.
type atStep struct {
	n, seen, writes int // n 0: never
	do              func(op, name string) error
}

func (a *atStep) fault(op, name string) error {
	if op == "write" {
		if a.writes++; a.writes%8 != 1 {
			return nil
		}
	}
	if a.seen++; a.seen != a.n {
		return nil
	}
	return a.do(op, name)
}

// TestFilesKilled kills a process that loads, with SIGKILL, before each of its steps on the disk in turn.
func TestFilesKilled(t *testing.T) {
	onStores(t, func(t *testing.T, least int, empty func(*testing.T) string) {
		db := openDB(t)
		steps(t, least, func(t *testing.T, n int) bool {
			at := empty(t)
			out, err := crashChild(t, at, n).CombinedOutput()
			killed := false
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				status, ok := exit.Sys().(syscall.WaitStatus)
				killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
			}
			if err != nil && !killed {
				t.Fatalf("child: %v\n%s", err, out)
			}
			wantConsistent(t, db, at, faulty(t, at, nil), 3) // batches are cut anew
			return killed
		})
	})
}

// crashChild is this program running TestFilesCrashChild.
func crashChild(t *testing.T, at string, killAt int) *exec.Cmd {
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFilesCrashChild$")
	c.Env = append(os.Environ(), "TILESTREAM_TEST_FILES_URL="+at, "TILESTREAM_TEST_KILL_AT="+strconv.Itoa(killAt))
	return c
}

func TestFilesCrashChild(t *testing.T) {
	at := os.Getenv("TILESTREAM_TEST_FILES_URL")
	if at == "" {
		return // it runs as a child of TestFilesKilled and TestFilesProcesses
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
	to := faulty(t, at, kill.fault)
	for { // others may load at the same time
		if err := loadAll(t.Context(), to, 2); err == nil {
			return
		} else if !errors.Is(err, sink.ErrFenced) {
			t.Fatal(err)
		}
	}
}

// TestFilesFault fails each step on the disk in turn, as a full disk does, and goes on with the same Sink.
func TestFilesFault(t *testing.T) {
	onStores(t, func(t *testing.T, least int, empty func(*testing.T) string) {
		db := openDB(t)
		steps(t, least, func(t *testing.T, n int) bool {
			at := empty(t)
			full := &atStep{n: n, do: func(string, string) error { return syscall.ENOSPC }}
			to := faulty(t, at, full.fault)
			var err error
			if err = to.Prepare(t.Context(), crashTable); err == nil {
				_, err = to.Write(t.Context(), batchFrom(nil, 2))
			}
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%v, want the disk's error", err)
			}
			reached := full.seen >= n
			if reached && err == nil {
				t.Error("a failed step is no error")
			}
			full.n = 0
			wantConsistent(t, db, at, to, 3)
			return reached
		})
	})
}

// TestFilesZombie stops a writer before each of its steps while another one takes its partition over, and lets it go on.
func TestFilesZombie(t *testing.T) {
	onStores(t, func(t *testing.T, least int, empty func(*testing.T) string) {
		db := openDB(t)
		steps(t, least, func(t *testing.T, n int) bool {
			at := empty(t)
			takeOver := &atStep{n: n, do: func(string, string) error {
				other := faulty(t, at, nil)
				next, err := other.Next(t.Context(), crashParts)
				if err != nil {
					t.Error(err)
				} else if _, err := other.Write(t.Context(), batchFrom(next, 3)); err != nil {
					t.Error(err)
				}
				return nil
			}}
			zombie := faulty(t, at, takeOver.fault)
			if err := zombie.Prepare(t.Context(), crashTable); err != nil {
				t.Fatal(err)
			}
			if _, err := zombie.Write(t.Context(), batchFrom(nil, 2)); err != nil && !errors.Is(err, sink.ErrFenced) {
				t.Fatalf("zombie: %v, want ErrFenced or none", err)
			}
			reached := takeOver.seen >= n
			takeOver.n = 0
			wantConsistent(t, db, at, zombie, 2)
			return reached
		})
	})
}

// TestFilesProcesses has processes load the same partitions at the same time.
func TestFilesProcesses(t *testing.T) {
	onStores(t, func(t *testing.T, _ int, empty func(*testing.T) string) {
		at := empty(t)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if out, err := crashChild(t, at, 0).CombinedOutput(); err != nil {
					t.Errorf("child: %v\n%s", err, out)
				}
			})
		}
		wg.Wait()
		wantConsistent(t, openDB(t), at, faulty(t, at, nil), 2)
	})
}
