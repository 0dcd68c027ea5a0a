package schemas

import (
	"encoding/json"
	"fmt"
	"strings"
)

// kindOf reads the type of a field of our own schemas, and the name that goavro gives to the branch of its values.
func kindOf(typ json.RawMessage) (k kind, branch string, err error) {
	var union []json.RawMessage
	if err := json.Unmarshal(typ, &union); err != nil {
		if string(typ) != `"string"` {
			return 0, "", fmt.Errorf("type %s: what cannot be null has to be a string", typ)
		}
		return kindString, "", nil
	}
	if len(union) != 2 || string(union[0]) != `"null"` {
		return 0, "", fmt.Errorf("type %s: want [\"null\", TYPE]", typ)
	}
	var t struct{ Type, LogicalType string }
	if json.Unmarshal(union[1], &t.Type) != nil {
		if err := json.Unmarshal(union[1], &t); err != nil {
			return 0, "", fmt.Errorf("type %s: %w", typ, err)
		}
	}
	switch t.Type + " " + t.LogicalType {
	case "string ":
		return kindString, "string", nil
	case "string json":
		return kindJSON, "string", nil // goavro passes over logical types that it does not know
	case "long ":
		return kindLong, "long", nil
	case "long timestamp-millis":
		return kindDate, "long.timestamp-millis", nil
	case "double ":
		return kindDouble, "double", nil
	case "boolean ":
		return kindBoolean, "boolean", nil
	}
	return 0, "", fmt.Errorf("type %s: no JSON value is read as this", typ)
}

// pathsOf reads a field's "path": keys (or indexes of arrays) joined by dots, or a list of such paths; without one the
// path is the field's name.
func pathsOf(path any, name string) ([][]string, error) {
	switch p := path.(type) {
	case nil:
		return [][]string{{name}}, nil
	case string:
		return [][]string{strings.Split(p, ".")}, nil
	case []any:
		var out [][]string
		for _, one := range p {
			s, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("path %v: want text or a list of texts", path)
			}
			out = append(out, strings.Split(s, "."))
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, fmt.Errorf("path %v: want text or a list of texts", path)
}
