package schemas

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What becomes of values that Tiledesk ought not to send. want holds all columns that are not null.
func TestEncodeKeepsAwkwardValues(t *testing.T) {
	type row = map[string]any
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, doc string
		want      row
	}{
		{"unknown keys", `{"_id":"1","new":{"b":[1, 2]},"other":null}`, row{"_extra": raw(`{"new":{"b":[1,2]},"other":null}`)}},
		{"nulls are absent", `{"_id":"1","subject":null,"attributes":null,"createdAt":null}`, row{}},
		{"id is a copy of _id", `{"id":"1","_id":"1"}`, row{}},
		{"id is not a copy", `{"id":"2","_id":"1"}`, row{"_extra": raw(`{"id":"2"}`)}},
		{"a number for text", `{"_id":"1","subject":5,"first_text":-1.50e3}`, row{"subject": "5", "first_text": "-1.50e3"}},
		{"a boolean for text", `{"_id":"1","subject":true}`, row{"_extra": raw(`{"subject":true}`)}},
		{"text for a number", `{"_id":"1","status":"100"}`, row{"_extra": raw(`{"status":"100"}`)}},
		{"text for a boolean", `{"_id":"1","hasBot":"true"}`, row{"_extra": raw(`{"hasBot":"true"}`)}},
		{"an object for a date", `{"_id":"1","closed_at":{"$date":1}}`, row{"_extra": raw(`{"closed_at":{"$date":1}}`)}},
		{"milliseconds for a date", `{"_id":"1","closed_at":1763812650904}`, row{"_extra": raw(`{"closed_at":1763812650904}`)}},
		{"empty text for a date", `{"_id":"1","closed_at":""}`, row{"_extra": raw(`{"closed_at":""}`)}},
		{"a date with an offset", `{"_id":"1","closed_at":"2026-11-22T13:00:00+01:00"}`, row{"closed_at": at}},
		{"a date finer than the column", `{"_id":"1","closed_at":"2026-11-22T12:00:00.0001Z"}`,
			row{"closed_at": at, "_extra": raw(`{"closed_at":"2026-11-22T12:00:00.0001Z"}`)}},
		{"whole numbers", `{"_id":"1","status":-0,"duration":9223372036854775807,"waiting_time":12.000}`,
			row{"status": int64(0), "duration": int64(9223372036854775807), "waiting_time": int64(12)}},
		{"numbers past 64 bits", `{"_id":"1","duration":9223372036854775808,"waiting_time":1e400,"rating":4.5}`,
			row{"_extra": raw(`{"duration":9223372036854775808,"waiting_time":1e400,"rating":4.5}`)}},
		{"exact numbers in JSON", `{"_id":"1","attributes":{"n":123456789012345678901234567890.10}}`,
			row{"attributes": raw(`{"n":123456789012345678901234567890.10}`)}},
		{"JSON of every shape", `{"_id":"1","attributes":"","tags":5,"notes":false,"contact":[ ]}`,
			row{"attributes": raw(`""`), "tags": raw(`5`), "notes": raw(`false`), "contact": raw(`[]`)}},
		{"equal keys", `{"_id":"1","subject":"a","subject":"b","x":1,"x":2}`, row{"subject": "b", "_extra": raw(`{"subject":"a","x":1,"x":2}`)}},
		{"equal keys, the last of which does not fit", `{"_id":"1","subject":"a","subject":[2]}`, row{"_extra": raw(`{"subject":"a","subject":[2]}`)}},
		{"keys with escapes", `{"\u005fid":"1","subj\u0065ct":"a"}`, row{"subject": "a"}},
		{"keys differ in case", `{"_id":"1","Subject":"a"}`, row{"_extra": raw(`{"Subject":"a"}`)}},
		{"a NUL character", `{"_id":"1","subject":"a\u0000b","attributes":{"a":"\u0000"}}`,
			row{"subject": "a\x00b", "attributes": raw(`{"a":"\u0000"}`)}},
		{"half an emoji", `{"_id":"1","subject":"a\ud83d","attributes":"\ud83d"}`,
			row{"subject": "a\uFFFD", "attributes": raw(`"\ufffd"`)}},
		{"an emoji in two escapes", `{"_id":"1","subject":"\ud83d\ude41\/\""}`, row{"subject": "🙁/\""}},
		{"bytes that are not UTF-8", "{\"_id\":\"1\",\"subject\":\"a\xff\xfeb\",\"attributes\":\"\xff\"}",
			row{"subject": "a\uFFFD\uFFFDb", "attributes": raw("\"\uFFFD\"")}},
		{"promotions that do not fit", `{"_id":"1","channel":{"name":[5]},"lead":{"email":["a"]},"participantsAgents":[{"_id":"7"}]}`,
			row{"channel": raw(`{"name":[5]}`), "lead": raw(`{"email":["a"]}`), "participants_agents": raw(`[{"_id":"7"}]`)}},
		{"a promotion cut through an emoji", `{"_id":"1","channel":{"name":"\ud83d"}}`,
			row{"channel": raw(`{"name":"\ufffd"}`), "channel_name": "\uFFFD"}},
		{"keys that only we use", `{"_id":"1","_extra":{"a":1},"lead_email":"a"}`, row{"_extra": raw(`{"_extra":{"a":1},"lead_email":"a"}`)}},
		{"an empty key", `{"_id":"1","":1}`, row{"_extra": raw(`{"":1}`)}},
		{"white space", " {\n\t\"_id\" : \"1\" ,\r\n \"subject\" : \" a \" } \n", row{"subject": " a "}},
	}
	c, _ := newCodec(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want["_id"] = "1"
			got := rowOf(through(t, c, resource(t, "requests"), tt.doc), 0)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.doc, diff)
			}
		})
	}
}

