package schemas

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// A draft is what one encoding needs; drafts are used again.
type draft struct {
	scanner
	values []datum // by field
	exact  []bool  // by field: it, or its variant, holds the document's key as it is
	last   []int   // by field: the last member with its key
	rest   []int   // members that no field holds exactly
	text   []byte  // decoded strings
	extra  []byte
	body   []byte
}

// A datum is a field's value: text of strings and JSON, bits of all others; not ok where it is null.
type datum struct {
	ok   bool
	kind kind
	bits int64
	text []byte
}

func (w *writer) newDraft() *draft {
	n := len(w.fields)
	return &draft{values: make([]datum, n), exact: make([]bool, n), last: make([]int, n)}
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
	for i := range w.fields { // which are long to copy
		f := &w.fields[i]
		if f.collects || f.variant {
			continue
		}
		if d.values[i] = d.fill(i, f); !d.values[i].ok && f.key {
			return fmt.Errorf("it has no text under %q", f.name)
		}
	}
	for i := range w.fields {
		if f := &w.fields[i]; f.variant {
			d.values[i] = d.fillVariant(i, f)
		}
	}
	w.left(d)
	return nil
}

// write returns the Avro body behind the header, in memory of its own. What no field holds is collected, but for the members that
// are dropped.
func (w *writer) write(d *draft, header []byte, dropped []int) []byte {
	d.body = append(d.body[:0], header...)
	for i := range w.fields {
		f := &w.fields[i]
		if f.collects {
			extra := d.collect(dropped)
			d.values[i] = datum{ok: extra != nil, kind: kindJSON, text: extra}
		}
		d.body = f.append(d.body, d.values[i])
	}
	return bytes.Clone(d.body)
}

// append appends a value of the field in Avro's binary encoding (Avro specification 1.12, "Binary Encoding").
func (f *writerField) append(body []byte, v datum) []byte {
	switch {
	case f.key:
	case !v.ok:
		return append(body, 0) // the branch of null
	default:
		body = binary.AppendVarint(body, f.branch[v.kind])
	}
	switch v.kind {
	case kindString, kindJSON:
		return append(binary.AppendVarint(body, int64(len(v.text))), v.text...)
	case kindBoolean:
		return append(body, byte(v.bits))
	case kindDouble:
		return binary.LittleEndian.AppendUint64(body, uint64(v.bits))
	}
	return binary.AppendVarint(body, v.bits)
}

// fill returns the first of the field's values that fits it.
func (d *draft) fill(i int, f *writerField) datum {
	d.exact[i] = false
	for n, slot := range f.slots {
		for _, k := range f.kinds {
			v, exact := d.convert(k, d.found[slot], f.key)
			if k == kindLong && f.mixed && (v.bits > exactDouble || v.bits < -exactDouble) {
				v, exact = datum{}, false
			}
			if n == 0 && f.own {
				d.exact[i] = d.exact[i] || exact
			}
			if v.ok {
				return v
			}
		}
	}
	return datum{}
}

// fillVariant returns a value that the field it belongs to has no place for, where it is of the variant's kind.
func (d *draft) fillVariant(i int, f *writerField) datum {
	d.exact[i] = false
	raw := d.found[f.slots[0]]
	if len(raw) == 0 || f.of >= 0 && (d.values[f.of].ok || d.exact[f.of]) {
		return datum{}
	}
	if k, ok := naturalKind(raw); !ok || k != f.kinds[0] {
		return datum{}
	}
	v, exact := d.convert(f.kinds[0], raw, false)
	if d.exact[i] = exact; f.of >= 0 {
		d.exact[f.of] = exact
	}
	return v
}

// convert reads compacted JSON as kind k: not ok if it is absent, null or does not fit. What fits: a string takes strings, and the text of
// numbers unless it is a key; a long whole numbers of 64 bits; a double what parseDouble reads; a date what parseDate reads; JSON
// everything. exact reports that nothing of the value is lost.
func (d *draft) convert(k kind, raw []byte, key bool) (v datum, exact bool) {
	if len(raw) == 0 || raw[0] == 'n' {
		return datum{}, true
	}
	v = datum{ok: true, kind: k}
	switch k {
	case kindJSON:
		v.text = raw
		return v, true
	case kindString:
		switch c := raw[0]; {
		case c == '"':
			v.text, d.text = appendText(d.text, raw)
			return v, true
		case !key && (c == '-' || c >= '0' && c <= '9'):
			v.text = raw
			return v, true
		}
	case kindBoolean:
		switch raw[0] {
		case 't':
			v.bits = 1
			return v, true
		case 'f':
			return v, true
		}
	case kindLong:
		if n, ok := parseLong(raw); ok {
			v.bits = n
			return v, true
		}
	case kindDouble:
		if n, ok := parseDouble(raw); ok {
			v.bits = int64(math.Float64bits(n))
			return v, true
		}
	case kindDate:
		if raw[0] == '"' {
			var text []byte
			text, d.text = appendText(d.text, raw)
			if ms, exact, ok := parseDate(text); ok {
				v.bits = ms
				return v, exact
			}
		}
	}
	return datum{}, false
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
func (d *draft) collect(dropped []int) []byte {
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
