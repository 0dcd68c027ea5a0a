package tiledesk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"
)

// world is a small Tiledesk in memory that changes while it is read: between any two requests documents may appear, change,
// vanish, or show up late with a time that has passed. It knows the clock, so tests say when things happen.
type world struct {
	rnd      *rand.Rand
	now      time.Time
	docs     map[string][]*thing // by path
	due      []func()            // done before the next request
	busy     float64             // chance of a change before a request
	deletes  bool
	agent    bool   // /messages is forbidden
	oldDates bool   // date filters are ignored, as by servers before 2.14.9
	sortBy   string // documented: the order, in which ties hold their places
	ties     int    // most documents that share a millisecond; 0: any
	first    int    // documented: number of the first page
	ids      int
	requests int
}

type thing struct {
	id               string
	created, updated time.Time
	request          string // messages: the request they belong to
}

func (th *thing) json() string {
	iso := "2006-01-02T15:04:05.000Z"
	return fmt.Sprintf(`{"_id":%q,"request_id":"r-%s","recipient":"r-%s","createdAt":%q,"updatedAt":%q}`,
		th.id, th.id, th.request, th.created.Format(iso), th.updated.Format(iso))
}

func newWorld(seed uint64) *world {
	return &world{rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), docs: map[string][]*thing{}}
}

func (w *world) add(path string, at time.Time, request string) *thing {
	w.ids++
	at = at.Truncate(time.Millisecond)
	th := &thing{id: fmt.Sprintf("%024x", w.ids), created: at, updated: at, request: request}
	w.docs[path] = append(w.docs[path], th)
	return th
}

// history fills the world with what happened before the first poll: n documents, many of them in the same seconds.
func (w *world) history(path string, n int) {
	at, tied := w.now.Add(-24*time.Hour), 0
	for range n {
		if tied++; w.rnd.IntN(3) == 0 || tied == w.ties {
			tied, at = 0, at.Add(time.Millisecond+time.Duration(w.rnd.IntN(3000))*time.Millisecond)
		}
		if path != "messages" {
			w.add(path, at, "")
			continue
		}
		w.post(at)
	}
}

// post writes a message as Tiledesk does: its request's updatedAt follows, and sometimes a message of the server's own
// comes after that.
func (w *world) post(at time.Time) {
	rs := w.docs["requests"]
	if len(rs) == 0 || w.rnd.IntN(4) == 0 {
		w.add("requests", at, "")
		rs = w.docs["requests"]
	}
	r := rs[w.rnd.IntN(len(rs))]
	w.add("messages", at, r.id)
	after := func(f func()) {
		if at.Equal(w.now) && w.rnd.IntN(2) == 0 {
			w.due = append(w.due, f)
		} else {
			f()
		}
	}
	after(func() {
		u := later(at, w.now).Add(3 * time.Millisecond)
		if !at.Equal(w.now) {
			u = at.Add(3 * time.Millisecond)
		}
		r.updated = later(r.updated, u)
		if w.rnd.IntN(3) == 0 {
			after(func() { w.add("messages", r.updated.Add(16*time.Millisecond), r.id) })
		}
	})
}

// change does one thing that users do.
func (w *world) change(path string) {
	w.now = w.now.Add(time.Duration(w.rnd.IntN(4)*w.rnd.IntN(1500)) * time.Millisecond)
	ds := w.docs[path]
	switch k := w.rnd.IntN(10); {
	case path == "messages" && k < 8:
		w.post(w.now)
	case k < 2:
		w.add(path, w.now, "")
	case k < 4: // late: its time was taken seconds before it shows
		w.add(path, w.now.Add(-time.Duration(w.rnd.IntN(4000))*time.Millisecond), "")
	case k < 5 && path != "messages": // an import
		most := 30
		if w.sortBy != "" { // no more than one page: all that the documented walk promises to know again
			most = 10
		}
		for i := range w.rnd.IntN(most) {
			if w.ties > 0 && i%w.ties == 0 {
				w.now = w.now.Add(time.Millisecond)
			}
			w.add(path, w.now, "")
		}
	case k < 8 && len(ds) > 0 && path != "messages":
		ds[w.rnd.IntN(len(ds))].updated = w.now
	case w.deletes && len(ds) > 0:
		for range 1 + w.rnd.IntN(3) {
			if len(ds) > 0 {
				i := w.rnd.IntN(len(ds))
				ds = slices.Delete(ds, i, i+1)
			}
		}
		w.docs[path] = ds
		if path == "requests" { // their messages go with them
			w.docs["messages"] = slices.DeleteFunc(w.docs["messages"], func(m *thing) bool {
				return !slices.ContainsFunc(ds, func(r *thing) bool { return r.id == m.request })
			})
		}
	}
}

