package tiledesk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tilestream/schemas"
)

// record is a document with the few fields that the walks go by.
type record struct {
	Doc
	created, updated time.Time // zero where the document does not say
	requestID        string
}

// changed returns when the document changed last.
func (r record) changed() time.Time { return later(r.updated, r.created) }

// version tells one state of a document from the next, in ms since 1970.
func (r record) version() int64 {
	if t := r.changed(); !t.IsZero() {
		return t.UnixMilli()
	}
	return 0
}

// list is one answer of the server. Numbers that it does not hold are -1.
type list struct {
	records []record
	count   int       // matching documents on all pages
	limit   int       // documents on a page, as the server has it
	page    int       // as the server has it
	now     time.Time // the server's clock
}

// parseList reads an answer: a bare list, or an object that holds it under key. A document without an _id is an error: it
// could not be kept apart from others, and skipping it would lose it.
func parseList(body []byte, key string) (list, error) {
	l := list{count: -1, limit: -1, page: -1}
	raw := bytes.TrimSpace(body)
	if len(raw) == 0 || raw[0] != '[' {
		envelope := map[string][]byte{}
		if err := schemas.Members(raw, func(key, value []byte) { envelope[string(key)] = value }); err != nil {
			return list{}, err
		}
		if raw = envelope[key]; key == "" || raw == nil {
			return list{}, fmt.Errorf("no list %q in it", key)
		}
		if raw[0] != '[' {
			return list{}, fmt.Errorf("%q in it is not a list", key)
		}
		l.count = max(number(envelope["count"]), number(envelope["total"]))
		l.limit = number(envelope["perPage"])
		l.page = number(envelope["page"])
	}
	objects, err := schemas.Objects(raw, func(i int, key, value []byte) {
		for len(l.records) <= i {
			l.records = append(l.records, record{})
		}
		l.records[i].take(key, value)
	})
	if err != nil {
		return list{}, err
	}
	for i, raw := range objects {
		if i == len(l.records) || l.records[i].ID == "" {
			return list{}, fmt.Errorf("item %d: a document without an _id", i)
		}
		l.records[i].JSON = raw
	}
	return l, nil
}

// take finds the fields by their names to the letter, as the codec does.
func (r *record) take(key, value []byte) {
	switch string(key) {
	case "_id":
		r.ID = text(value)
	case "createdAt":
		r.created = date(value)
	case "updatedAt":
		r.updated = date(value)
	case "request_id":
		r.requestID = text(value)
	}
}

func text(raw json.RawMessage) string {
	if n := len(raw); n >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : n-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// date reads an ISO 8601 time. Anything else is no time: a wrong date in one document must not stop the others.
func date(raw json.RawMessage) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text(raw))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// number reads a whole number, quoted or not; -1 where there is none.
func number(raw json.RawMessage) int {
	n, err := strconv.Atoi(strings.Trim(string(raw), `"`))
	if err != nil || n < 0 {
		return -1
	}
	return n
}
