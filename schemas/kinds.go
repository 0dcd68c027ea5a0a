package schemas

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A kind says how a field reads a JSON value. See convert.
type kind uint8

const (
	kindString kind = iota
	kindLong
	kindDouble
	kindBoolean
	kindDate // timestamp-millis
	kindJSON
)

// avroTypes is what each kind is in Avro.
var (
	avroTypes = [...]string{
		kindString: `"string"`, kindLong: `"long"`, kindDouble: `"double"`, kindBoolean: `"boolean"`,
		kindDate: `{"type":"long","logicalType":"timestamp-millis"}`, kindJSON: `{"type":"string","logicalType":"json"}`,
	}
	// variants are the ends of the names of fields that take what no widening holds, as dlt users know them.
	variants = [...]string{
		kindString: "text", kindLong: "bigint", kindDouble: "double", kindBoolean: "bool", kindDate: "timestamp", kindJSON: "json",
	}
)

// kinds reads the type of a field of our own schemas: "string", or a union of null and one kind, or of null and several of
// long, double and string.
func (f field) kinds() (nullable bool, ks []kind, err error) {
	var union []json.RawMessage
	if err := json.Unmarshal(f.Type, &union); err != nil {
		if string(f.Type) != `"string"` {
			return false, nil, fmt.Errorf("type %s: what cannot be null has to be a string", f.Type)
		}
		return false, []kind{kindString}, nil
	}
	if len(union) < 2 || string(union[0]) != `"null"` {
		return false, nil, fmt.Errorf("type %s: want [\"null\", TYPE]", f.Type)
	}
	for _, branch := range union[1:] {
		k, err := kindOf(branch)
		if err != nil {
			return false, nil, fmt.Errorf("type %s: %w", f.Type, err)
		}
		if len(union) > 2 && !inLattice(k) || slices.Contains(ks, k) {
			return false, nil, fmt.Errorf("type %s: a union of several is one of long, double and string", f.Type)
		}
		ks = append(ks, k)
	}
	return true, ks, nil
}

func kindOf(branch json.RawMessage) (kind, error) {
	var t struct{ Type, LogicalType string }
	if json.Unmarshal(branch, &t.Type) != nil {
		if err := json.Unmarshal(branch, &t); err != nil {
			return 0, err
		}
	}
	switch t.Type + " " + t.LogicalType {
	case "string ":
		return kindString, nil
	case "string json":
		return kindJSON, nil
	case "long ":
		return kindLong, nil
	case "long timestamp-millis":
		return kindDate, nil
	case "double ":
		return kindDouble, nil
	case "boolean ":
		return kindBoolean, nil
	}
	return 0, fmt.Errorf("no JSON value is read as %s", branch)
}

func nullable(ks ...kind) json.RawMessage {
	types := []string{`"null"`}
	for _, k := range ks {
		types = append(types, avroTypes[k])
	}
	return json.RawMessage("[" + strings.Join(types, ",") + "]")
}

// inLattice tells whether a kind can be widened: long to double to string.
func inLattice(k kind) bool { return k == kindLong || k == kindDouble || k == kindString }

// wider returns the field's type with a branch for values of the kind, where that makes it hold them. Adding a branch to a union
// loses nothing: who reads with the new schema reads every old record as it was written (Avro specification, "Schema Resolution").
func (f field) wider(k kind) (json.RawMessage, bool) {
	canBeNull, ks, err := f.kinds()
	if err != nil || !canBeNull || !inLattice(k) || !inLattice(ks[0]) || slices.Contains(ks, k) || slices.Contains(ks, kindString) {
		return nil, false
	}
	return nullable(append(ks, k)...), true
}

// naturalKind is the kind of a field that is made for a JSON value; not ok for null, and for numbers that no kind holds.
func naturalKind(raw []byte) (k kind, ok bool) {
	switch raw[0] {
	case 'n':
		return 0, false
	case '"':
		// Only what JavaScript writes of a date: text that merely looks like one may be followed by text that does not.
		if len(raw) == len(`"2026-11-22T15:17:30.904Z"`) && raw[len(raw)-2] == 'Z' {
			if _, exact, ok := parseDate(raw[1 : len(raw)-1]); ok && exact {
				return kindDate, true
			}
		}
		return kindString, true
	case 't', 'f':
		return kindBoolean, true
	case '{', '[':
		return kindJSON, true
	}
	if _, ok := parseLong(raw); ok {
		return kindLong, true
	}
	if _, ok := parseDouble(raw); ok {
		return kindDouble, true
	}
	return kindJSON, true // which keeps every digit
}

// exactDouble is the magnitude up to which every whole number is a double.
const exactDouble = 1 << 53

// parseDouble reads a JSON number that a double holds: not one that is too large, nor a whole one that would change.
func parseDouble(raw []byte) (float64, bool) {
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, false
	}
	if n >= exactDouble || n <= -exactDouble {
		return n, strings.ContainsAny(string(raw), ".eE") || strconv.FormatFloat(n, 'f', -1, 64) == string(raw)
	}
	return n, true
}
