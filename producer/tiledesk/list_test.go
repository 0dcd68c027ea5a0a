package tiledesk

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestCaptures reads lists as the real server sent them.
func TestParseList(t *testing.T) {
	at := time.Date(2026, 11, 22, 17, 14, 48, 283e6, time.UTC)
	for _, tt := range []struct {
		body, key           string
		docs, count, page   int
		created, updated, _ time.Time
	}{
		{`[]`, "", 0, -1, -1, time.Time{}, time.Time{}, time.Time{}},
		{` [{"_id":"a","createdAt":"2026-11-22T17:14:48.283Z","updatedAt":"2026-11-22T18:14:48.283+01:00"}] `, "", 1, -1, -1, at, at, at},
		{`{"perPage":40,"count":25,"requests":[{"_id":"a","createdAt":17,"updatedAt":"yesterday"}]}`, "requests", 1, 25, -1, time.Time{}, time.Time{}, at},
		{`{"page":"2","perPage":"40","total":"25","bots":[{"_id":"a","createdAt":null}]}`, "bots", 1, 25, 2, time.Time{}, time.Time{}, at},
	} {
		l, err := parseList([]byte(tt.body), tt.key)
		if err != nil || len(l.records) != tt.docs || l.count != tt.count || l.page != tt.page {
			t.Errorf("%s: got %+v, %v", tt.body, l, err)
		}
		if len(l.records) > 0 && (!l.records[0].created.Equal(tt.created) || !l.records[0].updated.Equal(tt.updated)) {
			t.Errorf("%s: got %+v", tt.body, l.records[0])
		}
	}
	for _, body := range []string{``, `null`, `{}`, `{"x":[]}`, `{"requests":null}`, `{"requests":{}}`, `[`, `[1]`, `[null]`, `[{"_id":""}]`, `[{"_id":7}]`, `[{"id":"a"}]`, `"x"`, `<html>`} {
		if l, err := parseList([]byte(body), "requests"); err == nil {
			t.Errorf("%s: got %+v, want an error", body, l)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{`[]`, `[{"_id":"a","updatedAt":"2026-11-22T17:14:48.283Z"}]`, `{"perPage":40,"count":1,"requests":[{"_id":"a","x":{"y":[1]}}]}`, `{"requests":[null]}`, "{", "<p>"} {
		f.Add([]byte(s))
	}
	if b, err := os.ReadFile("../../schemas/testdata/requests.json"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parseList(body, "requests")
		if err != nil {
			return
		}
		for _, r := range l.records {
			if r.ID == "" || !json.Valid(r.JSON) || !bytes.Contains(body, r.JSON) {
				t.Errorf("%q gave %+v", body, r)
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"msg":"x"}`))
	f.Add([]byte("<pre>Cannot GET</pre>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if m := message(body); len(m) > maxMessage+3 {
			t.Errorf("%q is %d bytes long", m, len(m))
		}
	})
}

func TestWindow(t *testing.T) {
	for _, limit := range []int{50, 100} {
		for at := range 30_000 {
			page, size, start := window(at, limit)
			if start != page*size || size > limit || at > 0 && start >= at || start+size <= at {
				t.Fatalf("window(%d, %d) = %d, %d, %d", at, limit, page, size, start)
			}
		}
	}
}
