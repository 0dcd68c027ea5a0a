package schemas

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// TestHostileSchemas: a registry that others fill may answer with anything.
func TestHostileSchemas(t *testing.T) {
	var wide strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&wide, `,{"name":"field%d","type":["null","string"]}`, i)
	}
	record := func(fields string) string { return `{"type":"record","name":"r","fields":[` + fields + `]}` }
	for name, tt := range map[string]struct {
		schema, want string
		columns      int
	}{
		"10,000 fields":           {record(wide.String()[1:]), "", 10_000},
		"an unknown logical type": {record(`{"name":"a","type":{"type":"long","logicalType":"moon-phase"}}`), "", 1},
		"a wrong logical type":    {record(`{"name":"a","type":{"type":"string","logicalType":"timestamp-millis"}}`), "", 1},
		"itself":                  {record(`{"name":"a","type":["null","r"]}`), "type r contains itself", 0},
		"itself, further down":    {record(`{"name":"a","type":{"type":"record","name":"s","fields":[{"name":"b","type":{"type":"array","items":"r"}}]}}`), "type r contains itself", 0},
		"itself, in a map":        {record(`{"name":"a","type":{"type":"map","values":"r"}}`), "type r contains itself", 0},
		"one column for two":      {record(`{"name":"aB","type":"int"},{"name":"a_b","type":"int"}`), "fields aB and a_b would share the column a_b", 0},
		"a field twice":           {record(`{"name":"a","type":"int"},{"name":"a","type":"int"}`), "would share the column", 0},
		"nested 5,000 deep":       {record(`{"name":"a","type":` + strings.Repeat(`{"type":"array","items":`, 4_000) + `"int"` + strings.Repeat("}", 4_000) + `}`), "", 1},
		"nested 100,000 deep":     {record(`{"name":"a","type":` + strings.Repeat(`{"type":"array","items":`, 100_000) + `"int"` + strings.Repeat("}", 100_000) + `}`), "exceeded max depth", 0},
		"no JSON":                 {"\x00\xff", "invalid character", 0},
		"nothing":                 {"", "unexpected end", 0},
		"null":                    {"null", "neither a name", 0},
		"an unknown type":         {record(`{"name":"a","type":"moon"}`), `unknown type "moon"`, 0},
	} {
		d, err := NewDecoder(tt.schema)
		if tt.want != "" {
			if !errors.Is(err, ErrUnsupportedSchema) || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 500 {
				t.Errorf("%s: %.500v, want %q", name, err, tt.want)
			}
			continue
		}
		if err != nil || d.Schema().NumFields() != tt.columns {
			t.Errorf("%s: %.500v", name, err)
			continue
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
		for _, body := range [][]byte{nil, make([]byte, 10_000), []byte(strings.Repeat("\x02", 10_000)), []byte(strings.Repeat("\x02\x02a", 10_000))} {
			_ = d.Append(b, body)
		}
		b.Release()
	}
}
