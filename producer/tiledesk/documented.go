package tiledesk

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tilestream/schemas"
)

// perPage is how many documents a page of the documented API is asked to hold.
const perPage = 100

// documented walks the pages of a resource in each poll: the documented API cannot filter by date and promises no order.
// Changes are told by updatedAt: what changed at the watermark or later and is not in Seen. A document without dates is told
// by its content, and stays in Seen, at about 40 bytes. New documents may push others over the border of the pages, so what
// the last two pages held is in Seen too; where total falls, the walk steps back.
//
// It finds no deletions: pages that move while they are read are no listing that is known to be complete.
func (c *Client) documented(ctx context.Context, r schemas.Resource, from Cursor, yield func(Page) bool) error {
	if !r.Documented {
		return &Error{Resource: r.Name, Err: errNotOffered, Hint: "leave it out of TILEDESK_RESOURCES, or set TILEDESK_API=v3 if the server speaks that"}
	}
	w := pagesWalk{from: from, keep: map[string]int64{}}
	if from.Walk != nil {
		w.at, w.resumed = *from.Walk, true
		maps.Copy(w.keep, from.Seen)
	}
	yielded := w.resumed
	shrinks := 0
	for total := -1; ; {
		l, end, err := c.page(ctx, r, &w.at.Skip, w.last == nil)
		if err != nil {
			return err
		}
		if lost := total - l.count; l.count >= 0 && lost > 0 && w.at.Skip > 0 {
			if shrinks++; shrinks > maxShrinks {
				return &Error{Resource: r.Name, URL: c.base(Documented), Err: errShrinks}
			}
			total, w.resumed, w.same = l.count, true, 0
			w.at.Skip = max(0, w.at.Skip-1-lost/perPage)
			continue
		}
		total = l.count
		docs, over := w.add(l, r.Walk == schemas.ThroughRequests)
		p := Page{Docs: docs, Total: max(total, 0)}
		w.at.Skip++
		if end || over {
			p.Next = Cursor{Since: w.at.Top, Seen: w.keep}
			if yielded || len(docs) > 0 {
				yield(p)
			}
			return nil
		}
		if len(docs) > 0 {
			shrinks = 0
			p.Next = w.cursor()
			if yielded = true; !yield(p) {
				return nil
			}
		}
	}
}

// page reads a page. The documentation does not say whether pages count from 0 or from 1: at the beginning, *n is moved to 1
// where the server refuses 0 or says that it gave page 1. A page beyond the first that is not there is the end.
func (c *Client) page(ctx context.Context, r schemas.Resource, n *int, first bool) (l list, end bool, err error) {
	l, err = c.askPage(ctx, r, *n)
	var e *Error
	if absent := errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusNotFound); absent {
		switch {
		case *n == 0:
			if one, err := c.askPage(ctx, r, 1); err == nil {
				*n = 1
				return one, false, nil
			}
		case !first && e.Status == http.StatusNotFound:
			return list{count: -1}, true, nil
		}
	}
	if err == nil && *n == 0 && l.page == 1 {
		*n = 1
	}
	return l, false, err
}

func (c *Client) askPage(ctx context.Context, r schemas.Resource, n int) (list, error) {
	q := url.Values{"page": {strconv.Itoa(n)}, "perPage": {strconv.Itoa(perPage)}}
	u := c.base(Documented) + "/projects/" + url.PathEscape(c.project.ID) + "/" + r.Name + "?" + q.Encode()
	var l list
	now, err := c.get(ctx, r.Name, Documented, u, func(body []byte) (err error) {
		l, err = parseList(body, r.Name)
		return err
	})
	l.now = now
	return l, err
}

// pagesWalk is the state of a walk over the pages of the documented API.
type pagesWalk struct {
	from         Cursor
	at           Walk
	keep         map[string]int64 // what the next poll meets again
	last, before map[string]int64 // what the last page held, and the one before that
	got          int              // documents so far
	resumed      bool             // got does not count all
	same         int              // pages in a row that brought nothing new
	order        sequence
}

// add takes a page, and returns what is new in it, and whether the walk is over.
func (w *pagesWalk) add(l list, appendOnly bool) (docs []Doc, over bool) {
	if w.at.Top.IsZero() {
		w.at.Top = later(w.from.Since, watermark(l.now, l.now))
	}
	page := map[string]int64{}
	moved, old := false, len(l.records) > 0
	for _, rec := range l.records {
		v, t := rec.version(), rec.changed()
		if t.IsZero() {
			v = hash(rec.JSON)
		}
		if _, ok := w.last[rec.ID]; !ok {
			moved = true
			w.got++
		}
		repeat := w.known(rec.ID, v)
		page[rec.ID] = v
		if t.IsZero() || !t.Before(w.at.Top) {
			w.keep[rec.ID] = v
		}
		before := !t.IsZero() && t.Before(w.from.Since)
		old = old && before
		if !repeat && !before {
			docs = append(docs, rec.Doc)
		}
		w.order.add(rec)
	}
	w.before, w.last = w.last, page
	if w.same++; moved {
		w.same = 0
	}
	switch {
	case len(l.records) == 0:
		over = w.at.Skip > 0 || l.count <= 0 // an empty page 0 of many is that of a server that counts from 1
	case w.same > 1: // page 1 may be page 0 again where the server counts from 1; after that, it does not turn pages
		over = true
	case !w.resumed && l.count >= 0 && w.got >= l.count:
		over = true
	case old:
		over = w.order.newestFirst(appendOnly)
	}
	return docs, over
}

func (w *pagesWalk) known(id string, v int64) bool {
	for _, m := range []map[string]int64{w.from.Seen, w.keep, w.last, w.before} {
		if was, ok := m[id]; ok && was == v {
			return true
		}
	}
	return false
}

// cursor is where the walk stands between two pages.
func (w *pagesWalk) cursor() Cursor {
	at := w.at
	c := Cursor{Since: w.from.Since, Seen: map[string]int64{}, Walk: &at}
	for _, m := range []map[string]int64{w.from.Seen, w.keep, w.before, w.last} {
		maps.Copy(c.Seen, m)
	}
	return c
}

// sequence watches in which order documents come.
type sequence struct {
	notUpdated, notCreated   bool // they do not come by updatedAt, by createdAt, newest first
	lastUpdated, lastCreated time.Time
}

func (o *sequence) add(rec record) {
	o.notUpdated = o.notUpdated || rec.updated.IsZero() || !o.lastUpdated.IsZero() && rec.updated.After(o.lastUpdated)
	o.notCreated = o.notCreated || rec.created.IsZero() || !o.lastCreated.IsZero() && rec.created.After(o.lastCreated)
	o.lastUpdated, o.lastCreated = rec.updated, rec.created
}

// newestFirst says whether nothing new can follow a page of old documents. By updatedAt, nothing can. By createdAt, an old
// document that changed can, unless documents do not change; and where the two orders look the same, it may be either.
func (o *sequence) newestFirst(appendOnly bool) bool {
	if appendOnly {
		return !o.notUpdated || !o.notCreated
	}
	return !o.notUpdated && o.notCreated
}
