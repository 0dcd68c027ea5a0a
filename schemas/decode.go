package schemas

import (
	"fmt"
	"math"
	"slices"
	"strconv"
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
// timestamp-millis and -micros Timestamp in UTC. A union of numbers is the widest of them, and one of numbers and text is String.
// Everything else, other unions included, becomes JSON: see value. A union with null is nullable. Other logical types count as what they are made of.
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
	opNumber // a union of numbers: the widest of them
	opText   // a union of numbers and text
	opJSON   // any other type, made into JSON
)

type column struct {
	name string // of the field
	op   op
	null int // branch of the union that is null; -1 where the type is not a nullable union
	typ  *avroType

	union []*avroType // of opNumber and opText: null may be one of them
}

// widest returns the type that holds all of a union of at least two plain numbers, or numbers and text: a widened field.
func widest(t *avroType) (wide *avroType, ok bool) {
	order := []string{"int", "long", "float", "double", "string"}
	n := 0
	for _, b := range t.branches {
		if b.name == "null" {
			continue
		}
		if b.logical != "" || !slices.Contains(order, b.name) {
			return nil, false
		}
		if n++; wide == nil || slices.Index(order, b.name) > slices.Index(order, wide.name) {
			wide = b
		}
	}
	return wide, n > 1
}

// NewDecoder compiles the text of a schema. The error is ErrUnsupportedSchema.
func NewDecoder(schema string) (*Decoder, error) {
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
		if wide, ok := widest(f.typ); ok {
			c.union, c.typ = f.typ.branches, wide
		} else if b := f.typ.branches; len(b) == 2 && b[0].name != b[1].name && (b[0].name == "null" || b[1].name == "null") {
			c.null = slices.IndexFunc(b, func(t *avroType) bool { return t.name == "null" })
			c.typ = b[1-c.null]
		}
		var dt arrow.DataType
		if c.op, dt = columnOf(c.typ); c.union != nil && c.op == opString {
			c.op = opText
		} else if c.union != nil {
			c.op = opNumber
		}
		name := ColumnName(f.name)
		if other, ok := taken[name]; ok {
			return nil, fmt.Errorf("%w: fields %s and %s would share the column %s", ErrUnsupportedSchema, other, f.name, name)
		}
		taken[name] = f.name
		fields[i] = arrow.Field{Name: name, Type: dt, Nullable: f.typ.maybeNull()}
		fields[i].Metadata = metadata(f)
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

// metadata is what a column says of itself beside its type: its doc, and whether it is an array as a rule.
func metadata(f avroField) arrow.Metadata {
	var keys, values []string
	if f.doc != "" {
		keys, values = append(keys, "doc"), append(values, f.doc)
	}
	if f.array {
		keys, values = append(keys, "array"), append(values, "true")
	}
	if keys == nil {
		return arrow.Metadata{}
	}
	return arrow.NewMetadata(keys, values)
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
		appendCell(b.Field(i), &d.columns[i], &r.cells[i])
	}
	if d.later != nil {
		for i := range d.later.columns {
			at := len(d.columns) + i
			appendCell(b.Field(at), &d.later.columns[i], &r.cells[at])
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
	case opNumber, opText:
		err = r.widened(c, to, w)
	case opJSON:
		to.text, to.null, err = r.json.top(c.typ, w)
	}
	return err
}

// widened reads a value of a union as the widest of its types.
func (r *row) widened(c *column, to *cell, w *wire) error {
	i, err := w.index(len(c.union))
	if err != nil {
		return err
	}
	switch c.union[i].name {
	case "null":
		to.null = true
	case "string":
		to.text, err = w.text()
	case "int", "long":
		var v int64
		if v, err = w.long(); err == nil {
			err = r.integer(c, to, v)
		}
	case "float":
		var v float64
		v, err = w.float()
		r.double(c, to, v)
	case "double":
		var v float64
		v, err = w.double()
		r.double(c, to, v)
	}
	return err
}

// integer stores a whole number in a cell of the column.
func (r *row) integer(c *column, to *cell, v int64) error {
	switch {
	case c.op == opText:
		to.text = r.json.number(func(b []byte) []byte { return strconv.AppendInt(b, v, 10) })
	case c.typ.name == "long":
		to.bits = v
	case v > exactDouble || v < -exactDouble:
		return fmt.Errorf("%d has more digits than a double holds", v)
	default:
		to.bits = int64(math.Float64bits(float64(v)))
	}
	return nil
}

// double stores a number in a cell of the column.
func (r *row) double(c *column, to *cell, v float64) {
	if c.op == opText {
		to.text = r.json.number(func(b []byte) []byte { return AppendNumber(b, v) })
		return
	}
	to.bits = int64(math.Float64bits(v))
}

// AppendNumber appends a number as text, for a column that has both: in as few digits as tell it from others, with an exponent below
// 0.0001 and from 1e15 on, as PostgreSQL does (manual, 8.1.3; zero has no sign). Sinks write numbers that are in a column already, when that
// becomes text, in the same way.
func AppendNumber(dst []byte, v float64) []byte {
	format := byte('f')
	if v == 0 {
		v = 0 // -0
	} else if a := math.Abs(v); a < 1e-4 || a >= 1e15 {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}

// appendCell never fails: check has seen the builder's type.
func appendCell(b array.Builder, col *column, c *cell) {
	if c.null {
		b.AppendNull()
		return
	}
	switch col.op {
	case opNumber:
		if col.typ.name == "long" {
			b.(*array.Int64Builder).Append(c.bits)
		} else {
			b.(*array.Float64Builder).Append(math.Float64frombits(uint64(c.bits)))
		}
	case opBoolean:
		b.(*array.BooleanBuilder).Append(c.bits == 1)
	case opInt:
		b.(*array.Int32Builder).Append(int32(c.bits))
	case opLong:
		b.(*array.Int64Builder).Append(c.bits)
	case opFloat, opDouble:
		b.(*array.Float64Builder).Append(math.Float64frombits(uint64(c.bits)))
	case opString, opEnum, opText:
		b.(*array.StringBuilder).BinaryBuilder.Append(c.text)
	case opJSONText, opJSON:
		b.(*array.ExtensionBuilder).StorageBuilder().(*array.StringBuilder).BinaryBuilder.Append(c.text)
	case opDate:
		b.(*array.Date32Builder).Append(arrow.Date32(c.bits))
	case opTimestamp:
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(c.bits))
	}
}
