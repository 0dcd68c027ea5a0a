package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// scanAll scans with routes that make it take every way through the scanner.
func scanAll(doc []byte) (*scanner, error) {
	root := newRoute()
	for slot, path := range []string{"a", "a.b", "a.b.c", "a.0", "a.0.1", "l", "é"} {
		r := root
		for _, key := range strings.Split(path, ".") {
			r = r.step(key)
		}
		r.slots = append(r.slots, slot)
	}
	root.settle()
	var s scanner
	return &s, s.scan(doc, root, 7)
}

var surrogate = regexp.MustCompile(`(?i)\\ud[89a-f]`)

// values reads JSON as encoding/json does, for which half of a surrogate pair is U+FFFD, too.
func values(t *testing.T, doc []byte) any {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", doc, err)
	}
	return v
}

// The scanner takes the same objects as encoding/json, compacts them alike, splits them into their members without
// loss, and reads strings alike.
func FuzzScan(f *testing.F) {
	for _, doc := range []string{
		`{}`, ` { "a" : [ 1 , -2.5e+3 , true , false , null , "x\n\u00e9" ] , "b":{"c":{}} } `, `{"a":{"b":{"c":1},"b":2},"a":[[0,1]]}`,
		`{"\u0061":1,"l":"\ud83d\ude00 \ud83d \udc00x \ud83dA"}`, `{"a":[[],[{}]]}`, `{"a":01}`, `{"a":1,}`, `{"a"}`, `{"a":1}x`, `[1]`, `"a"`, ``, `{`,
		"{\"a\":\"\x00\"}", `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":[1}`, `{"a":tru}`, `{"a":-}`, `{"a":1.}`, `{"a":1e}`, `{"a":.5}`, "{\"a\":\"\x7f\u2028\"}", `{"x":[{"y":[`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if !utf8.Valid(doc) {
			t.Skip("encode replaces what is not UTF-8 first")
		}
		var members map[string]json.RawMessage
		err := json.Unmarshal(doc, &members)
		s, got := scanAll(doc)
		if want := err == nil && members != nil; (got == nil) != want {
			if err != nil && strings.Contains(err.Error(), "max depth") {
				t.Skip("encoding/json has a limit that the scanner does not need")
			}
			t.Fatalf("%q: scanner says %v, encoding/json %v", doc, got, err)
		}
		if got != nil {
			if !errors.Is(got, errSyntax) {
				t.Errorf("%q: error %v, want errSyntax", doc, got)
			}
			return
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, doc); err != nil {
			t.Fatal(err)
		}
		want := compact.Bytes()
		if surrogate.Match(want) {
			want = s.out // halves were replaced: the text differs, the values must not
			if in, out := values(t, compact.Bytes()), values(t, s.out); !reflect.DeepEqual(in, out) {
				t.Errorf("%q: compacted to the values %q, want %q", doc, out, in)
			}
		}
		if !bytes.Equal(s.out, want) {
			t.Errorf("%q: compacted to %q, want %q", doc, s.out, want)
		}
		var joined [][]byte
		for _, m := range s.members {
			joined = append(joined, append(append(bytes.Clone(m.key), ':'), m.value...))
			var key, text string
			if err := json.Unmarshal(m.key, &key); err != nil || key != string(plainText(m.key)) {
				t.Errorf("key %q reads %q, want %q (%v)", m.key, plainText(m.key), key, err)
			}
			if json.Unmarshal(m.value, &text) == nil && m.value[0] == '"' && text != string(plainText(m.value)) {
				t.Errorf("text %q reads %q, want %q", m.value, plainText(m.value), text)
			}
		}
		if all := "{" + string(bytes.Join(joined, []byte(","))) + "}"; all != string(want) {
			t.Errorf("%q: members make %q, want %q", doc, all, want)
		}
	})
}

func TestScanFindsTheLastOfEqualKeys(t *testing.T) {
	tests := []struct {
		doc  string
		want []string // a, a.b, a.b.c, a.0, a.0.1, l, é
	}{
		{`{"a":{"b":{"c":1}}}`, []string{`{"b":{"c":1}}`, `{"c":1}`, `1`, "", "", "", ""}},
		{`{"a":{"b":{"c":1},"b":2}}`, []string{`{"b":{"c":1},"b":2}`, `2`, "", "", "", "", ""}},
		{`{"a":{"b":1},"a":"id"}`, []string{`"id"`, "", "", "", "", "", ""}},
		{`{"a":[[5,6],7],"\u006c":0,"\u00e9":""}`, []string{`[[5,6],7]`, "", "", `[5,6]`, `6`, `0`, `""`}},
		{`{"A":1,"b":{"a":1}}`, []string{"", "", "", "", "", "", ""}},
	}
	for _, tt := range tests {
		s, err := scanAll([]byte(tt.doc))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range tt.want {
			if got := string(s.found[i]); got != want {
				t.Errorf("%s: slot %d is %s, want %s", tt.doc, i, got, want)
			}
		}
	}
}

// TestPlain holds the count of eight bytes at a time against the definition, with each byte at each place.
func TestPlain(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			text := bytes.Repeat([]byte{'a', 0xff, 0x80, '!'}, 5)
			text[at] = byte(c)
			want := slices.IndexFunc(text, func(c byte) bool { return c == '"' || c == '\\' || c < ' ' })
			if want < 0 {
				want = len(text)
			}
			if got := plain(text); got != want {
				t.Fatalf("plain(%q) is %d, want %d", text, got, want)
			}
		}
	}
}
