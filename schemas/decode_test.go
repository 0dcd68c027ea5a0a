package schemas

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/linkedin/goavro/v2"
)

// everyType is a schema with all that a decoder takes: first what columns hold as it is, then what becomes JSON.
const everyType = `{"type":"record","name":"Every","namespace":"test","doc":"All of them.","fields":[
	{"name":"aBoolean","type":"boolean","doc":"Yes or no."},
	{"name":"anInt","type":"int"},
	{"name":"aLong","type":["null","long"]},
	{"name":"aFloat","type":["float","null"]},
	{"name":"aDouble","type":["double","null"]},
	{"name":"aString","type":["null","string"]},
	{"name":"aNestedString","type":["null",{"type":{"type":"string"}}]},
	{"name":"anEnum","type":["null",{"type":"enum","name":"Suit","symbols":["HEARTS","SPADES"]}]},
	{"name":"aJSON","type":["null",{"type":"string","logicalType":"json"}]},
	{"name":"wide","type":["null","long","double"]},
	{"name":"widest","type":["null","long","double","string"]},
	{"name":"aDate","type":["null",{"type":"int","logicalType":"date"}]},
	{"name":"millis","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
	{"name":"micros","type":[{"type":"long","logicalType":"timestamp-micros"},"null"]},
	{"name":"aNull","type":"null"},
	{"name":"someBytes","type":["null","bytes"]},
	{"name":"aFixed","type":["null",{"type":"fixed","name":"Three","size":3}]},
	{"name":"aDecimal","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]},
	{"name":"longs","type":["null",{"type":"array","items":"long"}]},
	{"name":"byName","type":{"type":"map","values":["null","double","string"]}},
	{"name":"aUnion","type":["null","int","string",{"type":"array","items":"null"}]},
	{"name":"lonely","type":["string"]},
	{"name":"aRecord","type":["null",{"type":"record","name":"Inner","fields":[
		{"name":"suit","type":"Suit"},
		{"name":"three","type":"test.Three"},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"on","type":{"type":"int","logicalType":"date"}},
		{"name":"exactly","type":{"type":"long","logicalType":"timestamp-micros"}},
		{"name":"free","type":{"type":"string","logicalType":"json"}},
		{"name":"f","type":"float"},
		{"name":"b","type":"boolean"}]}]},
	{"name":"another","type":["null","Inner"]}]}`

// everyValue returns values for everyType: all kinds, or nothing but nulls and zeros.
func everyValue(full bool) map[string]any {
	if !full {
		return map[string]any{"aBoolean": false, "anInt": 0, "aLong": nil, "aFloat": nil, "aDouble": nil, "aString": nil, "aNestedString": nil,
			"anEnum": nil, "aJSON": nil, "aDate": nil, "millis": nil, "micros": nil, "aNull": nil, "someBytes": nil, "aFixed": nil, "aDecimal": nil,
			"longs": nil, "wide": nil, "widest": nil, "byName": map[string]any{}, "aUnion": nil, "lonely": goavro.Union("string", ""), "aRecord": nil, "another": nil}
	}
	at := time.Date(2026, 11, 22, 15, 17, 30, 904e6, time.UTC)
	inner := map[string]any{"suit": "SPADES", "three": []byte{1, 2, 3}, "at": at, "on": at, "exactly": at, "free": `{"a":[1]}`, "f": float32(0.1), "b": true}
	return map[string]any{"aBoolean": true, "anInt": math.MinInt32, "aLong": goavro.Union("long", math.MaxInt64), "aFloat": goavro.Union("float", 1.5),
		"aDouble": goavro.Union("double", 0.1), "aString": goavro.Union("string", "é\x00\"\n"), "aNestedString": goavro.Union("string", "x"),
		"anEnum": goavro.Union("test.Suit", "SPADES"), "aJSON": goavro.Union("string", `{"a":1}`), "aDate": goavro.Union("int.date", -1),
		"millis": goavro.Union("long.timestamp-millis", at), "micros": goavro.Union("long.timestamp-micros", at.UnixMicro()+7), "aNull": nil,
		"someBytes": goavro.Union("bytes", []byte{0xfb, 0xff}), "aFixed": goavro.Union("test.Three", []byte("abc")),
		"longs": goavro.Union("array", []any{1, -2}), "wide": goavro.Union("long", 7), "widest": goavro.Union("double", 0.5), "byName": map[string]any{"a\n": goavro.Union("double", math.Inf(-1))},
		"aUnion": goavro.Union("array", []any{nil, nil}), "lonely": goavro.Union("string", "x"),
		"aRecord": goavro.Union("test.Inner", inner), "another": goavro.Union("test.Inner", inner)}
}

