package schemas

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// A draft is what one encoding needs; drafts are used again.
type draft struct {
	scanner
	native map[string]any   // what goavro encodes
	boxes  []map[string]any // by field: goavro's form of a union's value
	took   []bool           // by field: it has a value
	exact  []bool           // by field: it, or its variant, holds the document's key as it is
	last   []int            // by field: the last member with its key
	rest   []int            // members that no field holds exactly
	text   []byte           // decoded strings
	extra  []byte
	body   []byte
}

func (w *writer) newDraft() *draft {
	n := len(w.fields)
	d := &draft{native: map[string]any{}, took: make([]bool, n), exact: make([]bool, n), last: make([]int, n)}
	for range w.fields {
		d.boxes = append(d.boxes, map[string]any{})
	}
	return d
}

// read finds the fields' values in a document, all but that of the one that collects the rest.
func (w *writer) read(d *draft, doc []byte) error {
	if !utf8.Valid(doc) {
		doc = []byte(string([]rune(string(doc)))) // U+FFFD for each byte, as encoding/json has it: the key must stay the _id
	}
	if err := d.scan(doc, w.routes, w.slots); err != nil {
		return err
	}
	d.text = d.text[:0]
	for i, f := range w.fields {
		if f.collects || f.variant {
			continue
		}
		v, k := d.fill(i, f)
		if v == nil && f.key {
			return fmt.Errorf("it has no text under %q", f.name)
		}
		d.set(i, f, v, k)
	}
	for i, f := range w.fields {
		if f.variant {
			v, k := d.fillVariant(i, f)
			d.set(i, f, v, k)
		}
	}
	w.left(d)
	return nil
}

// write returns the Avro body behind the header, in memory of its own. What no field holds is collected, but for the members that
// are dropped.
func (w *writer) write(d *draft, header []byte, dropped []int) ([]byte, error) {
	for i, f := range w.fields {
		if f.collects {
			d.set(i, f, d.collect(dropped), kindJSON)
		}
	}
	body, err := w.avro.BinaryFromNative(append(d.body[:0], header...), d.native)
	if err != nil {
		return nil, err
	}
	d.body = body
	return bytes.Clone(body), nil
}

// fill returns the first of the field's values that fits it, and as what; nil if none does.
func (d *draft) fill(i int, f writerField) (any, kind) {
	d.exact[i] = false
	for n, slot := range f.slots {
		for _, k := range f.kinds {
			v, exact := d.convert(k, d.found[slot], f.key)
			if n, ok := v.(int64); ok && f.mixed && (n > exactDouble || n < -exactDouble) {
				v, exact = nil, false
			}
			if n == 0 && f.own {
				d.exact[i] = d.exact[i] || exact
			}
			if v != nil {
				return v, k
			}
		}
	}
	return nil, 0
}

// fillVariant returns a value that the field it belongs to has no place for, where it is of the variant's kind.
func (d *draft) fillVariant(i int, f writerField) (any, kind) {
	d.exact[i] = false
	raw := d.found[f.slots[0]]
	if len(raw) == 0 || f.of >= 0 && (d.took[f.of] || d.exact[f.of]) {
		return nil, 0
	}
	if k, ok := naturalKind(raw); !ok || k != f.kinds[0] {
		return nil, 0
	}
	v, exact := d.convert(f.kinds[0], raw, false)
	if d.exact[i] = exact; f.of >= 0 {
		d.exact[f.of] = exact
	}
	return v, f.kinds[0]
}

// convert reads compacted JSON as kind k: nil if it is absent, null or does not fit. What fits: a string takes strings, and the text of
// numbers unless it is a key; a long whole numbers of 64 bits; a double what parseDouble reads; a date what parseDate reads; JSON
// everything. exact reports that nothing of the value is lost.
func (d *draft) convert(k kind, raw []byte, key bool) (v any, exact bool) {
	if len(raw) == 0 || raw[0] == 'n' {
		return nil, true
	}
	switch k {
	case kindJSON:
		return raw, true
	case kindString:
		switch c := raw[0]; {
		case c == '"':
			var text []byte
			text, d.text = appendText(d.text, raw)
			return text, true
		case !key && (c == '-' || c >= '0' && c <= '9'):
			return raw, true
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
		if n, ok := parseDouble(raw); ok {
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

// set takes over a value, nil for null.
func (d *draft) set(i int, f writerField, v any, k kind) {
	d.took[i] = v != nil
	switch {
	case v == nil:
		d.native[f.name] = nil
	case f.key:
		d.native[f.name] = v
	default:
		if len(f.kinds) > 1 {
			clear(d.boxes[i])
		}
		d.boxes[i][branches[k]] = v
		d.native[f.name] = d.boxes[i]
	}
}

// left notes the members that no field holds exactly, in their order; of a key that came twice all but the one that a field holds.
// Mongoose's `id`, a copy of `_id`, is left out.
func (w *writer) left(d *draft) {
	var id []byte
	for n, m := range d.members {
		if m.field >= 0 {
			d.last[m.field] = n
		}
		if string(m.key) == `"_id"` {
			id = m.value
		}
	}
	d.rest = d.rest[:0]
	for n, m := range d.members {
		held := m.field >= 0 && d.exact[m.field] && d.last[m.field] == n
		copied := string(m.key) == `"id"` && bytes.Equal(m.value, id)
		if !held && !copied {
			d.rest = append(d.rest, n)
		}
	}
}

// collect returns an object of the rest, but for the members that are dropped; nil if nothing is left.
func (d *draft) collect(dropped []int) any {
	d.extra = d.object(d.extra[:0], func(n int) bool { return !slices.Contains(dropped, n) })
	if len(d.extra) == 0 {
		return nil
	}
	return d.extra
}

// object appends an object of those of the rest that are wanted, or nothing where there are none.
func (d *draft) object(to []byte, wanted func(n int) bool) []byte {
	sep := byte('{')
	for _, n := range d.rest {
		if !wanted(n) {
			continue
		}
		m := d.members[n]
		to = append(append(append(append(to, sep), m.key...), ':'), m.value...)
		sep = ','
	}
	if sep == ',' {
		to = append(to, '}')
	}
	return to
}
