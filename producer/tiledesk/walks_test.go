package tiledesk

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"tilestream/internal/ops"
	"tilestream/schemas"
)

var seeds = flag.Uint64("seeds", 3, "how many worlds TestWalks reads in each way")

// inWorld returns a client of the world.
func inWorld(w *world, api API) *Client {
	c := New(Project{ID: "p", URL: "http://tiledesk.test", API: api, RequestsPerMinute: 1e9, Credential: Credential{Token: ops.Secret("t")}}, quiet())
	c.http.Transport = w
	return c
}

// row returns a row of schemas.Resources with pages of that size; 0 leaves it.
func row(name string, limit int) schemas.Resource {
	rs, err := schemas.ByName(name)
	if err != nil {
		panic(err)
	}
	if limit > 0 {
		rs[0].Limit = limit
	}
	return rs[0]
}

// TestWalks reads a world that changes between any two requests, stopping at random pages and going on from the serialised
// cursor, in another client half of the time. Once the world is quiet, every document must have come in its last version,
// and none twice in the same.
func TestWalks(t *testing.T) {
	for _, tt := range []struct {
		name, resource string
		limit          int
		api            API
		ties           bool // any number of documents in a millisecond
		set            func(*world)
	}{
		{"updated since", "requests", 10, V3, true, nil},
		{"updated since, deletions", "requests", 10, V3, true, func(w *world) { w.deletes = true }},
		{"old server", "requests", 10, V3, false, func(w *world) { w.oldDates = true }},
		{"old server, deletions", "requests", 10, V3, false, func(w *world) { w.oldDates, w.deletes = true, true }},
		{"newest first", "leads", 10, V3, false, nil},
		{"newest first, deletions", "leads", 10, V3, false, func(w *world) { w.deletes = true }},
		{"all messages", "messages", 10, V3, false, nil},
		{"all messages, deletions", "messages", 10, V3, false, func(w *world) { w.deletes = true }},
		{"through requests", "messages", 10, V3, false, func(w *world) { w.agent = true }},
		{"through requests, deletions", "messages", 10, V3, false, func(w *world) { w.agent, w.deletes = true, true }},
		{"through requests, old server", "messages", 10, V3, false, func(w *world) { w.agent, w.oldDates = true, true }},
		{"documented, by createdAt", "requests", 10, Documented, true, func(w *world) { w.sortBy = "createdAt" }},
		{"documented, by updatedAt", "requests", 10, Documented, true, func(w *world) { w.sortBy = "updatedAt" }},
		{"documented, from 1", "messages", 10, Documented, true, func(w *world) { w.sortBy, w.first = "createdAt", 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for seed := range *seeds {
				w := newWorld(seed)
				if w.ties = 2; tt.ties {
					w.ties = 0
				}
				w.history("requests", 130)
				w.history("leads", 60)
				w.history("messages", 120)
				if tt.set != nil {
					tt.set(w)
				}
				readWorld(t, fmt.Sprintf("seed %d", seed), w, tt.api, row(tt.resource, tt.limit))
				if t.Failed() {
					return
				}
			}
		})
	}
}

func readWorld(t *testing.T, name string, w *world, api API, r schemas.Resource) {
	c := inWorld(w, api)
	rnd := rand.New(rand.NewPCG(7, uint64(w.ids)))
	came := map[string]int64{} // last version by id
	twice := map[string]bool{}
	var cur Cursor
	poll := func(restarts bool) {
		for p, err := range c.Pages(t.Context(), r, cur) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, d := range p.Docs {
				rec := recordOf(t, d.JSON)
				key := fmt.Sprint(rec.ID, " ", rec.version())
				if twice[key] {
					t.Errorf("%s: %s came twice", name, key)
				}
				twice[key] = true
				came[rec.ID] = rec.version()
			}
			cur = restart(t, p.Next)
			if restarts && rnd.IntN(4) == 0 {
				if rnd.IntN(2) == 0 {
					c = inWorld(w, api)
				}
				return
			}
		}
	}
	w.busy = 0.3
	for range 40 {
		poll(true)
		w.now = w.now.Add(time.Duration(rnd.IntN(8)) * time.Second)
		if rnd.IntN(20) == 0 {
			w.settle()
			w.settle()
			w.now = w.now.Add(time.Hour)
		}
	}
	w.busy = 0
	for range 3 {
		w.now = w.now.Add(2 * overlap)
		poll(false)
	}
	for _, th := range w.docs[r.Name] {
		if v, ok := came[th.id]; !ok || v != th.updated.UnixMilli() {
			t.Errorf("%s: %s changed at %s, came in version %d (%t)", name, th.id, th.updated, v, ok)
		}
	}
	// At rest a poll costs one request, finds nothing and leaves the cursor alone, but for one last time when all has settled.
	poll(false)
	w.now = w.now.Add(2 * settled)
	poll(false)
	before, seen := restart(t, cur), maps.Clone(twice)
	asked := w.requests
	poll(false)
	if !cur.equal(before) || len(seen) != len(twice) {
		t.Errorf("%s: at rest the cursor moves: %+v, then %+v", name, before, cur)
	}
	if n := w.requests - asked; n > 1 && api == V3 && !w.oldDates {
		t.Errorf("%s: at rest a poll costs %d requests", name, n)
	}
	if api == V3 && len(cur.Seen) > 0 {
		t.Errorf("%s: at rest Seen holds %d documents", name, len(cur.Seen))
	}
}
