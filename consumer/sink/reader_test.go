//go:build cgo

package sink_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

var readTable = sinktest.Table("things", sinktest.Column("n", sinktest.Int64), sinktest.Column("i", sinktest.Int32), sinktest.Column("f", sinktest.Float64),
	sinktest.Column("b", sinktest.Boolean), sinktest.Column("t", sinktest.String), sinktest.Column("j", sinktest.JSON))

// TestReader loads into each warehouse that there is here, and reads that back.
func TestReader(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (url, dataset string){
		"duckdb": func(t *testing.T) (string, string) {
			return "duckdb://" + filepath.Join(t.TempDir(), "w.duckdb"), "my set"
		},
		"files":  func(t *testing.T) (string, string) { return "file://" + t.TempDir(), "my set" },
		"bucket": func(t *testing.T) (string, string) { return prefixed(t, e2e.Service(t, "TEST_S3_URL")), "my set" },
		"bigquery": func(t *testing.T) (string, string) {
			url := sink.StartBigQuery(t, e2e.Emulator(t, "TEST_BIGQUERY_URL"))
			return url, bigQueryDataset(t, url)
		},
		"databricks": func(t *testing.T) (string, string) {
			url := e2e.Emulator(t, "TEST_DATABRICKS_URL")
			return url, newDatabricks(t, url)
		},
		"snowflake": func(t *testing.T) (string, string) {
			url := e2e.Emulator(t, "TEST_SNOWFLAKE_URL")
			return url, newSnowflake(t, url)
		},
		"redshift": func(t *testing.T) (string, string) { return startRedshift(t), redshiftDataset(t) },
		"postgres": func(t *testing.T) (string, string) {
			url := e2e.Service(t, "TEST_POSTGRES_URL")
			return modest(t, url), newSchema(t, url) // what the loader takes, the reader takes
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, dataset := open(t)
			to, err := sink.Open(t.Context(), url, dataset)
			if err != nil {
				t.Fatal(err)
			}
			if onFakesnow(url) {
				sink.SnowflakeWithoutMerge(to)
			}
			p := sink.Partition{Cluster: "c", Group: "g/1", Topic: "t.things", ID: 2}
			if err := to.Prepare(t.Context(), readTable); err != nil {
				t.Fatal(err)
			}
			at := time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
			rows := []sinktest.Row{
				{"_id": "a", "n": int64(1) << 60, "i": int32(-7), "f": 1.25, "b": true, "t": "it's\n\"ü\"", "j": `{"b": 1.50, "a":[1e2,null]}`, "updated_at": at, "_kafka_offset": int64(0)},
				{"_id": "b", "_kafka_offset": int64(1)},
			}
			for i, r := range rows {
				if _, err := to.Write(t.Context(), sink.Batch{ID: "load" + string(rune('1'+i)), Table: readTable, Bytes: 99, Rows: sinktest.Record(readTable.Schema, []sinktest.Row{r}),
					Ranges: []sink.Range{{Partition: p, From: int64(i * 10), To: int64(i*10 + 10)}}}); err != nil {
					t.Fatal(err)
				}
			}
			for _, state := range []string{"while it is open for writing", "after"} {
				if state == "after" {
					if err := to.Close(); err != nil {
						t.Fatal(err)
					}
				}
				wantRead(t, url, dataset, p, at, slices.Contains([]string{"files", "bucket", "databricks", "snowflake"}, name))
			}
		})
	}
}

func wantRead(t *testing.T, url, dataset string, p sink.Partition, at time.Time, writable bool) {
	t.Helper()
	r, err := sink.OpenReader(t.Context(), url, dataset)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := r.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ledger, err := v.Ledger(t.Context())
	if diff := cmp.Diff(map[sink.Partition]int64{p: 20}, ledger); err != nil || diff != "" {
		t.Error(err, diff)
	}
	var loads []sink.Load
	for l, err := range v.Loads(t.Context(), "things", 1) {
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(l.Began) > time.Hour || l.Took < 0 {
			t.Errorf("began %s, took %s", l.Began, l.Took)
		}
		l.Began, l.Took = time.Time{}, 0
		loads = append(loads, l)
	}
	if diff := cmp.Diff([]sink.Load{{ID: "load2", Table: "things", Ranges: []sink.Range{{Partition: p, From: 10, To: 20}}, Rows: 1, Stats: sink.Stats{Inserted: 1}, Bytes: 99}}, loads); diff != "" {
		t.Error(diff)
	}
	columns, err := v.Columns(t.Context(), readTable)
	if err != nil {
		t.Fatal(err)
	}
	got := map[any]map[string]any{}
	for values, err := range v.Rows(t.Context(), readTable, columns) {
		if err != nil {
			t.Fatal(err)
		}
		row := map[string]any{}
		for _, f := range readTable.Schema.Fields() {
			if i := v.Find(columns, f.Name); values[i] != nil {
				row[f.Name] = values[i]
			}
		}
		got[row["_id"]] = row
	}
	if diff := cmp.Diff(map[any]map[string]any{
		"a": {"_id": "a", "n": int64(1) << 60, "i": int64(-7), "f": 1.25, "b": true, "t": "it's\n\"ü\"", "j": sink.JSON(`{"a":[100,null],"b":1.5}`), "updated_at": at, "_kafka_offset": int64(0)},
		"b": {"_id": "b", "_kafka_offset": int64(1)},
	}, got); diff != "" {
		t.Error(diff)
	}
	if newest, err := v.Newest(t.Context(), readTable, "updated_at"); err != nil || !newest.Equal(at) {
		t.Errorf("newest %s, %v", newest, err)
	}
	if columns, err := v.Columns(t.Context(), sink.Table{Name: "nowhere", Key: "_id"}); columns != nil || err != nil {
		t.Errorf("a table that is not there has columns %v, %v", columns, err)
	}
	if writable {
		return // no statement reaches files, and Databricks and Snowflake have no session that only reads
	}
	quoted := `"` + dataset + `"`
	for _, s := range []string{`DELETE FROM ` + quoted + `.things`, `CREATE TABLE ` + quoted + `.other (n INTEGER)`} {
		other, err := r.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Exec(t.Context(), s); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s: %v, want a refusal", s, err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenReaderRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for url, says := range map[string]string{
		"mysql://u:hunter2@h/d":                           "no reader for this kind",
		"postgres://u:hunter2@127.0.0.1:1/d":              "refused",
		"duckdb://" + dir + "/none.duckdb":                "nothing has been loaded yet",
		"file://" + dir + "/none":                         "nothing has been loaded yet",
		"postgres://u:hunter%@h/d":                        "is not a URL",
		"postgres://u:hunter2@127.0.0.1:1/d?sslmode=what": "not a PostgreSQL URL",
	} {
		_, err := sink.OpenReader(t.Context(), url, "tiledesk")
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v, want it to say %q", sink.Redacted(url), err, says)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("reading has left %v behind, %v", left, err)
	}
}

