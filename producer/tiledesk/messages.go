package tiledesk

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"time"

	"tilestream/schemas"
)

// messages reads the list of all messages where the role allows it (Tiledesk routes/messagesRoot.js: owner), at one request
// for up to fifty messages. Otherwise it reads them request by request. Both ways use the same watermark.
func (c *Client) messages(ctx context.Context, r schemas.Resource, from Cursor, yield func(Page) bool) error {
	through := from.Walk != nil && from.Walk.After != ""
	if !through && !c.noMessages.Load() {
		cur := from
		err := c.newestFirst(ctx, r, byCreation, from, func(p Page) bool {
			cur = p.Next
			return yield(p)
		})
		if !isForbidden(err) {
			return err
		}
		c.log.Info("tiledesk: the role may not list messages; reading them request by request, which takes one API request each",
			"project", c.project.ID)
		c.noMessages.Store(true)
		from = cur
	}
	if from.Walk != nil && from.Walk.After == "" {
		from.Walk = nil // the role was lost in the middle of the list: begin anew, which repeats some
	}
	return c.throughRequests(ctx, r, from, yield)
}

// grace is how long after its beginning a walk through requests still takes messages that arrive meanwhile. Later ones are
// left to the next walk, so that Seen does not grow with the hours that a backfill takes.
const grace = time.Minute

// throughRequests reads the messages of every request that changed since the cursor. A message moves its request's updatedAt
// to just after its own time, so no message is newer than its request, but for the server's own ("Chat closed"), which are
// stored some ms after. Hence the watermark that a walk leaves is the time of its beginning less the overlap: a request is
// read again until one reading began later than its last change and the overlap.
//
// Requests are walked by _id. By updatedAt, one that changes during the walk would move behind it or ahead of it, and nothing
// would tell whether its older messages have been returned.
func (c *Client) throughRequests(ctx context.Context, r schemas.Resource, from Cursor, yield func(Page) bool) error {
	requests, err := schemas.ByName("requests")
	if err != nil {
		return err
	}
	var w Walk
	if from.Walk != nil {
		w = *from.Walk
	}
	seen := maps.Clone(from.Seen)
	if seen == nil {
		seen = map[string]int64{}
	}
	// A page is held back until the next one, so that the last can end the walk instead of an empty page after it.
	var held *Page
	flush := func(next *Page) bool {
		ok := held == nil || yield(*held)
		held = next
		return ok
	}
	top, total := w.Top, 0
	stopped := false
	var failed error
	q := changedSince(query(requests[0], "no_populate", "true"), from.Since)
	err = c.byID(ctx, requests[0], q, w, func(s step) bool {
		if top.IsZero() {
			top = later(from.Since, second(s.now.Add(-overlap)))
		}
		for i, req := range s.records {
			total++
			if req.updated.Before(second(from.Since)) {
				continue // a server too old to filter
			}
			docs, err := c.messagesOf(ctx, r, req, from.Since, top, seen)
			if err != nil {
				failed = err
				return false
			}
			if len(docs) == 0 {
				continue
			}
			next := Cursor{Since: from.Since, Seen: maps.Clone(seen), Walk: &Walk{Skip: s.skip + i + 1, After: req.ID, Top: top}}
			if stopped = !flush(&Page{Docs: docs, Next: next}); stopped {
				return false
			}
		}
		return true
	})
	if stopped {
		return nil
	}
	if failed != nil {
		err = failed
	}
	if err != nil {
		flush(nil)
		return err
	}
	if total == 0 && from.Walk == nil {
		return nil
	}
	if held == nil {
		held = &Page{}
	}
	held.Next = Cursor{Since: top, Seen: seenFrom(seen, top)}
	if !held.Next.equal(from) {
		flush(nil)
	}
	return nil
}

// messagesOf returns the messages of one request that changed since the given time and are not in seen. It puts there those
// that the next walk, from top on, will meet again.
func (c *Client) messagesOf(ctx context.Context, r schemas.Resource, req record, since, top time.Time, seen map[string]int64) ([]Doc, error) {
	if req.requestID == "" {
		return nil, &Error{Resource: r.Name, URL: c.base(V3), Err: errors.New("request " + req.ID + " has no request_id")}
	}
	l, err := c.list(ctx, r, "requests/"+url.PathEscape(req.requestID)+"/messages", nil)
	if err != nil {
		return nil, err
	}
	var docs []Doc
	for _, m := range l.records {
		t := m.changed()
		tooNew := t.After(top.Add(overlap+grace)) && !t.After(l.now)
		if t.Before(since) || tooNew || has(seen, m) {
			continue
		}
		docs = append(docs, m.Doc)
		if !t.Before(top) {
			seen[m.ID] = m.version()
		}
	}
	return docs, nil
}
