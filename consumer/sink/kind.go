package sink

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"tilestream/schemas"
)

// kind is a type of column that every SQL warehouse has under some name.
type kind int

const (
	kindBool kind = iota
	kindInt32
	kindInt64
	kindFloat64
	kindTimestamp
	kindText
	kindJSON
)

func kindOf(t arrow.DataType) (kind, error) {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return kindBool, nil
	case *arrow.Int32Type:
		return kindInt32, nil
	case *arrow.Int64Type:
		return kindInt64, nil
	case *arrow.Float64Type:
		return kindFloat64, nil
	case *arrow.StringType:
		return kindText, nil
	case *arrow.TimestampType:
		if t.Unit == arrow.Millisecond && t.TimeZone == "UTC" {
			return kindTimestamp, nil
		}
	case *extensions.JSONType:
		if t.StorageType().ID() == arrow.STRING {
			return kindJSON, nil
		}
	}
	return 0, fmt.Errorf("a column of Arrow type %s has no type in the warehouse", t)
}

// widen returns the narrowest kind that holds every value of both exactly. Integers of 64 bits fit a float64 only up to
// 2^53: the caller of widen checks what is there, fit checks what arrives.
func widen(have, want kind) kind {
	switch {
	case have == want:
		return have
	case numeric(have) && numeric(want):
		return max(have, want)
	case want == kindJSON && have != kindText, have == kindJSON:
		return kindJSON
	}
	return kindText
}

func numeric(k kind) bool { return k == kindInt32 || k == kindInt64 || k == kindFloat64 }

// exactFloat is the magnitude up to which every whole number is a float64.
const exactFloat = 1 << 53

// fit returns the column's values as an array of the kind: JSON as a String array, since its storage is that. A number
// that the kind cannot hold exactly is a *RejectedError. A kind that cannot hold the column's is an error: the table has
// not been prepared for it.
func fit(name string, a arrow.Array, to kind) (arrow.Array, error) {
	from, err := kindOf(a.DataType())
	if err != nil {
		return nil, fmt.Errorf("column %s: %w", name, err)
	}
	if j, ok := a.(array.ExtensionArray); ok {
		a = j.Storage()
	}
	if from == to {
		return a, nil
	}
	if widen(to, from) != to {
		return nil, fmt.Errorf("column %s of the table is too narrow for %s: the table was not prepared for this schema", name, a.DataType())
	}
	b := builderOf(to)
	defer b.Release()
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		if err := appendAs(b, a, i, from, to); err != nil {
			return nil, &RejectedError{Column: name, Text: true, Err: err}
		}
	}
	return b.NewArray(), nil
}

func builderOf(k kind) array.Builder {
	switch k {
	case kindInt64:
		return array.NewInt64Builder(memory.DefaultAllocator)
	case kindFloat64:
		return array.NewFloat64Builder(memory.DefaultAllocator)
	}
	return array.NewStringBuilder(memory.DefaultAllocator) // nothing widens to the other kinds
}

func appendAs(b array.Builder, a arrow.Array, i int, from, to kind) error {
	switch b := b.(type) {
	case *array.Int64Builder:
		b.Append(int64(a.(*array.Int32).Value(i)))
	case *array.Float64Builder:
		n := number(a, i)
		if n > exactFloat || n < -exactFloat {
			return fmt.Errorf("%d has more digits than double precision holds", n)
		}
		b.Append(float64(n))
	case *array.StringBuilder:
		b.Append(text(a, i, from, to))
	}
	return nil
}

func number(a arrow.Array, i int) int64 {
	if a, ok := a.(*array.Int32); ok {
		return int64(a.Value(i))
	}
	return a.(*array.Int64).Value(i)
}

// text writes a value for a column of text, or of JSON.
func text(a arrow.Array, i int, from, to kind) string {
	var s string
	switch from {
	case kindBool:
		return strconv.FormatBool(a.(*array.Boolean).Value(i))
	case kindInt32, kindInt64:
		return strconv.FormatInt(number(a, i), 10)
	case kindFloat64:
		f := a.(*array.Float64).Value(i)
		s = string(schemas.AppendNumber(nil, f))
		if !math.IsInf(f, 0) && !math.IsNaN(f) {
			return s
		}
	case kindTimestamp:
		s = time.UnixMilli(int64(a.(*array.Timestamp).Value(i))).UTC().Format("2006-01-02T15:04:05.000Z")
	default:
		s = a.(*array.String).Value(i)
	}
	if to == kindJSON && from != kindJSON {
		quoted, _ := json.Marshal(s) // a string always marshals
		return string(quoted)
	}
	return s
}
