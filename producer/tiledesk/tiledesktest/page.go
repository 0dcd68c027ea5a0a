package tiledesktest

import (
	"bytes"
	"cmp"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// page is which part of a list a call wants.
type page struct {
	perPage    string // as the answer echoes it: null where the limit was no number
	skip, take int
}

// parsePage reads page and limit as the server does: no number means no limit, and so does 0; a limit above the largest
// honoured one (0: none) falls back to the default; a negative limit counts as its size.
func parsePage(q url.Values, fallback, largest int) page {
	limit, number := fallback, true
	if v := q.Get("limit"); v != "" {
		limit, number = parseInt(v)
	}
	if largest > 0 && limit > largest {
		limit = fallback
	}
	p := page{perPage: strconv.Itoa(limit), take: limit}
	if !number {
		p.perPage, p.take = "null", 0
	}
	if v := q.Get("page"); v != "" && number {
		if n, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(n) {
			p.skip = int(max(0, min(n*float64(limit), math.MaxInt32)))
		}
	}
	if p.take < 0 {
		p.take = -p.take
	}
	if p.take == 0 {
		p.take = math.MaxInt
	}
	return p
}

// parseInt is JavaScript's: the digits that the text begins with.
func parseInt(v string) (n int, isNumber bool) {
	v = strings.TrimSpace(v)
	end := 0
	for end < len(v) && (v[end] >= '0' && v[end] <= '9' || end == 0 && (v[0] == '-' || v[0] == '+')) {
		end++
	}
	n, err := strconv.Atoi(v[:end])
	return n, err == nil
}

// parseDirection reads a sort direction; others than these are an error in mongoose.
func parseDirection(v string) (descending, valid bool) {
	switch strings.ToLower(v) {
	case "", "-1", "desc", "descending":
		return true, true
	case "1", "asc", "ascending":
		return false, true
	}
	return false, false
}

// sorted returns the collection's documents, oldest first, by the field; the caller must not change the list.
func (c *collection) sorted(by string) []*record {
	switch by {
	case "", "createdAt":
		return c.byCreated
	case "updatedAt":
		return c.byUpdated
	}
	out := slices.Clone(c.byCreated)
	slices.SortStableFunc(out, func(a, b *record) int { return compareValues(get(a.raw, by), get(b.raw, by)) })
	return out
}

// compareValues orders two JSON values: absent, numbers, then the rest as text.
func compareValues(a, b []byte) int {
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return bytes.Compare(a, b)
}

// pick returns the page of those records that pass the filter, and how many pass in all. A nil filter passes all.
func pick(sorted []*record, descending bool, p page, pass func(*record) bool) (out []*record, count int) {
	n := len(sorted)
	at := func(i int) *record {
		if descending {
			i = n - 1 - i
		}
		return sorted[i]
	}
	if pass == nil {
		for i := p.skip; i < n && len(out) < p.take; i++ {
			out = append(out, at(i))
		}
		return out, n
	}
	for i := range n {
		if r := at(i); pass(r) {
			if count >= p.skip && len(out) < p.take {
				out = append(out, r)
			}
			count++
		}
	}
	return out, count
}

// between narrows a list that is sorted by the field to lo <= field <= hi.
func between(sorted []*record, by func(*record) int64, lo, hi int64) []*record {
	from, _ := slices.BinarySearchFunc(sorted, lo, func(r *record, at int64) int { return cmp.Compare(by(r), at) })
	to, _ := slices.BinarySearchFunc(sorted, hi, func(r *record, at int64) int {
		if by(r) <= at {
			return -1
		}
		return 1
	})
	return sorted[from:max(from, to)]
}

// array renders records as a JSON array.
func array(records []*record, show func(out []byte, r *record) []byte) []byte {
	size := 2
	for _, r := range records {
		size += 2*len(r.raw) + 1 // populated, a request is about half as long again
	}
	out := append(make([]byte, 0, size), '[')
	for i, r := range records {
		if i > 0 {
			out = append(out, ',')
		}
		out = show(out, r)
	}
	return append(out, ']')
}

func asStored(out []byte, r *record) []byte { return append(out, r.raw...) }

// envelope wraps a page as requests and leads are.
func envelope(name string, p page, count int, list []byte) []byte {
	out := make([]byte, 0, len(list)+64)
	out = append(append(out, `{"perPage":`...), p.perPage...)
	out = append(strconv.AppendInt(append(out, `,"count":`...), int64(count), 10), `,"`...)
	out = append(append(append(out, name...), `":`...), list...)
	return append(out, '}')
}
