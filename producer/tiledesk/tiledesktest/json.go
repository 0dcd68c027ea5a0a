package tiledesktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
)

// field is one member of a JSON object; a nil value takes the member out.
type field struct {
	key   string
	value []byte
}

// fields iterates over the members of a compact JSON object, in order, without decoding the values.
func fields(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := 1; i < len(object) && object[i] == '"'; i++ { // i is at a key's quote, then moves over the comma
			end := skip(object, i)
			key := string(object[i+1 : end-1])
			from := end + 1
			i = skip(object, from)
			if !yield(key, object[from:i]) {
				return
			}
		}
	}
}

// skip returns where the value that begins at i ends.
func skip(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = closing(b, i+1) + 1
			if depth == 0 {
				return i
			}
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
			if depth == 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
			i++
		default:
			i++
		}
	}
	return i
}

// closing returns where the string ends whose content begins at i.
func closing(b []byte, i int) int {
	for i < len(b) {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			break
		}
		escapes := 0
		for j := i + n - 1; j >= i && b[j] == '\\'; j-- {
			escapes++
		}
		i += n
		if escapes%2 == 0 {
			return i
		}
		i++
	}
	return len(b)
}

// get returns the member's value, nil where there is none.
func get(object []byte, key string) []byte {
	for k, v := range fields(object) {
		if k == key {
			return v
		}
	}
	return nil
}

// text returns the member's value if it is a string, else "".
func text(object []byte, key string) string {
	return unquote(get(object, key))
}

func unquote(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return ""
	}
	return s
}

// with returns a new object with members replaced in place, added at the end, or taken out.
func with(object []byte, changes ...field) []byte {
	out := append(make([]byte, 0, len(object)+256), '{')
	done := make([]bool, len(changes))
	member := func(key string, value []byte) {
		if value == nil {
			return
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), key...), '"', ':')
		out = append(out, value...)
	}
next:
	for k, v := range fields(object) {
		for i, c := range changes {
			if c.key == k {
				done[i] = true
				member(k, c.value)
				continue next
			}
		}
		member(k, v)
	}
	for i, c := range changes {
		if !done[i] {
			member(c.key, c.value)
		}
	}
	return append(out, '}')
}

// encode returns v as compact JSON, with <, > and & as they are: that is how Express sends them.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("tiledesktest: a document that is not JSON: %v", err)) // a mistake in the test or in this package
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// compact takes a document as a test has it, a struct, map, string or bytes, and returns compact JSON.
func compact(doc any) ([]byte, error) {
	var raw []byte
	switch d := doc.(type) {
	case []byte:
		raw = d
	case json.RawMessage:
		raw = d
	case string:
		raw = []byte(d)
	default:
		raw = encode(doc)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	if b.Len() == 0 || b.Bytes()[0] != '{' {
		return nil, fmt.Errorf("a document is a JSON object")
	}
	return b.Bytes(), nil
}

func quote(s string) []byte { return encode(s) }
func number(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
func instant(ms int64) []byte {
	return append(append([]byte{'"'}, stamp(ms)...), '"')
}
