package schemas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/franz-go/pkg/sr"
)

// DecoderAs is Decoder for records that are read again: the columns of the writer's schema, and behind them those that the
// resource's newest schema has and the writer's lacks. Such a column gets what the record holds of it, in _extra or, for a field
// with a path, in the JSON of the object that it lies in, if it is of the column's type; what a column holds exactly is left out of _extra. Without a newer
// schema, or where one of the two is not of our own making, it is Decoder. Errors are those of Decoder.
func (c *Codec) DecoderAs(ctx context.Context, schemaID int, r Resource) (*Decoder, error) {
	d, err := c.Decoder(ctx, schemaID)
	if err != nil {
		return nil, err
	}
	newest, err := c.newest(ctx, r)
	if err != nil || newest.ID == 0 || newest.ID == schemaID {
		return d, err
	}
	own, err := c.reg.SchemaByID(ctx, schemaID)
	if err != nil {
		return nil, fmt.Errorf("ask the registry: %w", explain(err))
	}
	return d.with(own.Schema, newest.Schema.Schema)
}

// newest returns the newest version of the resource's subject; its ID is 0 where there is none.
func (c *Codec) newest(ctx context.Context, r Resource) (sr.SubjectSchema, error) {
	newest, err := c.reg.SchemaByVersion(ctx, r.Subject(c.prefix), -1)
	var re *sr.ResponseError
	switch {
	case errors.As(err, &re) && re.StatusCode == http.StatusNotFound:
		return sr.SubjectSchema{}, nil
	case err != nil:
		return sr.SubjectSchema{}, fmt.Errorf("ask the registry for the newest schema of %s: %w", r.Subject(c.prefix), explain(err))
	}
	return newest, nil
}

// Newest returns the id of the resource's newest schema and its decoder; 0 and nil where the registry has none.
func (c *Codec) Newest(ctx context.Context, r Resource) (schemaID int, d *Decoder, err error) {
	newest, err := c.newest(ctx, r)
	if err != nil || newest.ID == 0 {
		return 0, nil, err
	}
	d, err = c.Decoder(ctx, newest.ID)
	return newest.ID, d, err
}

// later fills columns that were added after a record was written.
type later struct {
	*writer // the added fields, and behind them the writer's own objects in which their paths begin
	columns []column
	objects []int    // columns of the decoder that are those objects
	names   [][]byte // of the objects, as members of a document begin: "name":
	extra   int      // column of the decoder that is _extra; -1 where it has none
}

// with returns a decoder of the same bodies that has the columns that the newer schema adds.
func (d *Decoder) with(own, newer string) (*Decoder, error) {
	as, err := NewDecoder(newer)
	if err != nil {
		return d, nil // not ours: there is nothing to be filled
	}
	had, err1 := parseRecord(own)
	has, err2 := parseRecord(newer)
	if err1 != nil || err2 != nil {
		return d, nil
	}
	l := &later{extra: -1}
	var fields []field
	roots := map[string]bool{}
	columns := d.schema.Fields()
	for i, f := range has.Fields {
		if f.Name == extraField || len(d.schema.FieldIndices(as.schema.Field(i).Name)) > 0 {
			continue
		}
		paths, err := f.paths()
		if err != nil {
			return d, nil
		}
		for _, p := range paths {
			roots[p[0]] = true
		}
		fields = append(fields, f)
		l.columns = append(l.columns, as.columns[i])
		column := as.schema.Field(i)
		column.Nullable = true
		columns = append(slices.Clone(columns), column)
	}
	if len(fields) == 0 {
		return d, nil
	}
	for i, f := range had.Fields {
		if f.Name == extraField {
			l.extra = i
		} else if roots[f.Name] && f.Path == nil && d.columns[i].op == opJSONText {
			fields = append(fields, f)
			l.objects = append(l.objects, i)
			l.names = append(l.names, append(appendQuoted(nil, []byte(f.Name)), ':'))
		}
	}
	if l.writer, err = newFields(record{Fields: fields}); err != nil {
		return d, nil
	}
	metadata := d.schema.Metadata()
	out := &Decoder{name: d.name, columns: d.columns, schema: arrow.NewSchema(columns, &metadata), later: l}
	out.pool = sync.Pool{New: func() any {
		return &row{cells: make([]cell, len(out.columns)+len(l.columns)), draft: l.newDraft()}
	}}
	return out, nil
}

// fill finds the values of the added columns in a row that has been read.
func (l *later) fill(r *row) {
	added := r.cells[len(r.cells)-len(l.columns):]
	for i := range added {
		added[i].null = true
	}
	doc := append(r.document[:0], '{')
	member := func(text ...[]byte) {
		if len(doc) > 1 {
			doc = append(doc, ',')
		}
		for _, t := range text {
			doc = append(doc, t...)
		}
	}
	var extra *cell
	if l.extra >= 0 {
		if extra = &r.cells[l.extra]; !extra.null && len(extra.text) > 2 {
			member(extra.text[1 : len(extra.text)-1]) // an object, without white space around, if we have written it
		}
	}
	for n, i := range l.objects {
		if c := &r.cells[i]; !c.null && json.Valid(c.text) {
			member(l.names[n], c.text)
		}
	}
	r.document = append(doc, '}')
	if len(doc) == 1 {
		return
	}
	d := r.draft
	if d.scan(r.document, l.routes, l.slots) != nil {
		return // somebody else has written it
	}
	d.text = d.text[:0]
	for i := range l.fields {
		f, v := &l.fields[i], &d.values[i]
		if f.variant {
			*v = d.fillVariant(i, f)
		} else {
			*v = d.fill(i, f)
		}
		if i < len(added) && v.ok {
			r.take(&l.columns[i], &added[i], *v)
		}
	}
	l.left(d)
	if extra != nil && !extra.null {
		rest := d.collect(nil)
		extra.text, extra.null = rest, rest == nil
	}
}

// take stores a value that fill has found in a cell of the column.
func (r *row) take(c *column, to *cell, v datum) {
	*to = cell{bits: v.bits, text: v.text}
	switch {
	case v.kind == kindDouble:
		r.double(c, to, math.Float64frombits(uint64(v.bits)))
	case v.kind == kindLong && (c.op == opNumber || c.op == opText):
		to.null = r.integer(c, to, v.bits) != nil
	}
}