// settle does what is due.
func (w *world) settle() {
	due := w.due
	w.due = nil
	for _, f := range due {
		f()
	}
}

// RoundTrip answers a request of the v3 or the documented API.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	w.requests++
	w.settle()
	rec := httptest.NewRecorder()
	rec.Header().Set("Date", w.now.Format(http.TimeFormat))
	w.serve(rec, req)
	if w.rnd.Float64() < w.busy {
		for _, path := range []string{"requests", "messages", "leads"} {
			if len(w.docs[path]) > 0 {
				w.change(path)
			}
		}
	}
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

func (w *world) serve(rec *httptest.ResponseRecorder, req *http.Request) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	q := req.URL.Query()
	number := func(name string, def int) int {
		if n, err := strconv.Atoi(q.Get(name)); err == nil {
			return n
		}
		return def
	}
	if parts[0] == "projects" {
		ds := w.sorted(parts[2], w.sortBy, -1)
		n := number("page", w.first) - w.first
		if n < 0 {
			http.Error(rec, `{"error":"no page 0"}`, http.StatusBadRequest)
			return
		}
		fmt.Fprintf(rec, `{"total":%d,"page":%d,"perPage":10,%q:`, len(ds), n+w.first, parts[2])
		write(rec, ds, n*10, 10)
		fmt.Fprint(rec, "}")
		return
	}
	path := parts[1]
	if len(parts) == 4 { // requests/r-ID/messages
		var ds []*thing
		for _, m := range w.docs["messages"] {
			if m.request == parts[2][2:] {
				ds = append(ds, m)
			}
		}
		write(rec, ds, 0, len(ds))
		return
	}
	if path == "messages" && w.agent {
		rec.WriteHeader(http.StatusForbidden)
		io.WriteString(rec, `{"success":false,"msg":"you dont have the required role."}`)
		return
	}
	sort, dir := q.Get("sort"), number("direction", -1)
	if sort == "" {
		sort = "createdAt"
	}
	ds := w.sorted(path, sort, dir)
	if !w.oldDates {
		ds = slices.DeleteFunc(ds, func(th *thing) bool {
			from, err := time.Parse(dateFormat, q.Get("start_date_time"))
			if err == nil && th.updated.Before(from) {
				return true
			}
			to, err := time.Parse(dateFormat, q.Get("end_date_time"))
			return err == nil && th.updated.After(to)
		})
	}
	limit := number("limit", 40)
	if path == "messages" {
		write(rec, ds, number("page", 0)*limit, limit)
		return
	}
	fmt.Fprintf(rec, `{"perPage":%d,"count":%d,%q:`, limit, len(ds), path)
	write(rec, ds, number("page", 0)*limit, limit)
	fmt.Fprint(rec, "}")
}

// sorted lists documents; those equal in the order come in no particular one, as databases give them.
func (w *world) sorted(path, by string, dir int) []*thing {
	ds := slices.Clone(w.docs[path])
	if w.sortBy == "" {
		w.rnd.Shuffle(len(ds), func(i, j int) { ds[i], ds[j] = ds[j], ds[i] })
	}
	slices.SortStableFunc(ds, func(a, b *thing) int {
		switch by {
		case "_id":
			return dir * strings.Compare(a.id, b.id)
		case "updatedAt":
			return dir * a.updated.Compare(b.updated)
		default:
			return dir * a.created.Compare(b.created)
		}
	})
	return ds
}

func write(w io.Writer, ds []*thing, skip, limit int) {
	var out []json.RawMessage
	for _, d := range ds[min(skip, len(ds)):min(skip+limit, len(ds))] {
		out = append(out, json.RawMessage(d.json()))
	}
	b, _ := json.Marshal(out)
	if out == nil {
		b = []byte("[]")
	}
	io.Copy(w, bytes.NewReader(b))
}
