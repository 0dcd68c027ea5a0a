package tiledesk

import (
	"context"
	"errors"
	"net/url"

	"tilestream/schemas"
)

// maxShrinks bounds how often in a row a walk steps back because the list has shrunk under it.
const maxShrinks = 100

var errShrinks = errors.New("the list shrinks faster than it can be read")

// step is a page of a walk by id: the documents that were not on the pages before.
type step struct {
	list
	skip int // position of the first of them in the list
}

// byID walks a list in the order of _id: unique, never changing, and growing with time, so that a document holds its place
// whatever happens to it. New documents come at the end; where some have gone, the walk steps back (see window).
func (c *Client) byID(ctx context.Context, r schemas.Resource, q url.Values, at Walk, yield func(step) bool) error {
	q.Set("sort", "_id")
	q.Set("direction", "1")
	limit := pageSize(r)
	for shrinks := 0; ; {
		page, size, start := window(at.Skip, limit)
		l, err := c.list(ctx, r, r.Path, paged(q, page, size))
		if err != nil {
			return err
		}
		if l.limit > 0 && l.limit < size {
			limit = l.limit
			continue
		}
		for i := 1; i < len(l.records); i++ {
			if l.records[i].ID <= l.records[i-1].ID {
				return &Error{Resource: r.Name, URL: c.base(V3), Err: errors.New("the server does not sort by _id")}
			}
		}
		if start > 0 && (len(l.records) == 0 || l.records[0].ID > at.After) {
			if shrinks++; shrinks > maxShrinks {
				return &Error{Resource: r.Name, URL: c.base(V3), Err: errShrinks}
			}
			at.Skip = start
			continue
		}
		shrinks = 0
		known := 0
		for known < len(l.records) && l.records[known].ID <= at.After {
			known++
		}
		end := len(l.records) < size
		at.Skip = start + len(l.records)
		l.records = l.records[known:]
		if n := len(l.records); n > 0 {
			at.After = l.records[n-1].ID
		}
		if !yield(step{l, start + known}) || end {
			return nil
		}
	}
}
