package tiledesk

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"tilestream/schemas"
)

// dateFormat is the only one that the server reads right in all its versions. It lists YYYY/MM/DD too, but misreads it
// without an error: 2026/11/22 becomes 20 November 2022 (Tiledesk utils/datesUtil.js tries DD/MM/YYYY first).
const dateFormat = "02/01/2006 15:04:05"

// list asks for one page of a resource under path.
func (c *Client) list(ctx context.Context, r schemas.Resource, path string, q url.Values) (list, error) {
	u := c.base(V3) + "/" + url.PathEscape(c.project.ID) + "/" + path
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	var l list
	now, err := c.get(ctx, r.Name, V3, u, func(body []byte) (err error) {
		l, err = parseList(body, r.Items)
		return err
	})
	l.now = now
	return l, err
}

// query returns the parameters without which the server hides documents, and the given ones: name, value, name, value.
func query(r schemas.Resource, more ...string) url.Values {
	q, err := url.ParseQuery(r.Query)
	if err != nil {
		panic(err) // a start-up table: its test parses every row
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// changedSince lets requests pass that changed at t or later. The server compares whole seconds, >= (routes/request.js).
func changedSince(q url.Values, t time.Time) url.Values {
	if !t.IsZero() {
		q.Set("filterRangeField", "updatedAt")
		q.Set("start_date_time", t.UTC().Format(dateFormat))
		q.Set("timezone", "UTC") // default: Europe/Rome
	}
	return q
}

// window returns which page of which size to ask for when the first at documents of a list lie behind. Pages are made to
// reach back over at least one known document: where it is missing, the list has lost some above, and what follows has moved
// up unseen. The sizes that are tried make that cheap: seldom more than a few documents come again.
func window(at, limit int) (page, size, start int) {
	if at == 0 {
		return 0, limit, 0
	}
	best := 0
	for s := limit; s > limit/2; s-- {
		p := (at - 1) / s
		if fresh := p*s + s - at; fresh > best {
			best, page, size, start = fresh, p, s, p*s
		}
	}
	if best == 0 { // at is a multiple of every size; for limits of 50 or 100 that is beyond any list
		return at / limit, limit, at / limit * limit
	}
	return page, size, start
}

func paged(q url.Values, page, size int) url.Values {
	q.Set("page", strconv.Itoa(page))
	q.Set("limit", strconv.Itoa(size))
	return q
}

// pageSize is the largest page to ask for, in documents.
func pageSize(r schemas.Resource) int {
	if r.Limit > 0 {
		return r.Limit
	}
	return 100
}
