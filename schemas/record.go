package schemas

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// extraField is the field that keeps what no other one can.
const extraField = "_extra"

// A record is a schema of our own making, as it is written: its fields are those of a document, and how they are found there.
type record struct {
	Type      string  `json:"type"`
	Name      string  `json:"name"`
	Namespace string  `json:"namespace,omitempty"`
	Doc       string  `json:"doc,omitempty"`
	Revision  int     `json:"revision,omitempty"` // tells two versions apart that are alike otherwise: see settle
	Fields    []field `json:"fields"`
}

// A field of a record. Avro lets a field have properties of any name; ours are path, key, array and variant.
type field struct {
	Name    string          `json:"name"`
	Type    json.RawMessage `json:"type"`
	Default json.RawMessage `json:"default,omitempty"`
	Doc     string          `json:"doc,omitempty"`
	Path    any             `json:"path,omitempty"`    // dotted path, or a list of them, tried in order
	Key     string          `json:"key,omitempty"`     // the document's key, where it is no name for a field
	Array   bool            `json:"array,omitempty"`   // JSON that is an array as a rule
	Variant string          `json:"variant,omitempty"` // the field whose misfits it takes
}

// parseRecord reads the text of a schema of our own making.
func parseRecord(schema string) (record, error) {
	var r record
	if err := json.Unmarshal([]byte(schema), &r); err != nil {
		return record{}, err
	}
	if r.Type != "record" {
		return record{}, fmt.Errorf("it is a %s, want a record", r.Type)
	}
	for _, f := range r.Fields {
		if _, _, err := f.kinds(); err != nil {
			return record{}, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return r, nil
}

// text is the schema as it is registered.
func (r record) text() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(r) // text, and what was parsed
	return strings.TrimSpace(b.String())
}

// key is the document's key that the field holds as it is; "" of one that is promoted from elsewhere, or collects.
func (f field) key() string {
	if f.Key != "" {
		return f.Key
	}
	if paths, err := f.paths(); f.Name == extraField || err != nil || len(paths[0]) != 1 || paths[0][0] != f.Name {
		return ""
	}
	return f.Name
}

// paths are where the field's values are, best first.
func (f field) paths() ([][]string, error) {
	switch p := f.Path.(type) {
	case nil:
		return [][]string{{cmp.Or(f.Key, f.Name)}}, nil
	case string:
		return [][]string{strings.Split(p, ".")}, nil
	case []any:
		var out [][]string
		for _, one := range p {
			s, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("path %v: want text or a list of texts", f.Path)
			}
			out = append(out, strings.Split(s, "."))
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, fmt.Errorf("path %v: want text or a list of texts", f.Path)
}

// index returns where the field of that name is; -1 where there is none.
func (r record) index(name string) int {
	return slices.IndexFunc(r.Fields, func(f field) bool { return f.Name == name })
}

// holder returns the index of the field that holds the document's key, whose misfits go to variants; -1 where there is none.
func (r record) holder(key string) int {
	return slices.IndexFunc(r.Fields, func(f field) bool { return f.Variant == "" && f.key() == key })
}

// describe has the fields of r be described, and found, as the other describes those of the same names.
func (r record) describe(other record) {
	for _, f := range other.Fields {
		if i := r.index(f.Name); i >= 0 && r.Fields[i].Variant == f.Variant {
			r.Fields[i].Doc, r.Fields[i].Path, r.Fields[i].Key, r.Fields[i].Array = f.Doc, f.Path, f.Key, f.Array
		}
	}
}

// with returns a record that has all of r and all of the other: the fields of r first, each as wide as both. What cannot be one
// field, because no type holds both, stays as it is in r; where two keys have come to one name, the other's gets another.
func (r record) with(other record) record {
	r.Fields = slices.Clone(r.Fields)
	for _, f := range other.Fields {
		if f.Variant != "" && slices.ContainsFunc(r.Fields, func(have field) bool {
			return have.Variant == f.Variant && bytes.Equal(compact(have.Type), compact(f.Type))
		}) {
			continue
		}
		if i := r.index(f.Name); i >= 0 && r.Fields[i].key() == f.key() && r.Fields[i].Variant == f.Variant {
			r.Fields[i].widen(f)
			continue
		} else if i >= 0 && f.key() == "" {
			continue
		}
		if f.Variant == "" && f.key() != "" && r.holder(f.key()) >= 0 {
			continue // under another name
		}
		key := f.key()
		if f.Name = r.free(f.Name); f.key() != key {
			f.Key = key
		}
		r.Fields = append(r.Fields, f)
	}
	return r
}

// widen makes the field hold what the other holds, where one type can.
func (f *field) widen(other field) {
	_, have, err1 := f.kinds()
	_, more, err2 := other.kinds()
	if err1 != nil || err2 != nil {
		return
	}
	for _, k := range more {
		if k == kindLong && slices.Contains(have, kindDouble) {
			continue // which reads it (Avro specification, "Schema Resolution")
		}
		if typ, ok := f.wider(k); ok {
			f.Type = typ
		}
	}
}

// free returns the name, with a number where its column is taken already. To most warehouses case is no difference.
func (r record) free(name string) string {
	taken := func(name string) bool {
		column := ColumnName(name)
		return slices.ContainsFunc(r.Fields, func(f field) bool { return strings.EqualFold(ColumnName(f.Name), column) })
	}
	out := name
	for n := 2; taken(out); n++ {
		out = fmt.Sprintf("%s_%d", name, n)
	}
	return out
}

// changes says in words what the record has that another lacks.
func (r record) changes(from record) (out []string) {
	for _, f := range r.Fields {
		switch i := from.index(f.Name); {
		case i < 0:
			out = append(out, fmt.Sprintf("new field %s %s", f.Name, compact(f.Type)))
		case !bytes.Equal(compact(f.Type), compact(from.Fields[i].Type)):
			out = append(out, fmt.Sprintf("field %s from %s to %s", f.Name, compact(from.Fields[i].Type), compact(f.Type)))
		}
	}
	return out
}

func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // it was parsed
	return b.Bytes()
}