func TestEncodeRefusesWhatIsNoRecord(t *testing.T) {
	c, _ := newCodec(t)
	r := resource(t, "bots")
	for doc, want := range map[string]string{
		``: "ends at byte 0, want an object", `null`: "want an object", `[{"_id":"1"}]`: "want an object", `{"_id":"1"`: "ends at byte 10",
		`{"_id":"1"}}`: "want the end", `{"_id":"1"} {"_id":"2"}`: "want the end", `{"_id":"1","a":nope}`: "want null", "\ufeff{}": "want an object",
		`{}`: `no text under "_id"`, `{"_id":5}`: `no text under "_id"`, `{"_id":null}`: `no text under "_id"`,
	} {
		frame, _, err := c.Encode(t.Context(), r, []byte(doc))
		if !errors.Is(err, ErrDocument) || !strings.HasPrefix(err.Error(), "encode bots: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %x, %v, want an error with %q", doc, frame, err, want)
		}
	}
	if _, _, err := c.Encode(t.Context(), Resource{Name: "boots"}, []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "boots") {
		t.Errorf("an unknown resource: got %v", err)
	}
}

// Neither size nor nesting is bounded.
func TestEncodeHuge(t *testing.T) {
	c, _ := newCodec(t)
	deep := strings.Repeat(`{"a":[`, 100_000) + strings.Repeat(`]}`, 100_000)
	long := strings.Repeat("é", 1<<20)
	row := rowOf(through(t, c, resource(t, "requests"), `{"_id":"1","attributes":`+deep+`,"first_text":`+strconv.Quote(long)+`}`), 0)
	if got := row["attributes"]; string(got.(json.RawMessage)) != deep {
		t.Error("deep nesting has changed")
	}
	if row["first_text"] != long {
		t.Error("long text has changed")
	}
}

// A document that a frame was made of may be overwritten, and the next document leaves the frame alone.
func TestEncodeDoesNotShareMemory(t *testing.T) {
	c, _ := newCodec(t)
	r := resource(t, "tags")
	doc := []byte(`{"_id":"1","tag":"vip"}`)
	first, _, err := c.Encode(t.Context(), r, doc)
	if err != nil {
		t.Fatal(err)
	}
	want := string(first)
	copy(doc, `{"_id":"2","tag":"new"}`)
	if _, _, err := c.Encode(t.Context(), r, doc); err != nil {
		t.Fatal(err)
	}
	if string(first) != want {
		t.Errorf("the frame has become %q, want %q", first, want)
	}
}

func TestWriterRefusesOtherSchemas(t *testing.T) {
	for field, want := range map[string]string{
		`{"name":"a","type":"long"}`:                                                                   "has to be a string",
		`{"name":"a","type":["null","int"],"default":null}`:                                            "no JSON value",
		`{"name":"a","type":["string","null"],"default":"x"}`:                                          `want ["null", TYPE]`,
		`{"name":"a","type":["null","string"],"default":null,"path":5}`:                                "want text",
		`{"name":"a","type":["null","string"],"default":null,"path":[]}`:                               "want text",
		`{"name":"a","type":["null","string"],"default":null,"path":["b",5]}`:                          "want text",
		`{"name":"a","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"default":null}`: "no JSON value",
		`{"name":"a b","type":"string"}`:                                                               "",
	} {
		_, err := writerOf(`{"type":"record","name":"R","fields":[` + field + `]}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", field, err, want)
		}
	}
}
