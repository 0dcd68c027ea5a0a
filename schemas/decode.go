package schemas

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Decoder turns Avro bodies of one writer's schema into rows of Arrow columns. It is safe for concurrent use; a record
// builder is not.
//
// Columns, in the order of the fields, named by ColumnName, with the field's doc as metadata: boolean is Boolean, int
// Int32, long Int64, float and double Float64, string and enum String, a string of logical type json JSON, date Date32,
// timestamp-millis and -micros Timestamp in UTC. Everything else, other unions included, becomes JSON: see value.
// A union of one of these with null, in either order, is nullable. Other logical types count as what they are made of.
type Decoder struct {
	name    string
	columns []column
	schema  *arrow.Schema
	fits    atomic.Pointer[arrow.Schema] // last builder's schema that was found to begin with ours
	pool    sync.Pool                    // of *row
	later   *later                       // nil where bodies have all columns
}

// An op is how a column's value is read and appended.
type op uint8

const (
	opBoolean op = iota
	opInt
	opLong
	opFloat
	opDouble
	opString
	opEnum
	opJSONText // text that is JSON
	opDate
	opTimestamp
	opJSON // any other type, made into JSON
)

type column struct {
	name string // of the field
	op   op
	null int // branch of the union that is null; -1 where the type is not a nullable union
	typ  *avroType
}

// newDecoder compiles the text of a schema. The error is ErrUnsupportedSchema.
func newDecoder(schema string) (*Decoder, error) {
	t, err := parseAvro(schema)
	if err != nil {
		return nil, err
	}
	if t.name != "record" || len(t.fields) == 0 {
		return nil, fmt.Errorf("%w: it is a %s, want a record with fields", ErrUnsupportedSchema, t.name)
	}
	d := &Decoder{name: t.full}
	fields, taken := make([]arrow.Field, len(t.fields)), map[string]string{}
	for i, f := range t.fields {
		c := column{name: f.name, null: -1, typ: f.typ}
		if b := f.typ.branches; len(b) == 2 && b[0].name != b[1].name && (b[0].name == "null" || b[1].name == "null") {
			c.null = slices.IndexFunc(b, func(t *avroType) bool { return t.name == "null" })
			c.typ = b[1-c.null]
		}
		var dt arrow.DataType
		c.op, dt = columnOf(c.typ)
		name := ColumnName(f.name)
		if other, ok := taken[name]; ok {
			return nil, fmt.Errorf("%w: fields %s and %s would share the column %s", ErrUnsupportedSchema, other, f.name, name)
		}
		taken[name] = f.name
		fields[i] = arrow.Field{Name: name, Type: dt, Nullable: c.null >= 0 || c.typ.maybeNull()}
		if f.doc != "" {
			fields[i].Metadata = arrow.NewMetadata([]string{"doc"}, []string{f.doc})
		}
		d.columns = append(d.columns, c)
	}
	var doc *arrow.Metadata
	if t.doc != "" {
		m := arrow.NewMetadata([]string{"doc"}, []string{t.doc})
		doc = &m
	}
	d.schema = arrow.NewSchema(fields, doc)
	d.pool.New = func() any { return &row{cells: make([]cell, len(d.columns))} }
	return d, nil
}

func columnOf(t *avroType) (op, arrow.DataType) {
	switch t.name + " " + t.logical {
	case "string json":
		return opJSONText, jsonType
	case "int date":
		return opDate, arrow.FixedWidthTypes.Date32
	case "long timestamp-millis":
		return opTimestamp, arrow.FixedWidthTypes.Timestamp_ms
	case "long timestamp-micros":
		return opTimestamp, arrow.FixedWidthTypes.Timestamp_us
	}
	switch t.name {
	case "boolean":
		return opBoolean, arrow.FixedWidthTypes.Boolean
	case "int":
		return opInt, arrow.PrimitiveTypes.Int32
	case "long":
		return opLong, arrow.PrimitiveTypes.Int64
	case "float":
		return opFloat, arrow.PrimitiveTypes.Float64
	case "double":
		return opDouble, arrow.PrimitiveTypes.Float64
	case "string":
		return opString, arrow.BinaryTypes.String
	case "enum":
		return opEnum, arrow.BinaryTypes.String
	}
	return opJSON, jsonType
}

// maybeNull reports whether a value of t can be null as a whole.
func (t *avroType) maybeNull() bool {
	return t.name == "null" || slices.ContainsFunc(t.branches, func(b *avroType) bool { return b.name == "null" })
}

// Schema returns the columns, which Append fills. It does not contain the system columns.
func (d *Decoder) Schema() *arrow.Schema { return d.schema }

// A row is a body that has been read but not yet appended.
type row struct {
	cells    []cell // of the columns, and of later's
	json     jsonValues
	draft    *draft // for later
	document []byte // for later
}

