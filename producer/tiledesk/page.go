// Package tiledesk turns the Tiledesk REST API into pages of changed documents: credentials, paging, dates, limits,
// retries and every oddity of the server stay in here. A Cursor goes in; Pages and, at worst, one final *Error come out.
package tiledesk

import (
	"encoding/json"
	"time"
)

// Page holds documents that changed, and where the stream stands once they are published.
type Page struct {
	Docs  []Doc
	Next  Cursor
	Total int // how many documents the walk will see in all, where the server says so; else 0
}

// Doc is one document as the server sent it.
type Doc struct {
	ID   string // _id
	JSON json.RawMessage
}

// Cursor says where a stream stands. It travels in the checkpoint as JSON; its zero value is the beginning.
// Documents that a cursor has seen are not returned again from it, unless they have changed.
type Cursor struct {
	Since time.Time        `json:"since,omitzero"` // every change before this has been returned
	Seen  map[string]int64 `json:"seen,omitempty"` // version by document id, of those that the next poll will meet again
	Walk  *Walk            `json:"walk,omitempty"` // a walk over pages that has not come to its end
}

// Walk is where an unfinished walk over pages, newest first, stands.
type Walk struct {
	Page  int       `json:"page"`           // next to read
	Top   time.Time `json:"top"`            // watermark once the walk is done
	Floor time.Time `json:"floor,omitzero"` // everything from Top down to here has been returned
}
