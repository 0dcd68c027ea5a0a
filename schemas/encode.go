package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/linkedin/goavro/v2"
)

// extraField is the field that keeps what no other one can.
const extraField = "_extra"

// A kind says how a field reads a JSON value. See convert.
type kind uint8

const (
	kindString kind = iota
	kindLong
	kindDouble
	kindBoolean
	kindDate // timestamp-millis
	kindJSON
)

// A writer turns JSON documents into Avro bodies of one schema. It is compiled once and safe for concurrent use.
type writer struct {
	avro   *goavro.Codec
	fields []writerField
	routes *route
	slots  int
	pool   sync.Pool // of *draft
}

type writerField struct {
	name     string
	kind     kind
	branch   string // goavro's name of the union's branch for values; "" where the field cannot be null
	slots    []int  // the values it may take, best first
	own      bool   // it holds the document's key of the same name; else it is promoted from elsewhere
	collects bool   // it is extraField
}

// newWriter compiles the text of an Avro schema: a record of strings, longs, doubles, booleans, timestamp-millis and JSON,
// each nullable with null first, or a plain string.
func newWriter(schema string) (*writer, error) {
	avro, err := goavro.NewCodec(schema)
	if err != nil {
		return nil, err
	}
	fields, err := declared(schema)
	if err != nil {
		return nil, err
	}
	w, err := newFields(fields)
	if err != nil {
		return nil, err
	}
	w.avro = avro
	return w, nil
}

// A declaration is a field of a schema as it is written there.
type declaration struct {
	Name string
	Type json.RawMessage
	Path any // dotted path, or a list of them, tried in order
}

// declared lists the fields of a record's schema.
func declared(schema string) ([]declaration, error) {
	var record struct{ Fields []declaration }
	err := json.Unmarshal([]byte(schema), &record)
	return record.Fields, err
}

// newFields returns a writer of these fields that knows where they are in a document, and not how to write Avro.
func newFields(fields []declaration) (_ *writer, err error) {
	w := &writer{routes: newRoute()}
	for i, f := range fields {
		wf := writerField{name: f.Name, collects: f.Name == extraField}
		if wf.kind, wf.branch, err = kindOf(f.Type); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		paths, err := pathsOf(f.Path, f.Name)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		if !wf.collects {
			for _, path := range paths {
				r := w.routes
				for _, key := range path {
					r = r.step(key)
				}
				r.slots = append(r.slots, w.slots)
				wf.slots = append(wf.slots, w.slots)
				w.slots++
			}
			if first := paths[0]; len(first) == 1 && first[0] == f.Name {
				wf.own = true
				w.routes.step(f.Name).field = i
			}
		}
		w.fields = append(w.fields, wf)
	}
	w.routes.settle()
	w.pool.New = func() any { return w.newDraft() }
	return w, nil
}

// A draft is what one encoding needs; drafts are used again.
type draft struct {
	scanner
	native map[string]any   // what goavro encodes
	boxes  []map[string]any // by field: goavro's form of a union's value
	exact  []bool           // by field: it holds the document's key as it is
	last   []int            // by field: the last member with its key
	text   []byte           // decoded strings
	extra  []byte
	body   []byte
}

func (w *writer) newDraft() *draft {
	d := &draft{native: map[string]any{}, exact: make([]bool, len(w.fields)), last: make([]int, len(w.fields))}
	for range w.fields {
		d.boxes = append(d.boxes, map[string]any{})
	}
	return d
}

