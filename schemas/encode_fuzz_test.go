package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/linkedin/goavro/v2"
)

// Whatever the document, every key at its top is in its column or in _extra with an equal value, as encoding/json reads the
// document; or the document is refused because it is no object with a text under _id.
func FuzzEncode(f *testing.F) {
	c, _ := newCodec(f)
	for _, name := range []string{"messages", "requests"} {
		for i, doc := range recorded(f, resource(f, name)) {
			if i < 3 {
				f.Add([]byte(doc))
			}
		}
	}
	for _, doc := range []string{
		`{"_id":"a","text":"\ud83d","status":1e400,"updatedAt":"+275760-09-13T00:00:00.000Z"}`,
		`{"_id":"a","status":9223372036854775808,"__v":1.0,"x":{"y":[1,{}]},"_extra":{"z":1}}`,
		`{"_id":"a","id":"a","id":"b","text":"1","text":2,"_id":"c"}`,
		`{"_ID":"a","_id":"b","\u005fid":"c","TEXT":"x"}`,
		"{\"_id\":\"\xff\xfe\",\"text\":\"a\x80\x80b\",\"\xc0\":\"\\u0000\"}",
		`{"_id":"a","createdAt":"0001-01-01T00:00:00Z","updatedAt":"9999-12-31T23:59:59.999Z","metadata":"text","attributes":[null]}`,
		`{"_id":""}`, `{"_id":{"$oid":"65f1c0de0000000000000001"}}`, `[]`, `{}`, ``,
	} {
		f.Add([]byte(doc))
	}
	r := resource(f, "messages")
	d := mustDecoder(f, r.Avro())
	oracle, err := goavro.NewCodec(r.Avro())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		doc = bytes.Clone(doc)
		was := bytes.Clone(doc)
		frame, _, err := c.Encode(t.Context(), r, doc)
		if !bytes.Equal(doc, was) {
			t.Fatalf("%q: Encode changed the document", was)
		}
		var want map[string]any
		read := json.NewDecoder(bytes.NewReader(doc))
		read.UseNumber()
		if readErr := read.Decode(&want); err != nil {
			if _, ok := want["_id"].(string); ok && readErr == nil && json.Valid(doc) {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		} else if readErr != nil {
			if strings.Contains(readErr.Error(), "exceeded max depth") {
				return
			}
			t.Fatalf("%q was encoded, encoding/json says %v", doc, readErr)
		}
		_, body, err := SplitFrame(frame)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, err := oracle.NativeFromBinary(body); err != nil || len(rest) > 0 {
			t.Fatalf("%q: goavro leaves %q of %q: %v", doc, rest, body, err)
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
		defer b.Release()
		if err := d.Append(b, body); err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		rows := b.NewRecordBatch()
		defer rows.Release()
		row := rowOf(rows, 0)
		extra := map[string]any{}
		if raw, ok := row["_extra"].(json.RawMessage); ok {
			extra = jsonOf(t, raw).(map[string]any)
		}
		for key, value := range want {
			if column, ok := row[ColumnName(key)]; ok && isField(d, key) && holds(t, column, value) {
				continue
			}
			if got, ok := extra[key]; ok && reflect.DeepEqual(got, value) {
				continue
			}
			if key == "id" && reflect.DeepEqual(value, want["_id"]) || value == nil {
				continue
			}
			t.Errorf("%q: %s is %v, the row has %v and _extra %v", doc, key, value, row[ColumnName(key)], extra[key])
		}
	})
}

func isField(d *Decoder, key string) bool {
	for _, c := range d.columns {
		if c.name == key {
			return key != extraField
		}
	}
	return false
}

func jsonOf(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || !json.Valid(raw) {
		t.Fatalf("%q is not JSON: %v", raw, err)
	}
	return v
}

// holds says whether a cell is exactly the value.
func holds(t *testing.T, cell, want any) bool {
	switch got := cell.(type) {
	case json.RawMessage:
		return reflect.DeepEqual(jsonOf(t, got), want)
	case int64:
		n, ok := want.(json.Number)
		v, err := strconv.ParseFloat(n.String(), 64)
		return ok && err == nil && float64(got) == v
	case string:
		if n, ok := want.(json.Number); ok {
			return got == n.String()
		}
	case time.Time:
		s, ok := want.(string)
		ms, _, isDate := parseDate([]byte(s))
		return ok && isDate && ms == got.UnixMilli()
	}
	return reflect.DeepEqual(cell, want)
}

