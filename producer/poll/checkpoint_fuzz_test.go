package poll

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tilestream/producer/tiledesk"
	"tilestream/schemas"
)

// A checkpoint is a cursor, or an error: never a stream that begins anew without a word.
func FuzzRecall(f *testing.F) {
	for _, v := range []string{`{"v":1,"cursor":{"since":"2026-11-22T17:14:48Z","seen":{"a":1},"walk":{"skip":3}}}`, `{"v":1,"cursor":{}}`, `{"v":1}`, `{"v":2,"cursor":{}}`, `{"v":-1,"cursor":{}}`, `{}`, `null`, ``, `[]`, `{"v":1,"cursor":null}`, `{"v":1,"cursor":{"since":"yesterday"}}`, `{"v":1e400}`} {
		f.Add("65f1c0de0000000000000001/messages", []byte(v))
	}
	f.Add("lane", []byte(`{"v":1,"owner":"h","pid":7}`))
	f.Add("/", []byte("{}"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		project, _, ok := strings.Cut(key, "/")
		l := &lane{partitions: 16, partition: partitionOf(project, 16)}
		was := tiledesk.Cursor{Since: time.Unix(1e9, 0).UTC()}
		cursors := map[string]tiledesk.Cursor{key: was}
		err := l.recall(cursors, key, value)
		got, held := cursors[key]
		switch {
		case !ok || err != nil:
			if !held || !got.Since.Equal(was.Since) {
				t.Fatalf("%q %q: %v, and the cursor is %+v", key, value, err, got)
			}
		case value == nil:
			if held {
				t.Fatalf("%q: a deleted checkpoint is still there", key)
			}
		default:
			var c checkpoint
			if !held || json.Unmarshal(value, &c) != nil || c.Cursor == nil || c.Version != checkpointVersion {
				t.Fatalf("%q %q gave %+v", key, value, got)
			}
			one, err := encodeCursor(got)
			if err != nil {
				return // a year that JSON cannot hold
			}
			again := map[string]tiledesk.Cursor{}
			if err := l.recall(again, key, one); err != nil {
				t.Fatalf("%q: %v", one, err)
			}
			if two, err := encodeCursor(again[key]); err != nil || !bytes.Equal(one, two) {
				t.Fatalf("%q comes back as %q, %v", one, two, err)
			}
		}
	})
}

// What is typed as intervals is read as them, or refused.
func FuzzIntervals(f *testing.F) {
	for _, s := range []string{"10s", "10s,messages=2s", "messages=2s,messages=3s", "bots=", "=1s", ",", "99ms", "9999999h", "-5s", "1e9s", " bots = 1s "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		was := Intervals{"": time.Hour}
		v := was
		if err := v.UnmarshalText([]byte(s)); err != nil {
			if len(v) != 1 || v[""] != time.Hour {
				t.Errorf("%q: %v, and %v", s, err, v)
			}
			return
		}
		for name, d := range v {
			if _, err := schemas.ByName(name); d < 100*time.Millisecond || name != "" && err != nil {
				t.Errorf("%q gives %q %s", s, name, d)
			}
		}
	})
}
