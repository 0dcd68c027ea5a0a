package schemas

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/linkedin/goavro/v2"
)

// The decoder takes what goavro takes and sees the same values in it, for bodies of all kinds. It refuses more: numbers
// that are too long or too large, text that is not UTF-8, and lists without end.
func FuzzDecode(f *testing.F) {
	goavro.MaxBlockCount = 1000 // it allocates that much before it looks whether the body holds it
	schemas := []string{everyType, resource(f, "messages").Avro(), resource(f, "requests").Avro()}
	f.Add(byte(0), encodeNative(f, everyType, with(everyValue(true), "aDecimal", goavro.Union("bytes.decimal", big.NewRat(-1234, 100)))))
	f.Add(byte(0), encodeNative(f, everyType, everyValue(false)))
	c, _ := newCodec(f)
	for i, name := range []string{"messages", "requests"} {
		for _, doc := range recorded(f, resource(f, name)) {
			frame, _, err := c.Encode(f.Context(), resource(f, name), doc)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i+1), frame[frameHeader:])
		}
	}
	var decoders []*Decoder
	var oracles []*goavro.Codec
	for _, s := range schemas {
		oracle, err := goavro.NewCodec(s)
		if err != nil {
			f.Fatal(err)
		}
		decoders, oracles = append(decoders, mustDecoder(f, s)), append(oracles, oracle)
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		d, oracle := decoders[int(which)%len(schemas)], oracles[int(which)%len(schemas)]
		want, rest, wantErr := oracle.NativeFromBinary(body)
		b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
		defer b.Release()
		err := d.Append(b, bytes.Clone(body))
		switch refused := wantErr != nil || len(rest) > 0; {
		case errors.Is(err, errVarint) || errors.Is(err, errInt) || errors.Is(err, errUTF8) || errors.Is(err, errTooMany):
			return
		case refused && strings.Contains(errText(wantErr), "MaxBlockCount"):
			return
		case refused != (err != nil):
			t.Fatalf("%x: got %v, goavro says %v and leaves %d bytes", body, err, wantErr, len(rest))
		}
		if err != nil {
			for i, col := range b.Fields() {
				if col.Len() != 0 {
					t.Fatalf("column %d has %d rows after an error", i, col.Len())
				}
			}
			return
		}
		rows := b.NewRecordBatch()
		defer rows.Release()
		for i, c := range d.columns {
			got := cellOf(rows.Column(i), 0)
			if raw, ok := got.(json.RawMessage); ok && c.op == opJSON {
				var v any
				if err := json.Unmarshal(raw, &v); err != nil {
					t.Fatalf("%s holds %q: %v", c.name, raw, err)
				}
				got = v
			}
			value := want.(map[string]any)[c.name]
			if m, ok := value.(map[string]any); ok && (c.null >= 0 || c.union != nil) {
				for _, value = range m { // the branch that is not null
				}
			}
			if want := columnValue(c, value); !cmp.Equal(got, want, sameFloats) {
				t.Errorf("%s is %v (%T), goavro has %v (%T)", c.name, got, got, want, want)
			}
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

var sameFloats = cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })

// columnValue returns what cellOf has for a value of goavro's.
func columnValue(c column, v any) any {
	if v == nil {
		return nil
	}
	switch c.op {
	case opFloat:
		return float64(v.(float32))
	case opJSONText:
		return json.RawMessage(v.(string))
	case opTimestamp:
		return v.(time.Time)
	case opNumber:
		if n, ok := v.(int64); ok {
			return float64(n)
		}
	case opText:
		switch n := v.(type) {
		case int64:
			return strconv.FormatInt(n, 10)
		case float64:
			return string(AppendNumber(nil, n)) // TestAppendNumber has what it should be
		}
	case opJSON:
		return jsonTree(c.typ, v)
	}
	return v
}

// jsonTree returns a value of goavro's as json.Unmarshal would give it.
func jsonTree(t *avroType, v any) any {
	switch v := v.(type) {
	case int32:
		return float64(v)
	case int64:
		return float64(v)
	case float32:
		f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
		return jsonFloat(f)
	case float64:
		return jsonFloat(v)
	case string:
		var tree any
		if t.logical == "json" && json.Unmarshal([]byte(v), &tree) == nil {
			return tree
		}
		return v
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case *big.Rat:
		f, _ := strconv.ParseFloat(v.FloatString(t.scale), 64)
		return f
	case time.Time:
		if year := v.Year(); v.IsZero() || year < 1 || year > 9999 {
			switch t.logical {
			case "date":
				return float64(v.Unix() / (24 * 60 * 60))
			case "timestamp-millis":
				return float64(v.UnixMilli())
			}
			return float64(v.UnixMicro())
		}
		return v.Format(map[string]string{"date": time.DateOnly, "timestamp-millis": "2006-01-02T15:04:05.000Z", "timestamp-micros": "2006-01-02T15:04:05.000000Z"}[t.logical])
	case []any:
		out := []any{}
		for _, item := range v {
			out = append(out, jsonTree(t.items, item))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		switch t.name {
		case "union":
			for name, value := range v {
				for _, b := range t.branches {
					if name == b.name || name == b.full || name == b.name+"."+b.logical {
						return jsonTree(b, value)
					}
				}
			}
		case "map":
			for key, value := range v {
				out[key] = jsonTree(t.items, value)
			}
		case "record":
			for _, f := range t.fields {
				out[f.name] = jsonTree(f.typ, v[f.name])
			}
		}
		return out
	}
	return v
}

func jsonFloat(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return f
}