// TestReaderHeld has another process hold the file, and then die with it.
func TestReaderHeld(t *testing.T) {
	if path := os.Getenv("TILESTREAM_TEST_HOLD"); path != "" {
		to, err := sink.Open(t.Context(), "duckdb://"+path, "tiledesk")
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		os.Stdout.WriteString("held\n")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent closes it
		return
	}
	path := filepath.Join(t.TempDir(), "w.duckdb")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReaderHeld$")
	child.Env = append(os.Environ(), "TILESTREAM_TEST_HOLD="+path)
	hold, err1 := child.StdinPipe()
	out, err2 := child.StdoutPipe()
	if err := errors.Join(err1, err2, child.Start()); err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal("the child has not opened the file: ", err)
	}
	_, err := sink.OpenReader(t.Context(), "duckdb://"+path, "tiledesk")
	var held *sink.HeldError
	if !errors.As(err, &held) || !strings.Contains(held.Holder, "process ") || held.Path != path {
		t.Errorf("got %v, want a HeldError that names the process", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	r, err := sink.OpenReader(t.Context(), "duckdb://"+path, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	v, err := r.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Exec(t.Context(), `SELECT * FROM tiledesk._tilestream_ledger`); err != nil {
		t.Errorf("what the dead writer has committed is not seen: %v", err)
	}
}

func TestCanonicalNumber(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.00": "0", "0e9": "0", "1": "1", "1.0": "1", "1e2": "100", "-1.50": "-1.5", "150E-2": "1.5", "0.001": "0.001", "1e-3": "0.001",
		"12345678901234567890.10": "12345678901234567890.1", "1e1000000": "1e1000000", "10e999999": "1e1000000", "1E-9": "1e-9", "1e99999999999": "1e99999999999",
	} {
		if got := sink.CanonicalNumber(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func FuzzCanonicalNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.50e1", "1e-7", "123.456"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var n json.Number
		if json.Unmarshal([]byte(s), &n) != nil || n == "" || len(s) > 40 || strings.HasPrefix(s, `"`) {
			return
		}
		_, exponent, _ := strings.Cut(strings.ToLower(string(n)), "e")
		if len(exponent) > 4 {
			return // big.Rat would write the zeros out
		}
		got := sink.CanonicalNumber(string(n))
		want, _ := new(big.Rat).SetString(string(n))
		have, ok := new(big.Rat).SetString(got)
		if !ok || want.Cmp(have) != 0 {
			t.Errorf("%s became %s", n, got)
		}
		if again := sink.CanonicalNumber(got); again != got {
			t.Errorf("%s became %s, and that %s", n, got, again)
		}
	})
}

func TestCanonicalJSON(t *testing.T) {
	t.Parallel()
	equal := [][]string{
		{`{"a":1,"b":[1.0,"x"]}`, ` { "b" : [ 1, "\u0078" ], "a" : 1e0 } `, `{"a":2,"a":1,"b":[1,"x"]}`},
		{`"<&>"`, `"\u003c&>"`},
		{`not JSON`}, {`{"a":1} x`}, {`null`}, {`[]`}, {`{}`}, {`""`}, {`"1"`}, {`1`}, {`[1,2]`}, {`[2,1]`}, {`true`},
	}
	var seen []sink.JSON
	for _, texts := range equal {
		first := sink.CanonicalJSON(texts[0])
		if slices.Contains(seen, first) {
			t.Errorf("%s is the same as another: %s", texts[0], first)
		}
		seen = append(seen, first)
		for _, s := range texts[1:] {
			if got := sink.CanonicalJSON(s); got != first {
				t.Errorf("%s became %s, want %s", s, got, first)
			}
		}
	}
}
