package tiledesk

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/cespare/xxhash/v2"

	"tilestream/schemas"
)

// wholeList reads a list that the server gives in one answer, and returns what differs from the last time. Seen holds a hash
// of every document, about 40 bytes each in a checkpoint: these lists hold the team, the bots, the tags of a project, seldom
// more than hundreds. Documents that have gone leave Seen.
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
	if len(p.Docs) > 0 || !p.Next.equal(from) {
		yield(p)
	}
	return nil
}

// hash tells contents apart. White space does not count.
func hash(doc json.RawMessage) int64 {
	var b bytes.Buffer
	if json.Compact(&b, doc) != nil {
		return int64(xxhash.Sum64(doc))
	}
	return int64(xxhash.Sum64(b.Bytes()))
}
