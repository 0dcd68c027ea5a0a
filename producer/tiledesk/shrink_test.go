package tiledesk

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Documents vanish from the top of a list while it is walked down, and pull the rest over the borders of its pages: what
// is still there at the end has come.
func TestShrinkingList(t *testing.T) {
	for name, set := range map[string]func(*world){"leads": func(*world) {}, "messages": func(*world) {}, "requests": func(w *world) { w.oldDates = true }} {
		w := newWorld(1)
		set(w)
		for i := range 90 {
			w.add(name, w.now.Add(-time.Duration(i)*time.Hour), "")
		}
		c := inWorld(w, V3)
		c.noFilter.Store(name == "requests")
		c.http.Transport = server(func(req *http.Request) (*http.Response, error) {
			resp, err := w.RoundTrip(req)
			if len(w.docs[name]) > 50 {
				w.docs[name] = w.docs[name][4:] // the newest
			}
			return resp, err
		})
		got, _ := pull(t, c, row(name, 10), Cursor{})
		for _, th := range w.docs[name] {
			if _, ok := got[th.id]; !ok {
				t.Errorf("%s: %s of %s never came", name, th.id, th.created)
			}
		}
	}
}

// Borders are not put through documents of one millisecond, which come in another order with each query.
func TestTiesAtBorders(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(seed)
		for i := range 120 {
			w.add("leads", w.now.Add(-time.Duration(i/4)*time.Hour), "")
		}
		if got, _ := pull(t, inWorld(w, V3), row("leads", 10), Cursor{}); len(got) != 120 {
			t.Errorf("seed %d: %d documents, want 120", seed, len(got))
		}
	}
}

// "Chat closed" is stored after the request's last updatedAt, and may show after the poll that read the request.
func TestLastWord(t *testing.T) {
	w := newWorld(1)
	w.agent = true
	r := w.add("requests", w.now.Add(-2*time.Second), "")
	w.add("messages", r.updated, r.id)
	c := inWorld(w, V3)
	got, cur := pull(t, c, row("messages", 0), Cursor{})
	if len(got) != 1 {
		t.Fatalf("%d messages, want 1", len(got))
	}
	last := w.add("messages", r.updated.Add(16*time.Millisecond), r.id)
	w.now = w.now.Add(5 * time.Second)
	if got, cur = pull(t, c, row("messages", 0), cur); len(got) != 1 || got[last.id].ID == "" {
		t.Errorf("got %v, want the server's last word alone", got)
	}
	for range 3 { // it settles
		w.now = w.now.Add(2 * overlap)
		_, cur = pull(t, c, row("messages", 0), cur)
	}
	asked := w.requests
	if got, next := pull(t, c, row("messages", 0), cur); len(got) > 0 || !next.equal(cur) || w.requests-asked != 1 {
		t.Errorf("at rest: %d documents, %d requests, cursor %+v after %+v", len(got), w.requests-asked, next, cur)
	}
}

// TestTotalThatSwings has a server that says another total each time, as one that estimates does. The walk ends all the same.
func TestTotalThatSwings(t *testing.T) {
	asked := 0
	c := with(server(func(req *http.Request) (*http.Response, error) {
		asked++
		return reply(200, fmt.Sprintf(`{"bots":[{"_id":"%s"}],"total":%d}`, req.URL.Query().Get("page"), 1000+asked%2)), nil
	}))
	api := Documented
	c.found.api.Store(&api)
	var last error
	for _, err := range c.Pages(t.Context(), row("bots", 0), Cursor{}) {
		last = err
	}
	if !errors.Is(last, errShrinks) {
		t.Errorf("after %d requests: %v, want %v", asked, last, errShrinks)
	}
}
