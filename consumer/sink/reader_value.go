package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Column is a column of a table in a warehouse.
type Column struct {
	Name string
	kind kind
}

// Type is what the column holds, in a word: text, JSON, timestamp, and the like.
func (c Column) Type() string {
	return [...]string{kindBool: "boolean", kindInt32: "integer", kindInt64: "long", kindFloat64: "double", kindTimestamp: "timestamp", kindText: "text", kindJSON: "JSON"}[c.kind]
}

// JSON is a JSON value in canonical form: no spaces, the keys of objects in order and each once (the last one counts),
// numbers exact and written in one way. Two values mean the same if their texts are equal.
type JSON string

// Value returns row i of an Arrow column as a reader shows it once this column holds it. Values are nil, string, int64,
// float64, bool, time.Time in UTC, or JSON. A column that is wider than the Arrow column, as Prepare makes it, shows the
// wider value.
func (c Column) Value(a arrow.Array, i int) any {
	v := ArrowValue(a, i)
	if v == nil {
		return nil
	}
	switch c.kind {
	case kindFloat64:
		if n, ok := v.(int64); ok {
			return float64(n)
		}
	case kindText, kindJSON:
		from, err := kindOf(a.DataType())
		if err != nil || from == c.kind {
			return v
		}
		if j, ok := a.(array.ExtensionArray); ok {
			a = j.Storage()
		}
		s := text(a, i, from, c.kind)
		if c.kind == kindJSON {
			return canonicalJSON(s)
		}
		return s
	}
	return v
}

// ArrowValue returns row i of an Arrow column in the forms that Value gives.
func ArrowValue(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.String:
		return a.Value(i)
	case *array.Timestamp:
		if a.DataType().(*arrow.TimestampType).Unit == arrow.Microsecond {
			return time.UnixMicro(int64(a.Value(i))).UTC()
		}
		return time.UnixMilli(int64(a.Value(i))).UTC()
	case array.ExtensionArray: // JSON is the only one that decoders make
		return canonicalJSON(a.Storage().(*array.String).Value(i))
	}
	return a.ValueStr(i)
}

// canonical is a driver's value in the forms of Value.
func (c Column) canonical(v any) any {
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v
	case int32:
		return int64(v)
	case []byte:
		return c.canonical(string(v))
	case string:
		switch c.kind {
		case kindJSON:
			return canonicalJSON(v)
		case kindInt32, kindInt64, kindTimestamp: // numbers of any length, as some drivers give them; times are asked for in milliseconds then
			if n, err := strconv.ParseInt(v, 10, 64); err == nil && c.kind == kindTimestamp {
				return time.UnixMilli(n).UTC()
			} else if err == nil {
				return n
			}
		}
		return v
	case time.Time:
		return v.UTC()
	}
	return fmt.Sprint(v)
}

// canonicalJSON keeps what is not JSON as it is.
func canonicalJSON(text string) JSON {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return JSON(text)
	}
	var b bytes.Buffer
	writeJSON(&b, v)
	return JSON(b.String())
}

func writeJSON(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSONText(b, k)
			b.WriteByte(':')
			writeJSON(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	case string:
		writeJSONText(b, v)
	case json.Number:
		b.WriteString(canonicalNumber(string(v)))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case nil:
		b.WriteString("null")
	}
}

func writeJSONText(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)         // text always encodes
	b.Truncate(b.Len() - 1) // the newline
}

// canonicalNumber writes a JSON number in one way, without losing a digit: 1.50e1 is 15. It never writes out the zeros of a
// great exponent.
func canonicalNumber(s string) string {
	mantissa, exponent := s, 0
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		n, err := strconv.ParseInt(strings.TrimPrefix(s[at+1:], "+"), 10, 32)
		if err != nil {
			return s
		}
		mantissa, exponent = s[:at], int(n)
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	const plain = 21 // as ECMAScript: beyond, an exponent is written
	switch point := len(short) + exponent; {
	case short == "":
		return "0"
	case exponent >= 0 && point <= plain:
		return sign + short + strings.Repeat("0", exponent)
	case exponent < 0 && point > 0:
		return sign + short[:point] + "." + short[point:]
	case exponent < 0 && point > -6:
		return sign + "0." + strings.Repeat("0", -point) + short
	}
	return sign + short + "e" + strconv.Itoa(exponent)
}

// AppendValue appends a value in the forms of Value to bytes that are equal for equal values only; what a value is, is a
// part of it. NaN is equal to itself.
func AppendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(strconv.AppendInt(append(b, 's'), int64(len(v)), 10), ":"+v...)
	case JSON:
		return append(strconv.AppendInt(append(b, 'j'), int64(len(v)), 10), ":"+string(v)...)
	case int64:
		return strconv.AppendInt(append(b, 'i'), v, 10)
	case float64:
		if v == 0 {
			v = 0 // of two zeros one
		}
		return strconv.AppendUint(append(b, 'f'), math.Float64bits(v), 16)
	case bool:
		return strconv.AppendBool(append(b, 'b'), v)
	case time.Time:
		return strconv.AppendInt(append(b, 't'), v.UnixMicro(), 10)
	}
	return append(b, 'n')
}
