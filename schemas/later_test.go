package schemas

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
)

const earlier = `{"type":"record","name":"Tag","fields":[
	{"name":"_id","type":"string"},
	{"name":"channel","type":["null",{"type":"string","logicalType":"json"}],"default":null},
	{"name":"gone","type":["null","long"],"default":null},
	{"name":"_extra","type":["null",{"type":"string","logicalType":"json"}],"default":null}]}`

const newest = `{"type":"record","name":"Tag","fields":[
	{"name":"_id","type":"string"},
	{"name":"channel","type":["null",{"type":"string","logicalType":"json"}],"default":null},
	{"name":"color","type":["null","string"],"default":null},
	{"name":"count","type":["null","long"],"default":null},
	{"name":"share","type":["null","double"],"default":null},
	{"name":"hasBot","type":["null","boolean"],"default":null},
	{"name":"seenAt","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null},
	{"name":"tree","type":["null",{"type":"string","logicalType":"json"}],"default":null},
	{"name":"channelName","type":["null","string"],"path":["channel.name","deep.er"],"default":null},
	{"name":"color__v_json","type":["null",{"type":"string","logicalType":"json"}],"variant":"color","key":"color","default":null},
	{"name":"gone__v_text","type":["null","string"],"variant":"gone","key":"gone","default":null},
	{"name":"rate","type":["null","long","double","string"],"default":null},
	{"name":"my_key","type":["null","long"],"key":"my key","default":null},
	{"name":"_extra","type":["null",{"type":"string","logicalType":"json"}],"default":null}]}`

// What a record keeps in _extra, or inside an object, becomes the column that was added since, if it is of its type.
func TestDecoderAs(t *testing.T) {
	c, reg := newCodec(t)
	r := Resource{Name: "tags"}
	old, _, err := reg.RegisterSchema(r.Subject("tiledesk"), sr.Schema{Schema: earlier, Type: sr.TypeAvro})
	if err != nil {
		t.Fatal(err)
	}
	same, err := c.DecoderAs(t.Context(), old, r)
	if plain, _ := c.Decoder(t.Context(), old); err != nil || same != plain {
		t.Errorf("without a newer schema it is not Decoder: %v", err)
	}
	if _, _, err := reg.RegisterSchema(r.Subject("tiledesk"), sr.Schema{Schema: newest, Type: sr.TypeAvro}); err != nil {
		t.Fatal(err)
	}
	d, err := c.DecoderAs(t.Context(), old, r)
	if err != nil {
		t.Fatal(err)
	}
	w, err := writerOf(earlier)
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
	defer b.Release()
	var want []map[string]any
	row := func(doc, row string) {
		t.Helper()
		body, err := encodeWith(w, nil, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Append(b, body); err != nil {
			t.Fatal(err)
		}
		var w map[string]any
		if err := json.Unmarshal([]byte(row), &w); err != nil {
			t.Fatal(err)
		}
		want = append(want, w)
	}
	row(`{"_id":"1"}`, `{"_id":"1"}`)
	row(`{"_id":"2","color":"r\"ed","count":7,"share":0.5,"hasBot":true,"seenAt":"2026-01-02T03:04:05.006Z","tree":{"a":[1]},"gone":3,"else":1}`,
		`{"_id":"2","gone":3,"_extra":{"else":1},"color":"r\"ed","count":7,"share":0.5,"has_bot":true,"seen_at":"2026-01-02T03:04:05.006Z","tree":{"a":[1]}}`)
	row(`{"_id":"3","color":[5],"count":"many","share":"x","hasBot":"yes","seenAt":"soon"}`,
		`{"_id":"3","color__v_json":[5],"_extra":{"count":"many","share":"x","hasBot":"yes","seenAt":"soon"}}`)
	row(`{"_id":"3a","color":true,"gone":"away","rate":5,"my key":6}`, `{"_id":"3a","_extra":{"color":true},"gone__v_text":"away","rate":"5","my_key":6}`)
	row(`{"_id":"3b","gone":true,"rate":0.5}`, `{"_id":"3b","_extra":{"gone":true},"rate":"0.5"}`)
	row(`{"_id":"4","channel":{"name":"web","v":1},"more":[{}]}`, `{"_id":"4","channel":{"name":"web","v":1},"_extra":{"more":[{}]},"channel_name":"web"}`)
	row(`{"_id":"5","channel":{"name":[9]},"deep":{"er":"down","x":1}}`, `{"_id":"5","channel":{"name":[9]},"_extra":{"deep":{"er":"down","x":1}},"channel_name":"down"}`)
	row(`{"_id":"6","seenAt":"2026-01-02T03:04:05.0067Z","count":null}`, `{"_id":"6","_extra":{"seenAt":"2026-01-02T03:04:05.0067Z"},"seen_at":"2026-01-02T03:04:05.006Z"}`)
	rows := b.NewRecordBatch()
	defer rows.Release()
	text, err := rows.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, row := range got {
		maps.DeleteFunc(row, func(_ string, v any) bool { return v == nil })
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// What somebody else has written stays as it is; nothing panics.
func FuzzDecoderAs(f *testing.F) {
	plain, err := NewDecoder(earlier)
	if err != nil {
		f.Fatal(err)
	}
	d, err := plain.with(earlier, newest)
	if err != nil || d == plain {
		f.Fatal("it adds no columns", err)
	}
	for _, extra := range []string{`{"color":"red"}`, `{`, `x`, `[]`, `{"color":`, ` {"color":1}`, `{}`, `"}{"`, "{\"\xff\":1}"} {
		f.Add(extra, `{"name":"web"}`)
	}
	f.Fuzz(func(t *testing.T, extra, channel string) {
		text := func(s string) []byte { return append(binary.AppendVarint(nil, int64(len(s))), s...) }
		body := fmt.Appendf(nil, "%s\x02%s\x00\x02%s", text("1"), text(channel), text(extra))
		b := array.NewRecordBuilder(memory.DefaultAllocator, plain.Schema())
		defer b.Release()
		wide := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
		defer wide.Release()
		errPlain, errWide := plain.Append(b, body), d.Append(wide, body)
		if (errPlain == nil) != (errWide == nil) {
			t.Errorf("the writer's columns: %v, with those added since: %v", errPlain, errWide)
		}
	})
}
