package schemas

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every key of every document that a real server gave is in a column of its name, with an equal value.
func TestRecordedDocumentsKeepEveryValue(t *testing.T) {
	c, _ := newCodec(t)
	for _, r := range Resources {
		t.Run(r.Name, func(t *testing.T) {
			for _, doc := range recorded(t, r) {
				row := rowOf(through(t, c, r, string(doc)), 0)
				var want map[string]json.RawMessage
				if err := json.Unmarshal(doc, &want); err != nil {
					t.Fatal(err)
				}
				for key, raw := range want {
					if got := row[ColumnName(key)]; !sameValue(got, raw) && !(key == "id" && got == nil) {
						t.Errorf("%s: got %v, want %s", key, got, raw)
					}
				}
				if extra, ok := row[extraField]; ok {
					t.Errorf("%s is %s, want null: the schema is to name every key that Tiledesk sends", extraField, extra)
				}
			}
		})
	}
}

// sameValue compares a column's value with the JSON that it was made from.
func sameValue(got any, raw json.RawMessage) bool {
	if string(raw) == "null" {
		return got == nil
	}
	switch got := got.(type) {
	case json.RawMessage:
		var compact bytes.Buffer
		return json.Compact(&compact, raw) == nil && bytes.Equal(compact.Bytes(), got)
	case string:
		var want string
		return json.Unmarshal(raw, &want) == nil && got == want
	case time.Time:
		var want time.Time
		return json.Unmarshal(raw, &want) == nil && got.Equal(want)
	}
	return fmt.Sprint(got) == string(raw)
}

// The values that are promoted from nested objects, for one document of each kind.
func TestPromotedColumns(t *testing.T) {
	c, _ := newCodec(t)
	tests := []struct {
		resource string
		doc      int
		want     map[string]any
	}{
		{"requests", 0, map[string]any{"lead_email": "guest24@example.com", "lead_fullname": "Guest 24 Visitor",
			"lead_id": "6b03078a47602e631f57089e", "requester_role": "guest", "requester_user_id": "c8196972-68cf-47b4-be37-e958e993aeea",
			"department_id": "6b03077e47602e631f56f4aa", "department_name": "Billing", "channel_name": "chat21",
			"contact_email": "guest24@example.com", "available_agents_count": int64(2), "last_message_text": "I cannot log in (3)",
			"last_message_sender": "6b03077c47602e631f56f3c2", "last_message_id": "6b03078b47602e631f570922",
			"last_message_at": time.Date(2026, 11, 22, 15, 17, 31, 137e6, time.UTC)}},
		{"conversations", 1, map[string]any{"lead_email": "guest23@example.com", "lead_fullname": "Guest 23 Visitor",
			"lead_id": "6b03078a47602e631f570793", "department_id": "6b03077d47602e631f56f407", "department_name": "Default Department",
			"agent_id": "6b03077c47602e631f56f3c2", "channel_name": "chat21", "last_message_text": "The invoice is wrong (3)"}},
		{"messages", 0, map[string]any{"channel_name": "chat21", "metadata_src": "https://shop.example.com/a.png"}},
		{"messages", 4, map[string]any{"attributes_subtype": "info/support", "metadata": json.RawMessage(`"en"`)}},
		{"members", 0, map[string]any{"user_id": "6b03077c47602e631f56f3c2", "email": "owner@example.com", "firstname": "Olivia", "lastname": "Owner"}},
	}
	for _, tt := range tests {
		row := rowOf(through(t, c, resource(t, tt.resource), string(recorded(t, resource(t, tt.resource))[tt.doc])), 0)
		for column, want := range tt.want {
			if got := row[column]; !cmp.Equal(got, want) {
				t.Errorf("%s %d: %s is %v, want %v", tt.resource, tt.doc, column, got, want)
			}
		}
	}
}

// A joined document and a lean one give the same foreign keys.
func TestPathsTakeObjectsAndIds(t *testing.T) {
	c, _ := newCodec(t)
	joined := `{"_id":"1","lead":{"_id":"L","email":"a@b.c"},"department":{"_id":"D","name":"Sales"},"requester":{"id_user":{"_id":"U"}}}`
	lean := `{"_id":"1","lead":"L","department":"D","requester_id":"L","snapshot":{"lead":{"_id":"old","email":"a@b.c"},"department":{"_id":"old","name":"Sales"},"requester":{"id_user":"U"}}}`
	bare := `{"_id":"1","snapshot":{"lead":{"_id":"L","email":"a@b.c"},"department":{"_id":"D","name":"Sales"},"requester":{"uuid_user":"U"}}}`
	want := map[string]any{"lead_id": "L", "lead_email": "a@b.c", "department_id": "D", "department_name": "Sales", "requester_user_id": "U"}
	for _, doc := range []string{joined, lean, bare} {
		row := rowOf(through(t, c, resource(t, "requests"), doc), 0)
		for column, want := range want {
			if row[column] != want {
				t.Errorf("%s: %s is %v, want %v", doc, column, row[column], want)
			}
		}
	}
}

// The frames and rows of one recorded document of each resource.
func TestGolden(t *testing.T) {
	for _, r := range Resources {
		t.Run(r.Name, func(t *testing.T) {
			c, _ := newCodec(t)
			doc := recorded(t, r)[0]
			frame, _, err := c.Encode(t.Context(), r, doc)
			if err != nil {
				t.Fatal(err)
			}
			rows := through(t, c, r, string(doc))
			var got bytes.Buffer
			for i, f := range rows.Schema().Fields() {
				v := cellOf(rows.Column(i), 0)
				if raw, ok := v.(json.RawMessage); ok {
					v = string(raw)
				}
				fmt.Fprintf(&got, "%s %v: %v\n", f.Name, f.Type, v)
			}
			fmt.Fprintf(&got, "\n%s", hex.Dump(frame))

			file := filepath.Join("testdata", "golden", r.Name+".txt")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got; -update rewrites it):\n%s", file, diff)
			}
		})
	}
	files, _ := filepath.Glob("testdata/golden/*.txt")
	for _, file := range files {
		if !slices.ContainsFunc(Resources, func(r Resource) bool { return r.Name+".txt" == filepath.Base(file) }) {
			t.Errorf("%s belongs to no resource", file)
		}
	}
}
