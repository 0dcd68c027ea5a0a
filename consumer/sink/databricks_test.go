package sink_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

// TestDatabricks needs a Spark that finds the volumes of the stand-in at /Volumes. On it a statement takes seconds, and the whole suite
// most of an hour: TEST_DATABRICKS_ALL=1 asks for it.
func TestDatabricks(t *testing.T) {
	rawURL := e2e.Emulator(t, "TEST_DATABRICKS_URL")
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		if os.Getenv("TEST_DATABRICKS_ALL") == "" && !slices.Contains(databricksShort, path.Base(t.Name())) {
			t.Skip("takes minutes: TEST_DATABRICKS_ALL=1 runs it")
		}
		return databricksIn(t, rawURL)
	})
}

// databricksShort is a case of each kind.
var databricksShort = []string{
	"every_type_comes_back", "a_replay_fills_a_column_that_was_added", "a_late_version_mends_both_neighbours", "a_deletion_counts_as_an_update,_and_names_its_load",
	"one_range_of_several_that_is_off_fences_all", "of_two_writers_of_one_range_one_wins", "an_int32_becomes_a_float64", "Prepare_by_many_at_once",
}

// databricksIn is a schema that is dropped when the test ends. It is read as verify reads.
func databricksIn(t testing.TB, rawURL string) sinktest.Destination {
	dataset := newDatabricks(t, rawURL)
	return sinktest.Destination{
		Ahead: true, Slow: true,
		Open: func(t testing.TB) sink.Sink {
			to, err := sink.Open(t.Context(), rawURL, dataset)
			if err != nil {
				t.Fatal(err)
			}
			return to
		},
		Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readThrough(t, rawURL, dataset, table) },
	}
}

func newDatabricks(t testing.TB, rawURL string) string {
	dataset := "tilestream_test_" + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		if err := sink.Drop(t.Context(), rawURL, dataset); err != nil {
			t.Errorf("drop dataset %s: %v", dataset, err)
		}
	})
	return dataset
}

func TestDatabricksURL(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"databricks://token:s3cret@host", "it takes databricks://token:TOKEN@HOST"},
		{"databricks://token@host/sql/1.0/warehouses/1", "it takes databricks://token:TOKEN@HOST"},
		{"databricks://host/sql/1.0/warehouses/1?token=s3cret", `it has a parameter "token"`},
		{"databricks://token:s3cret@host/sql/1.0/warehouses/1?volume=main.a.b", "it takes /Volumes/CATALOG/SCHEMA/VOLUME"},
		{"databricks://token:s3cret@host/sql/1.0/warehouses/1?volume=/Volumes/a/b/c/../d", "it takes /Volumes/CATALOG/SCHEMA/VOLUME"},
	} {
		_, err := sink.Open(t.Context(), c.url, "tiledesk")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%s) = %v, want %q in it", c.url, err, c.want)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%s) shows the secret: %v", c.url, err)
		}
	}
}

// What stands in the way of a warehouse is said at once, with what to do, and without the secret.
func TestDatabricksAdvice(t *testing.T) {
	t.Parallel()
	answer := func(status int, said string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, said, status) }))
		t.Cleanup(s.Close)
		return strings.Replace(s.URL, "http://127.0.0.1", "localhost", 1)
	}
	for _, c := range []struct {
		name, host, want string
		away             bool
	}{
		{"wrong token", answer(http.StatusForbidden, "Invalid access token."), "Invalid access token.: the credential", false},
		{"token of another workspace", answer(http.StatusUnauthorized, ""), "make a new token", false},
		{"no such warehouse", answer(http.StatusNotFound, ""), "there is no such SQL warehouse", false},
		{"asleep", answer(http.StatusServiceUnavailable, ""), "starting, stopped or overloaded", true},
		{"nobody there", "localhost:1", "check the host in WAREHOUSE_URL", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sink.Open(t.Context(), "databricks://token:s3cret@"+c.host+"/sql/1.0/warehouses/1?volume=/Volumes/a/b/c", "tiledesk")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "is away") != c.away {
				t.Errorf("Open: %v, want %q in it, away %v", err, c.want, c.away)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// A service principal fetches a token where the workspace issues them; one whose secret is wrong is told so.
func TestDatabricksPrincipal(t *testing.T) {
	t.Parallel()
	direct := e2e.Emulator(t, "TEST_DATABRICKS_URL")
	token := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/oidc/v1/token" {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		if id, secret, _ := r.BasicAuth(); id != "principal" || secret != "s3cret" || r.FormValue("scope") != "all-apis" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
		} else {
			_, _ = io.WriteString(w, `{"access_token":"token","token_type":"Bearer","expires_in":3600}`)
		}
		return true
	}
	through := func(secret string) string {
		u := databricksThrough(t, direct, token)
		u.User = url.UserPassword("principal", secret)
		return u.String()
	}
	good := through("s3cret")
	to, err := sink.Open(t.Context(), good, newDatabricks(t, direct))
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
	if _, err := sink.Open(t.Context(), through("wr0ng"), "tiledesk"); err == nil || !strings.Contains(err.Error(), "secret for the service principal") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("Open with a wrong secret: %v", err)
	}
}

