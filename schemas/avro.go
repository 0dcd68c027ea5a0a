package schemas

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxScale is how many decimals a decimal may have: more than any warehouse's.
const maxScale = 1000

// An avroType is a type of a writer's schema. Avro specification 1.12, "Schema Declaration".
type avroType struct {
	name     string // as the schema has it: "long", "record", ...
	logical  string
	full     string // of records, enums and fixed: the full name
	doc      string
	fields   []avroField // of a record
	items    *avroType   // of an array or a map
	branches []*avroType // of a union
	symbols  [][]byte    // of an enum
	size     int         // of a fixed
	scale    int         // of a decimal
}

type avroField struct {
	name, doc string
	array     bool // a property of ours
	typ       *avroType
}

// parseAvro reads the text of a schema. The error is ErrUnsupportedSchema.
func parseAvro(text string) (*avroType, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupportedSchema, err)
	}
	p := avroParser{named: map[string]*avroType{}}
	t, err := p.parse(v, "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupportedSchema, err)
	}
	return t, nil
}

type avroParser struct {
	named map[string]*avroType // by full name; nil while the type is still being read
}

func (p *avroParser) parse(v any, namespace string) (*avroType, error) {
	switch v := v.(type) {
	case string:
		return p.byName(v, namespace)
	case []any:
		t := &avroType{name: "union"}
		for _, b := range v {
			branch, err := p.parse(b, namespace)
			if err != nil {
				return nil, err
			}
			if branch.name == "union" {
				return nil, fmt.Errorf("a union directly within a union")
			}
			t.branches = append(t.branches, branch)
		}
		if len(t.branches) == 0 {
			return nil, fmt.Errorf("a union of no types")
		}
		return t, nil
	case map[string]any:
		return p.declared(v, namespace)
	}
	return nil, fmt.Errorf("a type that is neither a name, a list nor an object: %v", v)
}

func (p *avroParser) byName(name, namespace string) (*avroType, error) {
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return &avroType{name: name}, nil
	}
	for _, full := range []string{fullName(name, namespace), name} {
		if t, ok := p.named[full]; ok && t == nil {
			return nil, fmt.Errorf("type %s contains itself, which no column can hold", full)
		} else if ok {
			return t, nil
		}
	}
	return nil, fmt.Errorf("unknown type %q", name)
}

// declared reads a type written as an object.
func (p *avroParser) declared(v map[string]any, namespace string) (*avroType, error) {
	kind, ok := v["type"].(string)
	if !ok {
		return p.parse(v["type"], namespace)
	}
	t := &avroType{name: kind}
	t.logical, _ = v["logicalType"].(string)
	t.doc, _ = v["doc"].(string)
	if t.logical == "decimal" {
		scale, _ := v["scale"].(float64)
		if t.scale = int(scale); t.scale < 0 || t.scale > maxScale {
			t.logical = "" // the specification: ignore a logical type that is not valid
		}
	}
	switch kind {
	case "array", "map":
		items := v["items"]
		if kind == "map" {
			items = v["values"]
		}
		var err error
		t.items, err = p.parse(items, namespace)
		return t, err
	case "record", "enum", "fixed":
		return t, p.define(t, v, namespace)
	}
	named, err := p.byName(kind, namespace)
	if err != nil || named.full != "" {
		return named, err
	}
	return t, nil
}

// define reads what records, enums and fixed add, and gives the type its name.
func (p *avroParser) define(t *avroType, v map[string]any, namespace string) error {
	name, _ := v["name"].(string)
	if own, ok := v["namespace"].(string); ok {
		namespace = own
	}
	t.full = fullName(name, namespace)
	if _, ok := p.named[t.full]; ok || name == "" {
		return fmt.Errorf("%s %q has no name or one that is taken", t.name, t.full)
	}
	p.named[t.full] = nil
	switch t.name {
	case "record":
		if i := strings.LastIndexByte(t.full, '.'); i >= 0 {
			namespace = t.full[:i]
		}
		fields, _ := v["fields"].([]any)
		for _, f := range fields {
			m, _ := f.(map[string]any)
			field := avroField{}
			field.name, _ = m["name"].(string)
			field.doc, _ = m["doc"].(string)
			field.array, _ = m["array"].(bool)
			if field.name == "" {
				return fmt.Errorf("a field of %s has no name", t.full)
			}
			var err error
			if field.typ, err = p.parse(m["type"], namespace); err != nil {
				return fmt.Errorf("field %q of %s: %w", field.name, t.full, err)
			}
			t.fields = append(t.fields, field)
		}
	case "enum":
		symbols, _ := v["symbols"].([]any)
		for _, s := range symbols {
			symbol, _ := s.(string)
			t.symbols = append(t.symbols, []byte(symbol))
		}
	case "fixed":
		size, ok := v["size"].(float64)
		if !ok || size < 0 || size != float64(int32(size)) {
			return fmt.Errorf("fixed %s has the size %v", t.full, v["size"])
		}
		t.size = int(size)
	}
	p.named[t.full] = t
	return nil
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}
