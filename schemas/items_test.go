package schemas

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzObjects: an array of objects and an object are taken apart as encoding/json does, and taken at all if it takes them.
func FuzzObjects(f *testing.F) {
	for _, s := range []string{
		`[]`, ` [ 1 , "a\"]" , {"a":[{}]} ,[] ] `, `[1,]`, `[1 2]`, `[`, `[1`, `[]x`, `{}`, `{"a":1,"\u0061":2,"b":{"c":[1]}} `, `{"a":1,}`, `{"a" 1}`, `{"a":1`, `{"a":1}}`, `[{},{"a":1,"\u0062":{"c":[{}]}} , { "a" : [] } ]`, `[{"a":1}{}]`, `[{},null]`, ``, ` `, `null`, `"x"`, "[\"\xff\"]", `["\ud83d"]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if !utf8.Valid(src) {
			return // which encoding/json mends
		}
		var array []map[string]json.RawMessage
		err := json.Unmarshal(src, &array)
		if tooDeep(err) {
			return
		}
		var told []map[string][]byte
		objects, got := Objects(src, func(i int, key, value []byte) {
			for len(told) <= i {
				told = append(told, map[string][]byte{})
			}
			told[i][string(key)] = value
		})
		if (got == nil) != (err == nil && array != nil && !slices.ContainsFunc(array, func(o map[string]json.RawMessage) bool { return o == nil })) {
			t.Fatalf("%q: Objects says %v, encoding/json %v", src, got, err)
		}
		if got == nil {
			if len(objects) != len(array) {
				t.Fatalf("%q: %d objects, want %d", src, len(objects), len(array))
			}
			for i, o := range objects {
				var again map[string]json.RawMessage
				if err := json.Unmarshal(o, &again); err != nil || !reflect.DeepEqual(again, array[i]) {
					t.Errorf("%q: object %d is %q (%v), want %q", src, i, o, err, array[i])
				}
				if i < len(told) {
					sameMembers(t, told[i], array[i])
				} else if len(array[i]) > 0 {
					t.Errorf("%q: no member of object %d was told", src, i)
				}
			}
		}
		var object map[string]json.RawMessage
		err = json.Unmarshal(src, &object)
		members := map[string][]byte{}
		got = Members(src, func(key, value []byte) { members[string(key)] = value })
		if (got == nil) != (err == nil && object != nil) {
			t.Fatalf("%q: Members says %v, encoding/json %v", src, got, err)
		}
		if got == nil {
			sameMembers(t, members, object)
		}
	})
}

func sameMembers(t *testing.T, got map[string][]byte, want map[string]json.RawMessage) {
	t.Helper()
	for key, value := range want {
		if !bytes.Equal(got[key], value) {
			t.Errorf("member %q is %q, want %q", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d members, want %d", len(got), len(want))
	}
}

func tooDeep(err error) bool { return err != nil && strings.Contains(err.Error(), "max depth") }

func BenchmarkObjects(b *testing.B) {
	doc := []byte(`{"_id":"65f1c0ffee65f1c0ffee65f1","text":"` + strings.Repeat("Thank you for waiting. ", 30) + `","attributes":{"a":[1,2,3]},"createdAt":"2026-11-22T17:14:48.283Z"}`)
	page := append([]byte{'['}, bytes.Join([][]byte{doc, doc, doc, doc, doc, doc, doc, doc, doc, doc}, []byte{','})...)
	page = append(page, ']')
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if _, err := Objects(page, func(int, []byte, []byte) {}); err != nil {
			b.Fatal(err)
		}
	}
}