// A cell is a value: text of strings and JSON, a part of the body or of the row's own memory; bits of all others.
type cell struct {
	null bool
	bits int64
	text []byte
}

// Append adds one row to columns 0 to n-1 of b, n being the number of columns of Schema; b may have more columns behind,
// which are the caller's to fill. An error, which names the field, means that the body is damaged or was written with
// another schema, or that b's columns are not those of Schema; b is then unchanged. Take the batch out of b before any
// column holds 2 GiB: Arrow's offsets end there, and nothing warns.
func (d *Decoder) Append(b *array.RecordBuilder, body []byte) error {
	if s := b.Schema(); s != d.fits.Load() {
		if err := d.check(s); err != nil {
			return err
		}
		d.fits.Store(s)
	}
	r := d.pool.Get().(*row)
	defer d.pool.Put(r)
	if err := d.read(r, body); err != nil {
		return err
	}
	if d.later != nil {
		d.later.fill(r)
	}
	for i := range d.columns {
		appendCell(b.Field(i), d.columns[i].op, &r.cells[i])
	}
	if d.later != nil {
		for i, c := range d.later.columns {
			at := len(d.columns) + i
			appendCell(b.Field(at), c.op, &r.cells[at])
		}
	}
	return nil
}

// check reports a builder's schema that does not begin with the decoder's columns.
func (d *Decoder) check(s *arrow.Schema) error {
	if s.NumFields() < d.schema.NumFields() {
		return fmt.Errorf("decode %s: the record builder has %d columns, want %d", d.name, s.NumFields(), d.schema.NumFields())
	}
	for i, want := range d.schema.Fields() {
		if got := s.Field(i); got.Name != want.Name || !arrow.TypeEqual(got.Type, want.Type) {
			return fmt.Errorf("decode %s: column %d of the record builder is %s %s, want %s %s", d.name, i, got.Name, got.Type, want.Name, want.Type)
		}
	}
	return nil
}

func (d *Decoder) read(r *row, body []byte) error {
	w := wire(body)
	r.json.reset()
	for i := range d.columns {
		c, to := &d.columns[i], &r.cells[i]
		if to.null = false; c.null >= 0 {
			branch, err := w.index(2)
			if err != nil {
				return fmt.Errorf("decode %s: field %s: %w", d.name, c.name, err)
			}
			if branch == c.null {
				to.null = true
				continue
			}
		}
		if err := r.value(c, to, &w); err != nil {
			return fmt.Errorf("decode %s: field %s: %w", d.name, c.name, err)
		}
	}
	if len(w) > 0 {
		return fmt.Errorf("decode %s: after field %s: %d %w", d.name, d.columns[len(d.columns)-1].name, len(w), errTrailing)
	}
	return nil
}

// value reads a value that is not null.
func (r *row) value(c *column, to *cell, w *wire) (err error) {
	switch c.op {
	case opBoolean:
		var v bool
		if v, err = w.boolean(); v {
			to.bits = 1
		} else {
			to.bits = 0
		}
	case opInt, opDate:
		to.bits, err = w.int()
	case opLong, opTimestamp:
		to.bits, err = w.long()
	case opFloat:
		var v float64
		v, err = w.float()
		to.bits = int64(math.Float64bits(v))
	case opDouble:
		var v float64
		v, err = w.double()
		to.bits = int64(math.Float64bits(v))
	case opString, opJSONText:
		to.text, err = w.text()
	case opEnum:
		var i int
		if i, err = w.index(len(c.typ.symbols)); err == nil {
			to.text = c.typ.symbols[i]
		}
	case opJSON:
		to.text, to.null, err = r.json.top(c.typ, w)
	}
	return err
}

// appendCell never fails: check has seen the builder's type.
func appendCell(b array.Builder, o op, c *cell) {
	if c.null {
		b.AppendNull()
		return
	}
	switch o {
	case opBoolean:
		b.(*array.BooleanBuilder).Append(c.bits == 1)
	case opInt:
		b.(*array.Int32Builder).Append(int32(c.bits))
	case opLong:
		b.(*array.Int64Builder).Append(c.bits)
	case opFloat, opDouble:
		b.(*array.Float64Builder).Append(math.Float64frombits(uint64(c.bits)))
	case opString, opEnum:
		b.(*array.StringBuilder).BinaryBuilder.Append(c.text)
	case opJSONText, opJSON:
		b.(*array.ExtensionBuilder).StorageBuilder().(*array.StringBuilder).BinaryBuilder.Append(c.text)
	case opDate:
		b.(*array.Date32Builder).Append(arrow.Date32(c.bits))
	case opTimestamp:
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(c.bits))
	}
}
