package tiledesk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
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
	var items []json.RawMessage
	if body = bytes.TrimSpace(body); len(body) > 0 && body[0] == '[' {
		if err := json.Unmarshal(body, &items); err != nil {
			return list{}, err
		}
	} else {
		var envelope map[string]json.RawMessage
		if err := json.Unmarshal(body, &envelope); err != nil {
			return list{}, err
		}
		raw, ok := envelope[key]
		if key == "" || !ok {
			return list{}, fmt.Errorf("no list %q in it", key)
		}
		if err := json.Unmarshal(raw, &items); err != nil || items == nil {
			return list{}, fmt.Errorf("%q in it is not a list", key)
		}
		l.count = max(number(envelope["count"]), number(envelope["total"]))
		l.limit = number(envelope["perPage"])
		l.page = number(envelope["page"])
	}
	for i, raw := range items {
		rec, err := parseRecord(raw)
		if err != nil {
			return list{}, fmt.Errorf("item %d: %w", i, err)
		}
		l.records = append(l.records, rec)
	}
	return l, nil
}

func parseRecord(raw json.RawMessage) (record, error) {
	// Not a struct: its fields would take _ID for _id (encoding/json ignores case), which the codec does not.
	var f map[string]json.RawMessage
	if err := json.Unmarshal(raw, &f); err != nil {
		return record{}, err
	}
	id := text(f["_id"])
	if id == "" {
		return record{}, errors.New("a document without an _id")
	}
	return record{Doc: Doc{ID: id, JSON: raw}, created: date(f["createdAt"]), updated: date(f["updatedAt"]), requestID: text(f["request_id"])}, nil
}

func text(raw json.RawMessage) string {
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
