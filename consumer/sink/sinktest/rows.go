// Package sinktest proves that a destination keeps the contract of sink.Sink: rows and batches made here go in, what the
// warehouse then holds comes out and is compared with what it must hold.
package sinktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/sink"
)

// Types of columns, as the decoder makes them.
var (
	String    = arrow.DataType(arrow.BinaryTypes.String)
	Int64     = arrow.DataType(arrow.PrimitiveTypes.Int64)
	Int32     = arrow.DataType(arrow.PrimitiveTypes.Int32)
	Float64   = arrow.DataType(arrow.PrimitiveTypes.Float64)
	Boolean   = arrow.DataType(arrow.FixedWidthTypes.Boolean)
	Timestamp = arrow.DataType(&arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"})
	JSON      = must(extensions.NewJSONType(arrow.BinaryTypes.String))
)

func must(t *extensions.JSONType, err error) arrow.DataType {
	if err != nil {
		panic(err)
	}
	return t
}

// Row is a row by column; a column that is absent is null. Values are string (also for JSON: its text), int64, int32,
// float64, bool and time.Time.
type Row map[string]any

// Column makes a nullable column.
func Column(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// Table describes a table with the given columns between _id and updated_at, _load_id, _kafka_offset.
func Table(name string, columns ...arrow.Field) sink.Table {
	all := slices.Concat(
		[]arrow.Field{{Name: "_id", Type: String}},
		columns,
		[]arrow.Field{Column("updated_at", Timestamp), Column("_load_id", String), {Name: "_kafka_offset", Type: Int64}})
	return sink.Table{Name: name, Schema: arrow.NewSchema(all, nil), Key: "_id", Version: "updated_at", Offset: "_kafka_offset"}
}

// Record makes Arrow rows of the schema. It panics where a value does not fit its column.
func Record(schema *arrow.Schema, rows []Row) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for _, r := range rows {
		for i, f := range schema.Fields() {
			appendValue(b.Field(i), r[f.Name])
		}
	}
	return b.NewRecordBatch()
}

func appendValue(b array.Builder, v any) {
	if v == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.Int32Builder:
		b.Append(v.(int32))
	case *array.Float64Builder:
		b.Append(v.(float64))
	case *array.BooleanBuilder:
		b.Append(v.(bool))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.(time.Time).UnixMilli()))
	case *array.ExtensionBuilder:
		appendValue(b.StorageBuilder(), v)
	default:
		panic(fmt.Sprintf("no builder for %T", b))
	}
}

// Diff compares rows by key, whatever their order. Integers are equal by value, times by instant in milliseconds, JSON
// by meaning (order of keys, spacing, escapes and the way of writing a number do not count). A column that one side
// lacks is equal to null. It returns "" where the rows are equal.
func Diff(t sink.Table, want, got []Row) string {
	return cmp.Diff(normal(t, want), normal(t, got))
}

func normal(t sink.Table, rows []Row) []Row {
	out := make([]Row, len(rows))
	for i, r := range rows {
		out[i] = Row{}
		for c, v := range r {
			if v != nil {
				out[i][c] = normalValue(t, c, v)
			}
		}
	}
	slices.SortFunc(out, func(a, b Row) int {
		return strings.Compare(fmt.Sprint(a[t.Key]), fmt.Sprint(b[t.Key]))
	})
	return out
}

func normalValue(t sink.Table, column string, v any) any {
	f, _ := t.Schema.FieldsByName(column)
	if len(f) == 1 && arrow.TypeEqual(f[0].Type, JSON) {
		return "JSON " + CanonicalJSON(v.(string))
	}
	switch v := v.(type) {
	case int32:
		return int64(v)
	case int:
		return int64(v)
	case float64:
		if math.IsNaN(v) {
			return "NaN"
		}
		return v
	case time.Time:
		return v.UTC().Truncate(time.Millisecond)
	}
	return v
}

// CanonicalJSON is the text of a JSON value with its keys in order and its numbers exact, or the text itself after "not
// JSON: ".
func CanonicalJSON(text string) string {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "not JSON: " + text
	}
	var b strings.Builder
	writeCanonical(&b, v)
	return b.String()
}

func writeCanonical(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fmt.Fprintf(b, "%q:", k)
			writeCanonical(b, v[k])
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for _, e := range v {
			writeCanonical(b, e)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			b.WriteString(r.RatString())
			return
		}
		b.WriteString(v.String())
	default:
		fmt.Fprintf(b, "%#v", v)
	}
}

// millis is a version as a number; a null one comes before all.
func millis(v any) int64 {
	if v == nil {
		return math.MinInt64
	}
	return v.(time.Time).UnixMilli()
}
