package e2e

import (
	"cmp"
	"encoding/json"
	"slices"
	"testing"

	"tilestream/schemas"
)

// fields are the columns that hold a key of a document, by table and key: its own, and those of its variants.
type fields map[string]map[string][]string

// columns reads them from the newest schema of each topic, as any consumer of the topics could.
func (p *pipeline) columns(t testing.TB, tables ...string) fields {
	t.Helper()
	reg, err := p.kafka.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	out := fields{}
	for _, table := range tables {
		newest, err := reg.SchemaByVersion(t.Context(), p.kafka.Prefix+"."+table+"-value", -1)
		if err != nil {
			t.Fatal(err)
		}
		var record struct {
			Fields []struct {
				Name, Key string
				Path      any
			}
		}
		if err := json.Unmarshal([]byte(newest.Schema.Schema), &record); err != nil {
			t.Fatal(err)
		}
		out[table] = map[string][]string{}
		for _, f := range record.Fields {
			if f.Path == nil {
				key := cmp.Or(f.Key, f.Name)
				out[table][key] = append(out[table][key], schemas.ColumnName(f.Name))
			}
		}
	}
	return out
}

// of returns the columns of a key; without a schema, the one that is named after it.
func (f fields) of(table, key string) []string {
	if f == nil {
		return []string{schemas.ColumnName(key)}
	}
	return slices.Clone(f[table][key])
}
