// Package tiledesk turns the Tiledesk REST API into pages of changed documents: credentials, paging, dates, limits,
// retries and every oddity of the server stay in here. A Cursor goes in; Pages and, at worst, one final *Error come out.
package tiledesk

import (
	"encoding/json"
	"maps"
	"time"
)

// Page holds documents that changed, and where the stream stands once they are published. A page without documents moves
// the cursor only.
type Page struct {
	Docs    []Doc
	Deleted []string // ids that complete listings hold no more; in order, and none of Docs
	Next    Cursor
	Total   int // how many documents the walk will see in all, where the server says so; else 0
}

// Doc is one document as the server sent it.
type Doc struct {
	ID   string // _id
	JSON json.RawMessage
}

// Cursor says where a stream stands. It travels in the checkpoint as JSON; its zero value is the beginning.
// Documents that a cursor has seen are not returned again from it, unless they have changed. Equal cursors have equal JSON.
type Cursor struct {
	Since time.Time        `json:"since,omitzero"` // every change before this has been returned
	Seen  map[string]int64 `json:"seen,omitempty"` // version by document id, of those that the next poll will meet again
	Walk  *Walk            `json:"walk,omitempty"` // a walk over pages that has not come to its end

	// Missing is how many complete listings in a row have lacked a document of Seen; see confirmed.
	Missing map[string]int `json:"missing,omitempty"`
}

// Walk is where an unfinished walk over a list stands. Lists are walked newest first, by id, or as they come.
type Walk struct {
	Skip  int       `json:"skip"`            // documents of the list that lie behind; documented API: the next page
	Top   time.Time `json:"top,omitzero"`    // Since once the walk is done
	Floor time.Time `json:"floor,omitzero"`  // newest first: everything from the top down to here has been returned
	After string    `json:"after,omitempty"` // by id: everything up to this _id has been returned
}

const (
	// overlap is how far the watermark stays behind the newest change: a document is stored after its time was taken
	// (seen: 0.25 s), so a change may still appear that much before one that has been read.
	overlap = 10 * time.Second
	// settled is the age from which nothing can appear any more, however wrong the clock in a Date header is. From then on
	// the watermark needs no overlap, which keeps Seen small in a backfill and empty in a quiet stream.
	settled = 10 * time.Minute
)

// watermark returns how far Since may move when every change before t that is stored by now has been read. now is the
// server's clock: a document dated in the future must not carry Since with it.
func watermark(t, now time.Time) time.Time {
	if t.Before(now.Add(-settled)) {
		return t
	}
	if t.After(now) {
		t = now
	}
	return t.Add(-overlap)
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// nextSecond returns the first whole second after t. Tiledesk's date filters know whole seconds only.
func nextSecond(t time.Time) time.Time { return second(t).Add(time.Second) }

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// from returns the entries of seen that lie at or after since: those that a poll from there meets again.
func seenFrom(seen map[string]int64, since time.Time) map[string]int64 {
	out := map[string]int64{}
	for id, v := range seen {
		if v >= second(since).UnixMilli() {
			out[id] = v
		}
	}
	return out
}

// equal says whether both cursors stand at the same place.
func (c Cursor) equal(d Cursor) bool {
	sameWalk := c.Walk == d.Walk || c.Walk != nil && d.Walk != nil && *c.Walk == *d.Walk
	return sameWalk && c.Since.Equal(d.Since) && maps.Equal(c.Seen, d.Seen) && maps.Equal(c.Missing, d.Missing)
}