// encode appends the Avro body of a document to header and returns both in memory of their own.
func (w *writer) encode(header, doc []byte) ([]byte, error) {
	d := w.pool.Get().(*draft)
	defer w.pool.Put(d)
	if !utf8.Valid(doc) {
		doc = []byte(string([]rune(string(doc)))) // U+FFFD for each byte, as encoding/json has it: the key must stay the _id
	}
	if err := d.scan(doc, w.routes, w.slots); err != nil {
		return nil, err
	}
	d.text = d.text[:0]
	for i, f := range w.fields {
		if f.collects {
			continue // needs to know about all others
		}
		v := d.fill(i, f)
		if v == nil && f.branch == "" {
			return nil, fmt.Errorf("it has no text under %q", f.name)
		}
		d.set(i, f, v)
	}
	for i, f := range w.fields {
		if f.collects {
			d.set(i, f, d.collect())
		}
	}
	body, err := w.avro.BinaryFromNative(append(d.body[:0], header...), d.native)
	if err != nil {
		return nil, err
	}
	d.body = body
	return bytes.Clone(body), nil
}

// fill returns the first of the field's values that fits it, nil if none does.
func (d *draft) fill(i int, f writerField) any {
	d.exact[i] = false
	for n, slot := range f.slots {
		v, exact := d.convert(f.kind, d.found[slot])
		if n == 0 && f.own {
			d.exact[i] = exact
		}
		if v != nil {
			return v
		}
	}
	return nil
}

// convert reads compacted JSON as kind k: nil if it is absent, null or does not fit. What fits: a string takes strings; a
// long whole numbers of 64 bits; a double every number that is not too large for one; a date what parseDate reads; JSON
// everything. exact reports that nothing of the value is lost.
func (d *draft) convert(k kind, raw []byte) (v any, exact bool) {
	if len(raw) == 0 || raw[0] == 'n' {
		return nil, true
	}
	switch k {
	case kindJSON:
		return raw, true
	case kindString:
		if raw[0] == '"' {
			var text []byte
			text, d.text = appendText(d.text, raw)
			return text, true
		}
	case kindBoolean:
		if raw[0] == 't' || raw[0] == 'f' {
			return raw[0] == 't', true
		}
	case kindLong:
		if n, ok := parseLong(raw); ok {
			return n, true
		}
	case kindDouble:
		if n, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return n, true
		}
	case kindDate:
		if raw[0] == '"' {
			var text []byte
			text, d.text = appendText(d.text, raw)
			if ms, exact, ok := parseDate(text); ok {
				return ms, exact
			}
		}
	}
	return nil, false
}

// parseLong reads a JSON number that is whole and fits 64 bits: 1000 or 1000.0. JavaScript writes an exponent only where
// 64 bits are too few.
func parseLong(raw []byte) (int64, bool) {
	whole, decimals, _ := bytes.Cut(raw, []byte("."))
	if len(bytes.Trim(decimals, "0")) > 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	return n, err == nil
}

func (d *draft) set(i int, f writerField, v any) {
	switch {
	case v == nil:
		d.native[f.name] = nil
	case f.branch == "":
		d.native[f.name] = v
	default:
		d.boxes[i][f.branch] = v
		d.native[f.name] = d.boxes[i]
	}
}

// collect returns an object of the members that no field holds exactly, nil if there are none. They keep their order; a
// key that came twice does so here too, unless it is the one that a field holds. Mongoose's `id`, a copy of `_id`, is left out.
func (d *draft) collect() any {
	var id []byte
	for n, m := range d.members {
		if m.field >= 0 {
			d.last[m.field] = n
		}
		if string(m.key) == `"_id"` {
			id = m.value
		}
	}
	d.extra = d.extra[:0]
	for n, m := range d.members {
		held := m.field >= 0 && d.exact[m.field] && d.last[m.field] == n
		copied := string(m.key) == `"id"` && bytes.Equal(m.value, id)
		if held || copied {
			continue
		}
		sep := byte(',')
		if len(d.extra) == 0 {
			sep = '{'
		}
		d.extra = append(d.extra, sep)
		d.extra = append(d.extra, m.key...)
		d.extra = append(d.extra, ':')
		d.extra = append(d.extra, m.value...)
	}
	if len(d.extra) == 0 {
		return nil
	}
	d.extra = append(d.extra, '}')
	return d.extra
}
