package tiledesktest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// record is one stored document. It is never changed: an update puts another in its place.
type record struct {
	id               string
	key              string // requests: request_id; messages: recipient; leads: lead_id
	lead             string // requests: the lead's _id
	seq              uint64 // order of first insertion
	created, updated int64  // ms
	raw              []byte // as stored: references are ids, virtual fields are absent
	status           int
	preflight        bool
	candidates       []string // requests: the agents who could have taken it; it shows for them
}

// collection holds the documents of one kind, with the orders that the API asks for.
type collection struct {
	keyField  string
	byID      map[string]*record
	byKey     map[string][]*record // oldest first
	byLead    map[string][]*record
	byCreated []*record
	byUpdated []*record
}

func newCollection(keyField string) *collection {
	return &collection{keyField: keyField, byID: map[string]*record{}, byKey: map[string][]*record{}, byLead: map[string][]*record{}}
}

// index reads from a document what lists filter and sort by.
func (c *collection) index(raw []byte) *record {
	r := &record{raw: raw}
	for k, v := range fields(raw) {
		switch k {
		case "_id":
			r.id = unquote(v)
		case c.keyField:
			r.key = unquote(v)
		case "createdAt":
			r.created = parseStamp(v)
		case "updatedAt":
			r.updated = parseStamp(v)
		case "status":
			r.status, _ = strconv.Atoi(string(v))
		case "preflight":
			r.preflight = string(v) == "true"
		case "lead":
			r.lead = unquote(v)
		}
	}
	return r
}

// put stores the document, in place of the one with the same _id.
func (c *collection) put(raw []byte, seq uint64) *record {
	r := c.index(raw)
	r.seq = seq
	old := c.byID[r.id]
	c.byID[r.id] = r
	if old != nil {
		r.seq, r.candidates = old.seq, old.candidates
	}
	if old != nil && old.created == r.created && old.key == r.key && old.lead == r.lead { // in the same places, as nearly always
		swap(c.byCreated, old, r)
		swap(c.byKey[r.key], old, r)
		swap(c.byLead[r.lead], old, r)
		move(&c.byUpdated, old, r)
		return r
	}
	if old != nil {
		c.forget(old)
	}
	insert(&c.byCreated, r, created)
	insert(&c.byUpdated, r, updated)
	join := func(groups map[string][]*record, key string) {
		if key != "" {
			group := groups[key]
			insert(&group, r, created)
			groups[key] = group
		}
	}
	join(c.byKey, r.key)
	join(c.byLead, r.lead)
	return r
}

func (c *collection) remove(r *record) {
	delete(c.byID, r.id)
	c.forget(r)
}

// forget takes the record out of the orders.
func (c *collection) forget(r *record) {
	cut(&c.byCreated, r, created)
	cut(&c.byUpdated, r, updated)
	leave := func(groups map[string][]*record, key string) {
		if group := groups[key]; len(group) > 0 {
			cut(&group, r, created)
			groups[key] = group
			if len(group) == 0 {
				delete(groups, key)
			}
		}
	}
	leave(c.byKey, r.key)
	leave(c.byLead, r.lead)
}

// first returns the oldest document with the key.
func (c *collection) first(key string) *record {
	if found := c.byKey[key]; len(found) > 0 {
		return found[0]
	}
	return nil
}

func created(r *record) int64 { return r.created }
func updated(r *record) int64 { return r.updated }

func order(by func(*record) int64) func(a, b *record) int {
	return func(a, b *record) int { return cmp.Or(cmp.Compare(by(a), by(b)), cmp.Compare(a.seq, b.seq)) }
}

func insert(sorted *[]*record, r *record, by func(*record) int64) {
	if n := len(*sorted); n == 0 || order(by)((*sorted)[n-1], r) < 0 { // the newest, as nearly always
		*sorted = append(*sorted, r)
		return
	}
	i, _ := slices.BinarySearchFunc(*sorted, r, order(by))
	*sorted = slices.Insert(*sorted, i, r)
}

func cut(sorted *[]*record, r *record, by func(*record) int64) {
	if i, ok := slices.BinarySearchFunc(*sorted, r, order(by)); ok {
		*sorted = slices.Delete(*sorted, i, i+1)
	}
}

// swap puts one record into the place of another with the same time of creation.
func swap(sorted []*record, old, r *record) {
	if i, ok := slices.BinarySearchFunc(sorted, old, order(created)); ok {
		sorted[i] = r
	}
}

// move puts one record into the list for another, shifting only those between the two places.
func move(sorted *[]*record, old, r *record) {
	list := *sorted
	from, ok := slices.BinarySearchFunc(list, old, order(updated))
	if !ok {
		return
	}
	to, _ := slices.BinarySearchFunc(list, r, order(updated))
	if to > from {
		to--
		copy(list[from:to], list[from+1:to+1])
	} else {
		copy(list[to+1:from+1], list[to:from])
	}
	list[to] = r
}

const stampLayout = "2006-01-02T15:04:05.000Z"

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(stampLayout) }

func parseStamp(value []byte) int64 {
	t, err := time.Parse(time.RFC3339, string(bytes.Trim(value, `"`)))
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}

// normal makes a document that a test gives one that can be stored: virtual fields go, and so do populated references,
// which come back as the documents they were. So a body that the API sent can be put as it is.
func normal(raw []byte) (stored []byte, referenced map[string][]byte) {
	referenced = map[string][]byte{}
	changes := []field{{"id", nil}, {"requester_id", nil}, {"participatingAgents", nil}, {"participatingBots", nil}}
	for field_, name := range map[string]string{"lead": "leads", "requester": "project_users", "department": "departments"} {
		if v := get(raw, field_); len(v) > 0 && v[0] == '{' {
			referenced[name] = v
			changes = append(changes, field{field_, json.RawMessage(get(v, "_id"))})
		}
	}
	return with(raw, changes...), referenced
}
