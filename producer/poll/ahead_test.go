package poll

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tilestream/producer/tiledesk"
	"tilestream/schemas"
)

// What one transaction takes: what comes within pace of the last one, what is waiting when that is over, and never much more than is enough.
func TestGather(t *testing.T) {
	for name, c := range map[string]struct {
		since   time.Duration // the last transaction began
		waiting int           // pages, besides the first
		bytes   int           // of each
		every   time.Duration // another comes
		closed  bool
		pages   int
		takes   time.Duration
	}{
		"long after the last":           {since: time.Minute, pages: 1},
		"long after, others wait":       {since: time.Minute, waiting: 3, pages: 4},
		"soon after the last":           {since: pace / 5, pages: 1, takes: pace * 4 / 5},
		"soon after, more come":         {since: pace / 5, every: pace/5 + time.Millisecond, pages: 4, takes: pace * 4 / 5},
		"enough waits":                  {waiting: 9, bytes: transactionBytes / 4, pages: 4},
		"enough comes":                  {every: pace / 10, bytes: transactionBytes / 4, pages: 4, takes: pace * 3 / 10},
		"one is enough":                 {waiting: 9, bytes: transactionBytes, pages: 1},
		"nothing more can come":         {closed: true, pages: 1},
		"nothing can come, others wait": {waiting: 2, closed: true, pages: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tx := &transactions{pages: make(chan *publication, waitingPages)}
				page := &publication{bytes: c.bytes}
				for range c.waiting {
					tx.pages <- page
				}
				if c.closed {
					close(tx.pages)
				}
				ended := make(chan struct{})
				if c.every > 0 {
					go func() {
						for {
							select {
							case <-ended:
								return
							case <-time.After(c.every):
								tx.pages <- page
							}
						}
					}()
				}
				began := time.Now()
				got := tx.gather(page, began.Add(-c.since).Add(pace))
				if takes := time.Since(began); len(got) != c.pages || takes != c.takes {
					t.Errorf("%d pages after %v, want %d after %v", len(got), takes, c.pages, c.takes)
				}
				close(ended)
			})
		})
	}
}

// The next page is fetched while one is looked at, and no more than that one; who stops leaves no request behind.
func TestPageAhead(t *testing.T) {
	r := newRig(t)
	for i := range 500 {
		at := time.UnixMilli(1_700_000_000_000 + int64(i)*1000).UTC().Format("2006-01-02T15:04:05.000Z") // ties would be asked for twice
		if err := r.tiledesk.Put("messages", fmt.Appendf(nil, `{"_id":"6b03%020x","id_project":%q,"text":"hello","createdAt":%q,"updatedAt":%[3]q}`, i, r.tiledesk.Project.ID, at)); err != nil {
			t.Fatal(err)
		}
	}
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		r.tiledesk.ServeHTTP(w, req)
	}))
	defer web.Close()
	r.url = web.URL
	messages, err := schemas.ByName("messages")
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{client: r.client(r.tiledesk.Project), resource: messages[0]}
	looked := int64(0)
	for _, err := range s.pages(t.Context(), tiledesk.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for deadline := time.Now().Add(time.Minute); asked.Load() <= looked; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d pages were looked at, and %d asked for: the next is not", looked, asked.Load())
			}
		}
		time.Sleep(20 * time.Millisecond)
		if n := asked.Load(); n != looked+1 {
			t.Errorf("%d pages were looked at, and %d asked for", looked, n)
		}
		if looked == 4 {
			break
		}
	}
}
