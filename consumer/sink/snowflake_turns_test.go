package sink_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// snowflakeTurns stands before an emulator that lets no transaction wait: who changes the lock's row has it until the transaction ends,
// and others wait for it, as Snowflake documents ("Transactions": resource locking).
type snowflakeTurns struct {
	to *httputil.ReverseProxy

	mu    sync.Mutex
	locks map[string]chan struct{} // of each table that is a lock; who has put something in has it
	held  map[string]string        // which, by session
}

// takeTurns returns the URL of an emulator behind it.
func takeTurns(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&snowflakeTurns{to: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: u.Host}), locks: map[string]chan struct{}{}, held: map[string]string{}})
	t.Cleanup(s.Close)
	u.Host = s.Listener.Addr().String()
	return u.String()
}

func (s *snowflakeTurns) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it was given up
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sql, session := statementIn(r, body), r.Header.Get("Authorization")
	if table, ok := strings.CutPrefix(sql, "UPDATE "); ok && strings.Contains(table, `"_TILESTREAM_LOCK" SET turns`) {
		select {
		case s.lock(table) <- struct{}{}:
			s.mu.Lock()
			s.held[session] = table
			s.mu.Unlock()
		case <-r.Context().Done():
			return
		}
	}
	s.to.ServeHTTP(w, r)
	if sql == "COMMIT" || sql == "ROLLBACK" || r.URL.Path == "/session" && r.URL.Query().Has("delete") {
		s.mu.Lock()
		table, ok := s.held[session]
		delete(s.held, session)
		s.mu.Unlock()
		if ok {
			<-s.lock(table)
		}
	}
}

func (s *snowflakeTurns) lock(table string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[table] == nil {
		s.locks[table] = make(chan struct{}, 1)
	}
	return s.locks[table]
}

// statementIn is the SQL of a request; "" for another one.
func statementIn(r *http.Request, body []byte) string {
	if r.URL.Path != "/queries/v1/query-request" {
		return ""
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		if unzipped, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, _ = io.ReadAll(unzipped)
		}
	}
	asked := struct{ SQLText string }{}
	_ = json.Unmarshal(body, &asked) // what is not JSON has no statement
	return asked.SQLText
}
