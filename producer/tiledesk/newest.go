package tiledesk

import (
	"context"
	"maps"
	"time"

	"tilestream/schemas"
)

// order is a list that the server gives newest first.
type order struct {
	query []string               // what brings it about
	key   func(record) time.Time // what it goes by
}

var (
	byUpdate   = order{[]string{"sort", "updatedAt", "direction", "-1"}, record.changed}
	byCreation = order{nil, func(r record) time.Time { return r.created }}
)

// newestFirst walks a list down from its newest document to the watermark. The new watermark is taken at the top, when the
// walk begins, so what changes meanwhile is the next walk's. New documents push the others down, which repeats some: they
// are newer than the floor. Documents that vanish pull the others up, unseen: then the page does not begin with one that is
// known, and the walk steps back (see window). The walk can be left at every page, and taken up days later.
func (c *Client) newestFirst(ctx context.Context, r schemas.Resource, by order, from Cursor, yield func(Page) bool) error {
	var w Walk
	if from.Walk != nil {
		w = *from.Walk
	}
	seen := maps.Clone(from.Seen) // met by earlier polls, or near the top of this walk
	if seen == nil {
		seen = map[string]int64{}
	}
	ties := map[string]int64{} // those at the floor
	limit := pageSize(r)
	for shrinks := 0; ; {
		page, size, start := window(w.Skip, limit)
		l, err := c.list(ctx, r, r.Path, paged(query(r, by.query...), page, size))
		if err != nil {
			return err
		}
		if l.limit > 0 && l.limit < size {
			limit = l.limit
			continue
		}
		behind := func(rec record) bool { return !w.Floor.IsZero() && by.key(rec).After(w.Floor) }
		repeat := func(rec record) bool { return behind(rec) || has(seen, rec) || has(ties, rec) }
		// Documents equal to the floor come in any order, so they join a page to the last one only where they fill pages.
		if start > 0 && (len(l.records) == 0 || !behind(l.records[0]) && !(shrinks > 0 && repeat(l.records[0]))) {
			if shrinks++; shrinks > maxShrinks {
				return &Error{Resource: r.Name, URL: c.base(V3), Err: errShrinks}
			}
			w.Skip = start
			continue
		}
		if w.Top.IsZero() {
			if len(l.records) == 0 {
				return nil
			}
			top := l.now // for a page that lies in the future as a whole: what is older is still to come
			if t := newest(l, by.key); !t.IsZero() {
				top = nextSecond(t)
			}
			w.Top = later(from.Since, watermark(top, l.now))
		}
		var docs []Doc
		done, floor := len(l.records) < size, w.Floor
		for _, rec := range l.records {
			key := by.key(rec)
			if key.Before(from.Since) {
				done = true
				break
			}
			if floor.IsZero() || key.Before(floor) {
				floor = key
			}
			if repeat(rec) {
				continue
			}
			docs = append(docs, rec.Doc)
			ties[rec.ID] = rec.version()
			if !key.Before(w.Top) {
				seen[rec.ID] = rec.version()
			}
		}
		// Of the ties, only those at the new floor can come again.
		if !floor.Equal(w.Floor) {
			atFloor := map[string]int64{}
			for _, rec := range l.records {
				if by.key(rec).Equal(floor) {
					atFloor[rec.ID] = rec.version()
				}
			}
			ties = atFloor
		}
		if len(docs) > 0 {
			shrinks = 0
		}
		w.Floor, w.Skip = floor, resume(l, by, floor, start, limit)
		p := Page{Docs: docs, Total: max(l.count, 0)}
		if done {
			p.Next = Cursor{Since: w.Top, Seen: seenFrom(seen, w.Top)}
		} else {
			walk := w
			p.Next = Cursor{Since: from.Since, Seen: maps.Clone(seen), Walk: &walk}
			maps.Copy(p.Next.Seen, ties)
		}
		if (len(docs) > 0 || done && !p.Next.equal(from)) && !yield(p) || done {
			return nil
		}
	}
}

// has says whether the map holds the document in this version.
func has(versions map[string]int64, rec record) bool {
	v, ok := versions[rec.ID]
	return ok && v == rec.version()
}

// resume returns where the next page must begin at the latest: at the first document of the floor's millisecond. Between two
// queries a database may give documents that are equal in the order in another one (MongoDB, cursor.sort), so a border
// through them can lose some; a page that holds all of them cannot. Where they fill pages, there is no such border.
func resume(l list, by order, floor time.Time, start, limit int) int {
	end := start + len(l.records)
	for i, rec := range l.records {
		if by.key(rec).Equal(floor) && i > 0 {
			if _, size, next := window(start+i, limit); next+size > end {
				return start + i
			}
			break
		}
	}
	return end
}
