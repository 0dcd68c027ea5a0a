package tiledesktest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMoment holds the reading of dates against what moment-timezone made of them on the real server.
func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"22/11/2026 15:09:56": "2026-11-22 15:09:56", "22/11/2026, 15:09:56": "2026-11-22 15:09:56", "22/11/2026 15:09": "2026-11-22 15:09:00",
		"22/11/2026": "2026-11-22 00:00:00", "2/1/26": "2026-01-02 00:00:00", "2026/11/22 15:09:56": "2022-11-20 15:09:56",
		"2026-11-22T15:09:56.123Z": "2026-11-22 15:09:56", "29/02/2028": "2028-02-29 00:00:00", "15": "2026-11-15 00:00:00", "garbage": "", "": "", "99/99/9999 99:99": "",
	} {
		at, ok := parseMoment(text, time.UTC, now)
		got := at.Format("2006-01-02 15:04:05")
		if !ok {
			got = ""
		}
		check(t, text, got, want)
	}
}

// FuzzObject checks the reading and writing of members against encoding/json.
func FuzzObject(f *testing.F) {
	f.Add(`{"a":1,"b":{"c":[1,2,{"d":"}\"]"}]},"e":"x\\"}`, "b")
	f.Add(`{}`, "a")
	f.Add(`{"":null,"ü":[]}`, "ü")
	f.Fuzz(func(t *testing.T, doc, key string) {
		var want map[string]json.RawMessage
		raw, err := compact(doc)
		if err != nil || json.Unmarshal(raw, &want) != nil {
			t.Skip()
		}
		members := 0
		for k, v := range fields(raw) {
			members++
			var name string
			if json.Unmarshal([]byte(`"`+k+`"`), &name) != nil || !json.Valid(v) {
				t.Fatalf("member %q: %q of %s", k, v, raw)
			}
		}
		if members < len(want) {
			t.Fatalf("%d members of %s", members, raw)
		}
		if string(encode(key)) != `"`+key+`"` {
			t.Skip() // keys are our own, and plain
		}
		changed := with(raw, field{key, []byte("[7]")})
		var got map[string]json.RawMessage
		if err := json.Unmarshal(changed, &got); err != nil {
			t.Fatalf("%s: %v", changed, err)
		}
		want[key] = json.RawMessage("[7]")
		if members == len(want) || len(get(raw, key)) == 0 && members == len(want)-1 { // no key twice
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s with %q:\n%s", raw, key, diff)
			}
		}
		if gone := with(changed, field{key, nil}); get(gone, key) != nil || !json.Valid(gone) {
			t.Errorf("%s without %q: %s", changed, key, gone)
		}
	})
}

// FuzzMoment only looks for texts that make it panic or run away.
func FuzzMoment(f *testing.F) {
	f.Add("22/11/2026 15:09:56")
	f.Fuzz(func(t *testing.T, s string) { parseMoment(s, time.UTC, time.Unix(0, 0)) })
}
