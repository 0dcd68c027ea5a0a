package tiledesk

import (
	"context"
	"fmt"
	"maps"
	"time"

	"tilestream/schemas"
)

// updatedSince asks for what changed since the cursor, oldest change first. It never pages over that order, since a document
// that changes leaves it and pulls another one over the border of the pages: it asks for the first page again, from the last
// change seen.
func (c *Client) updatedSince(ctx context.Context, r schemas.Resource, from Cursor, yield func(Page) bool) error {
	if from.Walk != nil || c.noFilter.Load() {
		return c.newestFirst(ctx, r, byUpdate, from, yield)
	}
	seen := maps.Clone(from.Seen)
	if seen == nil {
		seen = map[string]int64{}
	}
	cur, at := from, from.Since // at: where this poll stands. Since stays behind it by the overlap.
	total := -1
	// page moves the cursor to since and yields what is new among the records.
	page := func(records []record, since time.Time) bool {
		p := Page{Docs: fresh(records, seen), Total: max(total, 0)}
		since = later(cur.Since, since)
		p.Next = Cursor{Since: since, Seen: seenFrom(seen, since)}
		if p.Next.equal(cur) {
			return true
		}
		cur = p.Next
		return yield(p)
	}
	for {
		size := pageSize(r)
		l, err := c.list(ctx, r, r.Path, changedSince(paged(query(r, "sort", "updatedAt", "direction", "1"), 0, size), at))
		if err != nil {
			return err
		}
		if ignoresFilter(l, at) {
			if !c.noFilter.Swap(true) {
				c.log.Warn("tiledesk: the server is older than 2.14.9 and cannot filter by updatedAt; walking down from the newest change instead", "project", c.project.ID)
			}
			return c.newestFirst(ctx, r, byUpdate, cur, yield)
		}
		if l.limit > 0 {
			size = min(size, l.limit)
		}
		if total < 0 {
			total = l.count
		}
		last := at
		for _, rec := range l.records {
			last = later(last, rec.updated)
		}
		switch full := len(l.records) >= size; {
		case !full && len(l.records) == 0:
			return nil
		case !full:
			page(l.records, watermark(nextSecond(newest(l, record.changed)), l.now))
			return nil
		case last.IsZero():
			return &Error{Resource: r.Name, URL: c.base(V3), Err: fmt.Errorf("%d documents without updatedAt", len(l.records))}
		case !at.IsZero() && second(last).Equal(second(at)):
			// One second holds more than a page.
			ok, err := c.oneSecond(ctx, r, second(at), func(records []record) bool { return page(records, cur.Since) })
			if err != nil || !ok {
				return err
			}
			at = nextSecond(at)
			if !page(nil, watermark(at, l.now)) {
				return nil
			}
		default:
			at = last
			if !page(l.records, watermark(newest(l, record.changed), l.now)) {
				return nil
			}
		}
	}
}

// newest returns the latest key that does not lie in the server's future: a document dated 2099 does not move the watermark.
func newest(l list, key func(record) time.Time) time.Time {
	var t time.Time
	for _, rec := range l.records {
		if k := key(rec); !k.After(l.now) {
			t = later(t, k)
		}
	}
	return t
}

// fresh returns the documents that are not in seen in the same version, and puts them there.
func fresh(records []record, seen map[string]int64) []Doc {
	var docs []Doc
	for _, rec := range records {
		if has(seen, rec) {
			continue
		}
		seen[rec.ID] = rec.version()
		docs = append(docs, rec.Doc)
	}
	return docs
}

// ignoresFilter says whether the answer holds changes from before the asked time.
func ignoresFilter(l list, at time.Time) bool {
	for _, rec := range l.records {
		if !at.IsZero() && !rec.updated.IsZero() && rec.updated.Before(second(at)) {
			return true
		}
	}
	return false
}

// oneSecond walks everything that changed within the second from t on, in pages. The end is included (<=), to the
// millisecond 0 of the next second: such a document comes twice, and seen drops it. It returns false when yield did.
func (c *Client) oneSecond(ctx context.Context, r schemas.Resource, t time.Time, yield func([]record) bool) (bool, error) {
	q := changedSince(query(r), t)
	q.Set("end_date_time", t.Add(time.Second).Format(dateFormat))
	ok := true
	err := c.byID(ctx, r, q, Walk{}, func(s step) bool {
		ok = yield(s.records)
		return ok
	})
	return ok, err
}