func encodeNative(t testing.TB, schema string, value map[string]any) []byte {
	t.Helper()
	avro, err := goavro.NewCodec(schema)
	if err != nil {
		t.Fatal(err)
	}
	body, err := avro.BinaryFromNative(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func mustDecoder(t testing.TB, schema string) *Decoder {
	t.Helper()
	d, err := NewDecoder(schema)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecodeEveryType(t *testing.T) {
	d := mustDecoder(t, everyType)
	b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
	defer b.Release()
	full := everyValue(true)
	body := encodeNative(t, strings.ReplaceAll(everyType, `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, `"bytes"`),
		with(full, "aDecimal", goavro.Union("bytes", []byte{0xff, 0x38}))) // -200
	for _, body := range [][]byte{body, encodeNative(t, everyType, everyValue(false))} {
		if err := d.Append(b, body); err != nil {
			t.Fatal(err)
		}
	}
	rows := b.NewRecordBatch()
	defer rows.Release()

	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	at := time.Date(2026, 11, 22, 15, 17, 30, 904e6, time.UTC)
	inner := raw(`{"suit":"SPADES","three":"AQID","at":"2026-11-22T15:17:30.904Z","on":"2026-11-22","exactly":"2026-11-22T15:17:30.904000Z","free":{"a":[1]},"f":0.1,"b":true}`)
	want := map[string]any{"a_boolean": true, "an_int": int32(math.MinInt32), "a_long": int64(math.MaxInt64), "a_float": 1.5, "a_double": 0.1,
		"a_string": "é\x00\"\n", "a_nested_string": "x", "an_enum": "SPADES", "a_json": raw(`{"a":1}`), "a_date": time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC),
		"millis": at, "micros": at.Add(7 * time.Microsecond), "some_bytes": raw(`"+/8="`), "a_fixed": raw(`"YWJj"`), "a_decimal": raw(`-2.00`),
		"longs": raw(`[1,-2]`), "wide": 7.0, "widest": "0.5", "by_name": raw(`{"a\u000a":"-Infinity"}`), "a_union": raw(`[null,null]`), "lonely": raw(`"x"`),
		"a_record": inner, "another": inner}
	if diff := cmp.Diff(want, rowOf(rows, 0)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	want = map[string]any{"a_boolean": false, "an_int": int32(0), "by_name": raw(`{}`), "lonely": raw(`""`)}
	if diff := cmp.Diff(want, rowOf(rows, 1)); diff != "" {
		t.Errorf("nulls (-want +got):\n%s", diff)
	}
	var notNull []string
	for _, f := range d.Schema().Fields() {
		if !f.Nullable {
			notNull = append(notNull, f.Name)
		}
	}
	if want := []string{"a_boolean", "an_int", "by_name", "lonely"}; !cmp.Equal(notNull, want) {
		t.Errorf("columns that cannot be null: %v, want %v", notNull, want)
	}
	if doc, _ := d.Schema().Field(0).Metadata.GetValue("doc"); doc != "Yes or no." {
		t.Errorf("doc of the first column is %q", doc)
	}
}

func with(m map[string]any, key string, v any) map[string]any {
	m[key] = v
	return m
}

func TestAppendNumber(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 1: "1", -1000000: "-1000000", 0.1: "0.1", 1234567.5: "1234567.5", 0.0001: "0.0001", 0.00001: "1e-05", 1.5e-7: "1.5e-07",
		999999999999999: "999999999999999", 1e15: "1e+15", 1e21: "1e+21", -1.25e300: "-1.25e+300", math.MaxFloat64: "1.7976931348623157e+308", 5e-324: "5e-324",
	} {
		if got := string(AppendNumber(nil, n)); got != want {
			t.Errorf("%g is written %s, want %s", n, got, want)
		}
	}
}

func TestDecodeDecimals(t *testing.T) {
	for _, tt := range []struct {
		bytes []byte
		scale int
		want  string
	}{
		{nil, 2, "0.00"}, {[]byte{5}, 2, "0.05"}, {[]byte{0xfb}, 2, "-0.05"}, {[]byte{0x04, 0xd2}, 2, "12.34"}, {[]byte{0x04, 0xd2}, 0, "1234"},
		{[]byte{0x80}, 1, "-12.8"}, {[]byte{0, 0x80}, 1, "12.8"},
	} {
		if got := string(appendDecimal(nil, tt.bytes, tt.scale)); got != tt.want {
			t.Errorf("%x, scale %d: got %s, want %s", tt.bytes, tt.scale, got, tt.want)
		}
	}
}

// Every way to cut a body short, and bytes too many, are errors that name a field and leave the builder as it was.
func TestDecodeDamagedBodies(t *testing.T) {
	d := mustDecoder(t, everyType)
	b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
	defer b.Release()
	good := encodeNative(t, everyType, with(everyValue(true), "aDecimal", nil))
	if err := d.Append(b, good); err != nil {
		t.Fatal(err)
	}
	refuse := func(body []byte, want error) {
		t.Helper()
		err := d.Append(b, body)
		if err == nil || want != nil && !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "decode test.Every: ") || !strings.Contains(err.Error(), "field ") {
			t.Errorf("%d of %d bytes: got %v, want %v with the record's and the field's names", len(body), len(good), err, want)
		}
		for i, col := range b.Fields() {
			if col.Len() != 1 {
				t.Fatalf("%d bytes: column %d has %d rows after the error, want 1", len(body), i, col.Len())
			}
		}
	}
	for n := range good {
		refuse(good[:n], errShort)
	}
	refuse(append(good[:len(good):len(good)], 0), errTrailing)
	refuse(append([]byte{2}, good[1:]...), nil)                               // a boolean of 2
	refuse(append([]byte{1}, 0x80, 0x80, 0x80, 0x80, 0x10), errInt)           // 2^31
	refuse(append([]byte{1, 0, 2}, strings.Repeat("\xff", 11)...), errVarint) // aLong
	refuse([]byte{1, 0, 4}, nil)                                              // branch 2 of 2
	refuse([]byte{1, 0, 1}, nil)                                              // branch -1
	refuse([]byte{1, 0, 0, 2, 2, 2, 1}, nil)                                  // a string of length -1
	refuse([]byte{1, 0, 0, 2, 2, 2, 0xfe, 0xff, 0xff, 0xff, 0x7f}, errShort)  // of length 2^34
	refuse([]byte{1, 0, 0, 2, 2, 2, 2, 0xff}, errUTF8)
	refuse([]byte{1, 0, 0, 2, 2, 0, 0, 2, 4}, nil) // an enum's third symbol of two
	if err := d.Append(b, good); err != nil {
		t.Errorf("after the errors: %v", err)
	}
}

// A body of a few bytes cannot announce work without end.
func TestDecodeBomb(t *testing.T) {
	d := mustDecoder(t, `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}`)
	b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
	defer b.Release()
	if err := d.Append(b, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}); !errors.Is(err, errTooMany) {
		t.Errorf("got %v, want %v", err, errTooMany)
	}
	if err := d.Append(b, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}); err == nil {
		t.Error("a block of -2^63 items was accepted")
	}
}

func TestDecodeIntoWiderBuilder(t *testing.T) {
	d := mustDecoder(t, `{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}`)
	wider := arrow.NewSchema(append(d.Schema().Fields(), arrow.Field{Name: "_offset", Type: arrow.PrimitiveTypes.Int64}), nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, wider)
	defer b.Release()
	if err := d.Append(b, []byte{2, 2, 'x'}); err != nil {
		t.Fatal(err)
	}
	if b.Field(0).Len() != 1 || b.Field(1).Len() != 1 || b.Field(2).Len() != 0 {
		t.Errorf("columns have %d, %d and %d rows, want 1, 1 and 0", b.Field(0).Len(), b.Field(1).Len(), b.Field(2).Len())
	}
	for _, wrong := range []*arrow.Schema{
		arrow.NewSchema(d.Schema().Fields()[:1], nil),
		arrow.NewSchema([]arrow.Field{d.Schema().Field(1), d.Schema().Field(0)}, nil),
		arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int32}, d.Schema().Field(1)}, nil),
	} {
		b := array.NewRecordBuilder(memory.DefaultAllocator, wrong)
		defer b.Release()
		if err := d.Append(b, []byte{2, 2, 'x'}); err == nil || b.Field(0).Len() != 0 {
			t.Errorf("%s: got %v and %d rows, want an error and none", wrong, err, b.Field(0).Len())
		}
	}
}

func TestUnsupportedSchemas(t *testing.T) {
	field := func(typ string) string {
		return `{"type":"record","name":"R","fields":[{"name":"a","type":` + typ + `}]}`
	}
	for schema, want := range map[string]string{
		``: "JSON", `5`: "neither", `"string"`: "want a record", `["null","string"]`: "want a record", `{"type":"record","name":"R","fields":[]}`: "want a record with fields",
		field(`["null","R"]`): "contains itself", field(`{"type":"array","items":{"type":"record","name":"N","fields":[{"name":"r","type":"R"}]}}`): "contains itself",
		field(`"unheard"`): "unknown type", field(`["null",["string"]]`): "a union directly", field(`[]`): "no types", field(`{"type":"fixed","name":"F","size":-1}`): "size",
		field(`{"type":"enum","symbols":["A"]}`): "no name", field(`{"type":"array"}`): "neither", field(`{"type":"fixed","name":"R","size":1}`): "taken",
		`{"type":"record","name":"R","fields":[{"name":"aB","type":"int"},{"name":"a_b","type":"int"}]}`: "share the column a_b",
		`{"type":"record","name":"R","fields":[5]}`:                                                      "no name",
	} {
		if _, err := NewDecoder(schema); !errors.Is(err, ErrUnsupportedSchema) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want ErrUnsupportedSchema with %q", schema, err, want)
		}
	}
}

// Decoding allocates only for the columns themselves.
func TestDecodeAllocatesNothing(t *testing.T) {
	c, _ := newCodec(t)
	for _, r := range Resources {
		frame, _, err := c.Encode(t.Context(), r, recorded(t, r)[0])
		if err != nil {
			t.Fatal(err)
		}
		d := mustDecoder(t, r.Avro())
		b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
		defer b.Release()
		// Columns double in size, so that growing costs next to nothing for each of many rows.
		if got := testing.AllocsPerRun(4000, func() {
			if err := d.Append(b, frame[frameHeader:]); err != nil {
				t.Fatal(err)
			}
		}); got > 0 {
			t.Errorf("%s: %v allocations a record, want 0", r.Name, got)
		}
	}
}