// Frames come from a topic that others may write to.
func FuzzSplitFrame(f *testing.F) {
	for _, s := range []string{"", "\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x00\x01", "\x00\xff\xff\xff\xffbody", "\x01\x00\x00\x00\x01", "{\"a\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		id, body, err := SplitFrame(value)
		if ok := len(value) >= 5 && value[0] == 0; ok != (err == nil) {
			t.Fatalf("%x: %v", value, err)
		}
		if err == nil && (id < 0 || id > math.MaxUint32 || !bytes.Equal(body, value[5:])) {
			t.Fatalf("%x: %d %x", value, id, body)
		}
	})
}

// A column's name is the same each time, lower case, and as readable text as the field's; a name in snake_case stays.
func FuzzColumnName(f *testing.F) {
	for _, s := range []string{"createdAt", "webhookURL", "_id", "__v", "HTTPServer2Go", "İ", "ǅ", "aB_C", "\xff", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		got := ColumnName(field)
		if again := ColumnName(got); again != got {
			t.Errorf("%q gives %q, which gives %q", field, got, again)
		}
		if (got == "") != (field == "") || !utf8.ValidString(got) {
			t.Errorf("%q gives %q", field, got)
		}
		plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
		if plain(got) != plain(strings.ToValidUTF8(field, "")) && utf8.ValidString(field) {
			t.Errorf("%q gives %q: a letter has gone", field, got)
		}
	})
}

// A registry may answer with anything: a schema becomes columns with a name each, or ErrUnsupportedSchema.
func FuzzNewDecoder(f *testing.F) {
	f.Add(everyType)
	f.Add(resource(f, "messages").Avro())
	f.Add(`{"type":"record","name":"r","fields":[{"name":"a","type":["null","r"]}]}`)
	f.Add(`{"type":"record","name":"r","fields":[{"name":"aB","type":"int"},{"name":"a_b","type":"int"}]}`)
	f.Add(`{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"fixed","name":"f","size":-1}}]}`)
	f.Fuzz(func(t *testing.T, schema string) {
		d, err := NewDecoder(schema)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, field := range d.Schema().Fields() {
			if seen[field.Name] || field.Name == "" || field.Type == arrow.DataType(nil) {
				t.Fatalf("%s: column %q", schema, field.Name)
			}
			seen[field.Name] = true
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
		defer b.Release()
		_ = d.Append(b, []byte{2, 2, 2, 0, 0, 0, 0, 0})
	})
}

// Whatever a document holds, the schema that grows by it holds it too: each value is in its column, in a variant, or in _extra.
func FuzzEvolve(f *testing.F) {
	for _, doc := range []string{
		`{"_id":"a","x":1}`, `{"_id":"a","x":1.5}`, `{"_id":"a","x":"1"}`, `{"_id":"a","x":{"y":[]}}`, `{"_id":"a","x":null,"y":true}`,
		`{"_id":"a","x y":1,"x_y":2,"X_Y":3,"":4,"xY":5,"_extra":6,"_schema_id":7}`, `{"_id":"a","x":9007199254740993,"x":1e400}`, `{"_id":"a","x":-0.0,"y":12345678901234567890}`,
		`{"_id":"a","x":"2026-11-22T12:00:00.000Z"}`, `{"_id":"a","createdat":1,"created_at":2,"text__v_json":3,"text":[4]}`,
	} {
		f.Add([]byte(doc))
	}
	c, _ := evolving(f, newRegistry(f), Rules{Tables: Evolve, Columns: Evolve, Types: Evolve, MaxNewFields: 30})
	r := resource(f, "messages")
	f.Fuzz(func(t *testing.T, doc []byte) {
		frame, _, err := c.Encode(t.Context(), r, doc)
		if err != nil {
			if !errors.Is(err, ErrDocument) {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		row := rowOf(decoded(t, c, frame), 0)
		var want map[string]json.RawMessage
		if json.Unmarshal(doc, &want) != nil {
			return
		}
		fields := c.subjects["messages"].now.Load().record.Fields
		for key, raw := range want {
			var value, id any
			if json.Unmarshal(raw, &value) != nil || value == nil || !utf8.ValidString(key) || !utf8.Valid(raw) {
				continue
			}
			if _ = json.Unmarshal(want["_id"], &id); key == "id" && reflect.DeepEqual(value, id) {
				continue
			}
			found := false
			for _, field := range fields {
				if cell, ok := row[ColumnName(field.Name)]; ok && field.key() == key {
					found = found || isIn(t, map[string]any{key: cell}, key, value) || holds(t, cell, value)
				}
			}
			if !found && !isIn(t, map[string]any{"_extra": row["_extra"]}, key, value) {
				t.Errorf("%q: %s is not in %v", doc, key, row)
			}
		}
	})
}
