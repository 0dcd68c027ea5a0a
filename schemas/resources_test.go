package schemas

import (
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// systemColumns are added behind the data columns of every table.
var systemColumns = []string{"_project_id", "_extracted_at", "_loaded_at", "_load_id", "_kafka_partition", "_kafka_offset", "_schema_id", "_deleted_at", "_deleted_offset"}

func TestResources(t *testing.T) {
	var want []string
	for _, r := range Resources {
		want = append(want, r.Name+".avsc")
	}
	slices.Sort(want)
	got, err := fs.Glob(files, "*.avsc")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("files are %v (%v), want one for each row: %v", got, err, want)
	}
	for _, r := range Resources {
		t.Run(r.Name, func(t *testing.T) {
			if _, err := writerOf(r.Avro()); err != nil {
				t.Errorf("writer: %v", err)
			}
			d, err := NewDecoder(r.Avro()) // fails where two fields share a column
			if err != nil {
				t.Fatalf("decoder: %v", err)
			}
			for _, name := range systemColumns {
				if d.Schema().HasField(name) {
					t.Errorf("column %s clashes with the system column", name)
				}
			}
			checkFields(t, r)
		})
	}
}

func checkFields(t *testing.T, r Resource) {
	var s struct {
		Namespace, Doc string
		Fields         []map[string]any
	}
	if err := json.Unmarshal([]byte(r.Avro()), &s); err != nil {
		t.Fatal(err)
	}
	if s.Namespace != "tilestream" || s.Doc == "" {
		t.Errorf("namespace %q and doc %q, want tilestream and some text", s.Namespace, s.Doc)
	}
	for i, f := range s.Fields {
		doc, _ := f["doc"].(string)
		if !strings.HasSuffix(doc, ".") || strings.Contains(doc, "\n") {
			t.Errorf("%s: doc %q, want one line that ends in a full stop", f["name"], doc)
		}
		if i == 0 {
			if f["name"] != "_id" || f["type"] != "string" {
				t.Errorf("the first field is %v, want _id, a plain string", f)
			}
			continue
		}
		// Only so can a reader with a newer schema read older records: BACKWARD compatibility.
		union, _ := f["type"].([]any)
		def, hasDefault := f["default"]
		if len(union) != 2 || union[0] != "null" || !hasDefault || def != nil {
			t.Errorf("%s: type %v and default %v, want a union with null first and the default null", f["name"], f["type"], def)
		}
	}
	if last := s.Fields[len(s.Fields)-1]; last["name"] != extraField {
		t.Errorf("the last field is %s, want %s", last["name"], extraField)
	}
}

func TestByName(t *testing.T) {
	got, err := ByName("requests", "bots")
	if err != nil || len(got) != 2 || got[0].Name != "requests" || got[1].Name != "bots" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := ByName(); err != nil || len(got) != len(Resources) {
		t.Errorf("no names: got %v, %v, want all", got, err)
	}
	if _, err := ByName("bots", "boots"); err == nil || !strings.Contains(err.Error(), `"boots"`) || !strings.Contains(err.Error(), "canned_responses") {
		t.Errorf("got %v, want the wrong name and the known ones", err)
	}
}

func TestColumnName(t *testing.T) {
	for field, want := range map[string]string{
		"createdAt": "created_at", "_id": "_id", "hasBot": "has_bot", "__v": "__v", "first_text": "first_text",
		"participantsAgents": "participants_agents", "webhookURL": "webhook_url", "URLs2Check": "ur_ls2_check",
		"HTMLText": "html_text", "ID": "id", "a_B": "a_b", "": "", "èÉ": "è_é",
	} {
		if got := ColumnName(field); got != want {
			t.Errorf("ColumnName(%q) = %q, want %q", field, got, want)
		}
	}
}
