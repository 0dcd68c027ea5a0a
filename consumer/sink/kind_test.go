package sink

import (
	"errors"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestWiden(t *testing.T) {
	for _, c := range []struct{ have, want, to kind }{
		{kindInt32, kindInt32, kindInt32},
		{kindInt32, kindInt64, kindInt64}, {kindInt64, kindInt32, kindInt64},
		{kindInt32, kindFloat64, kindFloat64}, {kindFloat64, kindInt64, kindFloat64},
		{kindBool, kindInt32, kindText}, {kindTimestamp, kindInt64, kindText}, {kindText, kindBool, kindText},
		{kindText, kindJSON, kindText}, {kindJSON, kindText, kindJSON}, {kindInt64, kindJSON, kindJSON}, {kindJSON, kindTimestamp, kindJSON},
	} {
		if got := widen(c.have, c.want); got != c.to {
			t.Errorf("widen(%d, %d) = %d, want %d", c.have, c.want, got, c.to)
		}
	}
	for have := kindBool; have <= kindJSON; have++ {
		for want := kindBool; want <= kindJSON; want++ {
			to := widen(have, want)
			if widen(to, have) != to || widen(to, want) != to {
				t.Errorf("widen(%d, %d) = %d does not hold both", have, want, to)
			}
		}
	}
}

func TestFit(t *testing.T) {
	mem := memory.DefaultAllocator
	one := func(b array.Builder, add func()) arrow.Array { add(); b.AppendNull(); return b.NewArray() }
	i32, i64, f64 := array.NewInt32Builder(mem), array.NewInt64Builder(mem), array.NewFloat64Builder(mem)
	boolean, text := array.NewBooleanBuilder(mem), array.NewStringBuilder(mem)
	at := array.NewTimestampBuilder(mem, &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"})
	for _, c := range []struct {
		in   arrow.Array
		to   kind
		want string // of the first value; "" where it is refused
	}{
		{one(i32, func() { i32.Append(-7) }), kindInt64, "-7"},
		{one(i32, func() { i32.Append(-7) }), kindFloat64, "-7"},
		{one(i64, func() { i64.Append(1 << 53) }), kindFloat64, "9.007199254740992e+15"},
		{one(i64, func() { i64.Append(1<<53 + 1) }), kindFloat64, ""},
		{one(i64, func() { i64.Append(math.MinInt64) }), kindText, "-9223372036854775808"},
		{one(i64, func() { i64.Append(5) }), kindJSON, "5"},
		{one(f64, func() { f64.Append(0.1) }), kindText, "0.1"},
		{one(f64, func() { f64.Append(math.Inf(-1)) }), kindJSON, `"-Inf"`},
		{one(boolean, func() { boolean.Append(true) }), kindText, "true"},
		{one(at, func() { at.Append(-1) }), kindText, "1969-12-31T23:59:59.999Z"},
		{one(at, func() { at.Append(0) }), kindJSON, `"1970-01-01T00:00:00.000Z"`},
		{one(text, func() { text.Append("a\"b\n€") }), kindJSON, `"a\"b\n€"`},
		{one(text, func() { text.Append("as it is") }), kindText, "as it is"},
	} {
		got, err := fit("c", c.in, c.to)
		var rejected *RejectedError
		switch {
		case c.want == "":
			if !errors.As(err, &rejected) || rejected.Column != "c" {
				t.Errorf("fit of %v to %d: %v, want it rejected", c.in, c.to, err)
			}
		case err != nil:
			t.Errorf("fit of %v to %d: %v", c.in, c.to, err)
		case got.ValueStr(0) != c.want || !got.IsNull(1) || got.Len() != 2:
			t.Errorf("fit of %v to %d = %v, want %s and null", c.in, c.to, got, c.want)
		}
	}
	if _, err := fit("c", one(text, func() { text.Append("1") }), kindInt64); err == nil || errors.As(err, new(*RejectedError)) {
		t.Errorf("fit of text to a number: %v, want an error that is not about the value", err)
	}
}
