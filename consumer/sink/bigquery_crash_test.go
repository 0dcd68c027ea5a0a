package sink

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"tilestream/internal/e2e"
)

// TestBigQueryCut loses each request of a Write in turn, once before it is sent and once after it was answered; with it all that follow,
// as when the machine is gone, or none, as when a line was cut. Rows and ledger have to agree each time.
func TestBigQueryCut(t *testing.T) {
	t.Parallel()
	direct := e2e.Emulator(t, "TEST_BIGQUERY_URL")
	for _, c := range []crashCase{{name: "upsert"}, {name: "hard", hard: true}, {name: "history", mode: History}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cut := &cutRequests{}
			at := startBigQuery(t, direct, func(next http.Handler) http.Handler { cut.next = next; return cut })
			u, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			dataset := "tilestream_cut_" + strings.ToLower(rand.Text()[:10])
			t.Cleanup(func() {
				if err := Drop(t.Context(), at, dataset); err != nil {
					t.Error(err)
				}
			})
			c.open = func(t testing.TB) *staged {
				s, err := newBigQuery(t.Context(), u, dataset)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			c.cuts(t, cut)
		})
	}
}

func (c crashCase) cuts(t *testing.T, cut *cutRequests) {
	table := crashingTable("crash_" + c.name)
	table.Mode, table.HardDelete = c.mode, c.hard
	s := c.open(t)
	defer func() { _ = s.Close() }()
	if err := s.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	var next int64
	batches, undone, went := 0, 0, 0
	for _, how := range []struct{ after, all bool }{{false, true}, {true, true}, {false, false}, {true, false}} {
		for at := 1; ; at++ {
			b := c.batch(table, next)
			cut.arm(at, how.after, how.all)
			_, written := s.Write(t.Context(), b)
			lost := cut.disarm()
			if how.all { // the process is gone
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				s = c.open(t)
			}
			words := fmt.Sprintf("request %d (%s), after its answer %v, all that follow %v", at, lost, how.after, how.all)
			held := c.next(t, s, b)
			switch {
			case held != next && held != next+crashRows, written == nil && held == next:
				t.Fatalf("%s: the ledger is at %d after a batch from %d: Write: %v", words, held, next, written)
			case held == next:
				undone++
				if _, err := s.Write(t.Context(), b); err != nil {
					t.Fatalf("%s: written again: %v", words, err)
				}
			default:
				went++
			}
			next += crashRows
			batches++
			c.wantRows(t, s, &severed{at: at, after: how.after, words: lost}, table, next, batches)
			if lost == "" {
				break // the write has no more requests
			}
		}
	}
	t.Logf("%d batches, %d of them written again", batches, undone)
	if undone < 4 || went < 8 {
		t.Errorf("%d batches were lost, and %d were not: want some of each kind", undone, went)
	}
}

// cutRequests is a line that is cut.
type cutRequests struct {
	next       http.Handler
	mu         sync.Mutex
	in         int // requests until it is cut, from 1; 0: it is not
	after, all bool
	lost       string // the first request that was lost
}

func (c *cutRequests) arm(at int, after, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in, c.after, c.all, c.lost = at, after, all, ""
}

func (c *cutRequests) disarm() (lost string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = 0
	return c.lost
}

func (c *cutRequests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	loses, gone := c.in == 1, c.in == 1 && c.lost != ""
	if c.in > 1 {
		c.in--
	}
	if loses && !gone {
		c.lost = r.Method + " " + r.URL.Path
	}
	if loses && !c.all {
		c.in = 0
	}
	after := c.after
	c.mu.Unlock()
	if !loses {
		c.next.ServeHTTP(w, r)
		return
	}
	if after && !gone {
		c.next.ServeHTTP(httptest.NewRecorder(), r)
	}
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}