// databricksThrough is the warehouse behind a proxy, which answers what take does not leave to it.
func databricksThrough(t *testing.T, rawURL string, take func(http.ResponseWriter, *http.Request) bool) *url.URL {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() != "localhost" {
		t.Skip("the proxy speaks to a warehouse on this machine only")
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: u.Host})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !take(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	u.Host = strings.Replace(s.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	return u
}

// TestDatabricksCut loses each statement of a write on its way, and then its reply, and wants rows and ledger to agree once the next
// consumer has gone on.
func TestDatabricksCut(t *testing.T) {
	t.Parallel()
	direct := e2e.Emulator(t, "TEST_DATABRICKS_URL")
	if os.Getenv("TEST_DATABRICKS_ALL") == "" {
		t.Skip("takes minutes: TEST_DATABRICKS_ALL=1 runs it")
	}
	var armed, cut atomic.Int32 // the statement to cut, from 1 on; what was cut
	var executed atomic.Bool
	proxied := databricksThrough(t, direct, func(w http.ResponseWriter, r *http.Request) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		changes := bytes.Contains(body, []byte("MERGE INTO")) || bytes.Contains(body, []byte("PUT '")) || bytes.Contains(body, []byte("INSERT INTO"))
		if !changes || armed.Load() == 0 || armed.Add(-1) != 0 {
			return false
		}
		cut.Add(1)
		if executed.Load() {
			req := r.Clone(context.WithoutCancel(r.Context()))
			u, _ := url.Parse(direct)
			req.URL.Scheme, req.URL.Host, req.RequestURI = "http", u.Host, ""
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return true
	}).String()
	dataset := newDatabricks(t, direct)
	table := sinktest.Table("things", sinktest.Column("text", sinktest.String))
	open := func() sink.Sink {
		to, err := sink.Open(t.Context(), proxied, dataset)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = to.Close() })
		if err := to.Prepare(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		return to
	}
	to := open()
	var at int64
	write := func() error {
		rows := []sinktest.Row{{"_id": "always", "text": fmt.Sprint(at), "_kafka_offset": at}, {"_id": fmt.Sprint(at), "text": "once", "_kafka_offset": at}}
		_, err := to.Write(t.Context(), sink.Batch{ID: fmt.Sprint("load ", at), Table: table, Rows: sinktest.Record(table.Schema, rows), Ranges: []sink.Range{sinktest.Span(0, at, at+1)}})
		return err
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	at++
	for n := int32(1); n <= 4; n++ { // PUT, the rows, the ledger, the line
		for _, executes := range []bool{false, true} {
			executed.Store(executes)
			armed.Store(n)
			if err := write(); err == nil {
				t.Fatalf("statement %d, executed %v: the write has not noticed", n, executes)
			}
			armed.Store(0)
			to = open()
			for err := errors.New("not yet"); err != nil; {
				next, failed := to.Next(t.Context(), []sink.Partition{sinktest.Part(0)})
				if failed != nil {
					t.Fatal(failed)
				}
				if next[sinktest.Part(0)] == at+1 {
					break
				}
				if err = write(); err != nil && !errors.Is(err, sink.ErrFenced) {
					t.Fatalf("statement %d, executed %v: the next consumer: %v", n, executes, err)
				}
			}
			at++
		}
	}
	if cut.Load() != 8 {
		t.Errorf("%d statements were cut, want 8", cut.Load())
	}
	want := []sinktest.Row{{"_id": "always", "text": fmt.Sprint(at - 1), "_kafka_offset": at - 1}}
	for i := range at {
		want = append(want, sinktest.Row{"_id": fmt.Sprint(i), "text": "once", "_kafka_offset": i})
	}
	if diff := sinktest.Diff(table, want, readThrough(t, direct, dataset, table)); diff != "" {
		t.Error(diff)
	}
}

// A table that somebody drops is missed, and made again by the next Prepare.
func TestDatabricksDropped(t *testing.T) {
	t.Parallel()
	d := databricksIn(t, e2e.Emulator(t, "TEST_DATABRICKS_URL"))
	to := d.Open(t)
	defer to.Close()
	table := sinktest.Table("things", sinktest.Column("text", sinktest.String))
	row := sinktest.Row{"_id": "a", "text": "one", "_kafka_offset": int64(0)}
	b := sink.Batch{ID: "load", Table: table, Rows: sinktest.Record(table.Schema, []sinktest.Row{row}), Ranges: []sink.Range{sinktest.Span(0, 0, 1)}}
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if err := sink.Statement(t.Context(), to, "DROP TABLE %s", "things"); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), b); err == nil || !strings.Contains(err.Error(), "there is no table") {
		t.Errorf("Write into a table that was dropped: %v", err)
	}
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if diff := sinktest.Diff(table, []sinktest.Row{row}, d.Read(t, table)); diff != "" {
		t.Error(diff)
	}
	// A rule that somebody has made for the table refuses values, not the load.
	if err := sink.Statement(t.Context(), to, "ALTER TABLE %s ADD CONSTRAINT short CHECK (length(text) < 5)", "things"); err != nil {
		t.Fatal(err)
	}
	long := sinktest.Row{"_id": "b", "text": "too long", "_kafka_offset": int64(1)}
	b = sink.Batch{ID: "long", Table: table, Rows: sinktest.Record(table.Schema, []sinktest.Row{long}), Ranges: []sink.Range{sinktest.Span(0, 1, 2)}}
	var rejected *sink.RejectedError
	if _, err := to.Write(t.Context(), b); !errors.As(err, &rejected) {
		t.Errorf("Write of what a constraint refuses: %v, want a *RejectedError", err)
	}
}
