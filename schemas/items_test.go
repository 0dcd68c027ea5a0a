package schemas

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzItems: an array and an object are taken apart as encoding/json does, and taken at all if it takes them.
func FuzzItems(f *testing.F) {
	for _, s := range []string{
		`[]`, ` [ 1 , "a\"]" , {"a":[{}]} ,[] ] `, `[1,]`, `[1 2]`, `[`, `[1`, `[]x`, `{}`, `{"a":1,"\u0061":2,"b":{"c":[1]}} `, `{"a":1,}`, `{"a" 1}`, `{"a":1`, `{"a":1}}`, ``, ` `, `null`, `"x"`, "[\"\xff\"]", `["\ud83d"]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if !utf8.Valid(src) {
			return // which encoding/json mends
		}
		var array []json.RawMessage
		err := json.Unmarshal(src, &array)
		items, got := Items(src)
		if tooDeep(err) {
			return
		}
		if (got == nil) != (err == nil && array != nil) {
			t.Fatalf("%q: Items says %v, encoding/json %v", src, got, err)
		}
		if got == nil && len(items) != len(array) {
			t.Fatalf("%q: %d items, want %d", src, len(items), len(array))
		}
		for i := range items {
			if !bytes.Equal(items[i], array[i]) {
				t.Errorf("%q: item %d is %q, want %q", src, i, items[i], array[i])
			}
		}
		var object map[string]json.RawMessage
		err = json.Unmarshal(src, &object)
		members := map[string][]byte{}
		got = Members(src, func(key, value []byte) { members[string(key)] = value })
		if (got == nil) != (err == nil && object != nil) {
			t.Fatalf("%q: Members says %v, encoding/json %v", src, got, err)
		}
		if got != nil {
			return
		}
		for key, value := range object {
			if !bytes.Equal(members[key], value) {
				t.Errorf("%q: member %q is %q, want %q", src, key, members[key], value)
			}
		}
		if len(members) != len(object) {
			t.Errorf("%q: %d members, want %d", src, len(members), len(object))
		}
	})
}

func tooDeep(err error) bool { return err != nil && strings.Contains(err.Error(), "max depth") }

func BenchmarkItems(b *testing.B) {
	doc := []byte(`{"_id":"65f1c0ffee65f1c0ffee65f1","text":"` + strings.Repeat("Thank you for waiting. ", 30) + `","attributes":{"a":[1,2,3]},"createdAt":"2026-11-22T17:14:48.283Z"}`)
	page := append([]byte{'['}, bytes.Join([][]byte{doc, doc, doc, doc, doc, doc, doc, doc, doc, doc}, []byte{','})...)
	page = append(page, ']')
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		items, err := Items(page)
		if err != nil {
			b.Fatal(err)
		}
		for _, item := range items {
			if err := Members(item, func(_, _ []byte) {}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
