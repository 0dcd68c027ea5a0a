package schemas

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

var update = flag.Bool("update", false, "rewrite the files under testdata/golden")

// recordings names the answers of a real server (Tiledesk 2.19.16) for each resource.
var recordings = map[string][]string{
	"messages":         {"messages_limit50"},
	"requests":         {"requests_all_page0", "requests_closed", "requests_no_populate"},
	"conversations":    {"requests_no_populate"},
	"leads":            {"leads_page0"},
	"bots":             {"bots_all"},
	"members":          {"project_users", "project_users_guests"},
	"departments":      {"departments_allstatus"},
	"groups":           {"groups"},
	"tags":             {"tags"},
	"canned_responses": {"canned"},
}

// recorded returns the documents that a real server gave for the resource.
func recorded(t testing.TB, r Resource) []json.RawMessage {
	t.Helper()
	var docs []json.RawMessage
	for _, name := range recordings[r.Name] {
		body, err := os.ReadFile(filepath.Join("testdata", "v3", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if r.Items != "" {
			var page map[string]json.RawMessage
			if err := json.Unmarshal(body, &page); err != nil {
				t.Fatal(err)
			}
			body = page[r.Items]
		}
		var some []json.RawMessage
		if err := json.Unmarshal(body, &some); err != nil {
			t.Fatal(err)
		}
		docs = append(docs, some...)
	}
	if len(docs) == 0 {
		t.Fatalf("no recorded %s", r.Name)
	}
	return docs
}

func resource(t testing.TB, name string) Resource {
	t.Helper()
	rs, err := ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return rs[0]
}

// newCodec returns a codec and the registry that it uses.
func newCodec(t testing.TB) (*Codec, *srfake.Registry) {
	t.Helper()
	reg := srfake.New()
	t.Cleanup(reg.Close)
	cl, err := sr.NewClient(sr.URLs(reg.URL()))
	if err != nil {
		t.Fatal(err)
	}
	return NewCodec(cl, "tiledesk"), reg
}

// through encodes and decodes docs, and returns their rows.
func through(t testing.TB, c *Codec, r Resource, docs ...string) arrow.RecordBatch {
	t.Helper()
	var b *array.RecordBuilder
	for _, doc := range docs {
		frame, _, err := c.Encode(t.Context(), r, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		b = appendFrame(t, c, b, frame)
	}
	rows := b.NewRecordBatch()
	t.Cleanup(rows.Release)
	return rows
}

// decoded returns the row of a frame.
func decoded(t testing.TB, c *Codec, frame []byte) arrow.RecordBatch {
	t.Helper()
	rows := appendFrame(t, c, nil, frame).NewRecordBatch()
	t.Cleanup(rows.Release)
	return rows
}

// appendFrame decodes a frame into b, which is made where there is none.
func appendFrame(t testing.TB, c *Codec, b *array.RecordBuilder, frame []byte) *array.RecordBuilder {
	t.Helper()
	id, body, err := SplitFrame(frame)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Decoder(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		b = array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
		t.Cleanup(b.Release)
	}
	if err := d.Append(b, body); err != nil {
		t.Fatal(err)
	}
	return b
}

// cellOf returns a value as Go has it: nil, bool, int32, int64, float64, string, time.Time, or json.RawMessage.
func cellOf(col arrow.Array, i int) any {
	if col.IsNull(i) {
		return nil
	}
	switch col := col.(type) {
	case *array.Boolean:
		return col.Value(i)
	case *array.Int32:
		return col.Value(i)
	case *array.Int64:
		return col.Value(i)
	case *array.Float64:
		return col.Value(i)
	case *array.String:
		return col.Value(i)
	case *array.Date32:
		return col.Value(i).ToTime()
	case *array.Timestamp:
		return col.Value(i).ToTime(col.DataType().(*arrow.TimestampType).Unit)
	case array.ExtensionArray:
		return json.RawMessage(col.Storage().(*array.String).Value(i))
	}
	panic("no such column: " + col.DataType().String())
}

// rowOf returns the columns of a row that are not null, by name.
func rowOf(rows arrow.RecordBatch, i int) map[string]any {
	out := map[string]any{}
	for n, f := range rows.Schema().Fields() {
		if v := cellOf(rows.Column(n), i); v != nil {
			out[f.Name] = v
		}
	}
	return out
}

// writerOf compiles the text of a schema.
func writerOf(schema string) (*writer, error) {
	r, err := parseRecord(schema)
	if err != nil {
		return nil, err
	}
	return newWriter(r)
}

// encodeWith is the frame of a document, without regard to rules. goavro reads it to its end.
func encodeWith(w *writer, header, doc []byte) ([]byte, error) {
	d := w.newDraft()
	if err := w.read(d, doc); err != nil {
		return nil, err
	}
	frame := w.write(d, header, nil)
	avro, err := goavro.NewCodec(w.record.text())
	if err != nil {
		return nil, err
	}
	if _, rest, err := avro.NativeFromBinary(frame[len(header):]); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("goavro has %d bytes left of %q: %w", len(rest), frame, err)
	}
	return frame, nil
}
