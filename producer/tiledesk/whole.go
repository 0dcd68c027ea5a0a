package tiledesk

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/cespare/xxhash/v2"

	"tilestream/schemas"
)

// A document that a listing lacks is deleted once so many listings in a row have lacked it: one alone may be a hiccup of the
// server. A listing that has lost everything, or more than half of more than smallList documents, is more likely a hiccup,
// or a credential that lost its role, than that many deletions: it has to say so longer.
const (
	confirmed       = 2
	confirmedMasses = 5
	smallList       = 10
)

// wholeList reads a list that the server gives in one answer, and returns what differs from the last time. Seen holds a hash
// of every document, about 40 bytes each in a checkpoint: these lists hold the team, the bots, the tags of a project, seldom
// more than hundreds. A document that is deleted leaves Seen; one that was only missing comes back unnoticed.
func (c *Client) wholeList(ctx context.Context, r schemas.Resource, from Cursor, yield func(Page) bool) error {
	l, err := c.list(ctx, r, r.Path, query(r))
	if err != nil {
		return err
	}
	p := Page{Total: len(l.records), Next: Cursor{Seen: map[string]int64{}}}
	for _, rec := range l.records {
		h := hash(rec.JSON)
		if _, twice := p.Next.Seen[rec.ID]; twice {
			continue
		}
		p.Next.Seen[rec.ID] = h
		if was, ok := from.Seen[rec.ID]; !ok || was != h {
			p.Docs = append(p.Docs, rec.Doc)
		}
	}
	c.compare(r, from, &p)
	if len(p.Docs)+len(p.Deleted) > 0 || !p.Next.equal(from) {
		yield(p)
	}
	return nil
}

// compare finds what a complete listing, the page's Seen, lacks of the one before, and moves what is not known to be
// deleted on to the next.
func (c *Client) compare(r schemas.Resource, from Cursor, p *Page) {
	var missing []string
	for id := range from.Seen {
		if _, ok := p.Next.Seen[id]; !ok {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return
	}
	need, held := confirmed, len(from.Seen)
	if len(missing) == held || held > smallList && 2*len(missing) > held {
		need = confirmedMasses
		c.log.Warn("most of a list has gone: taken for deletions only if it stays so; was the credential's role changed?",
			"project", c.project.ID, "resource", r.Name, "documents before", held, "missing", len(missing), "listings needed", need)
	}
	slices.Sort(missing)
	p.Next.Missing = map[string]int{}
	for _, id := range missing {
		if n := from.Missing[id] + 1; n < need {
			p.Next.Missing[id] = n
			p.Next.Seen[id] = from.Seen[id]
		} else {
			p.Deleted = append(p.Deleted, id)
		}
	}
}

// hash tells contents apart. White space does not count.
func hash(doc json.RawMessage) int64 {
	var b bytes.Buffer
	if json.Compact(&b, doc) != nil {
		return int64(xxhash.Sum64(doc))
	}
	return int64(xxhash.Sum64(b.Bytes()))
}
