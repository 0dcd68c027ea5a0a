package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxKey is how long a document's key may be that becomes a field, in bytes.
const maxKey = 128

// A verdict is what the rules have to say about what a document has left over.
type verdict struct {
	changes []field // that the schema needs first
	dropped []int   // members that are discarded
}

// judge looks at what no field of the revision holds. Errors: *FrozenError, ErrRefused.
func (s *subject) judge(w *revision, d *draft) (v verdict, err error) {
	room := s.rules.MaxNewFields - w.added
	for _, n := range d.rest {
		m := d.members[n]
		key := string(plainText(m.key))
		if m.value[0] == 'n' || key == extraField {
			continue
		}
		contract, what := s.rules.Columns, "it knows no key "
		var change field
		var ok bool
		if m.field < 0 {
			change, ok = fieldFor(key, m.value)
		} else if d.values[m.field].ok || d.last[m.field] != n {
			continue // what is lost is a finer date, or an equal key before it
		} else {
			contract, what = s.rules.Types, "it has no place for the value of "
			change, ok = w.record.Fields[m.field].fieldFor(key, m.value)
		}
		switch contract {
		case Evolve:
			grows := w.record.index(change.Name) < 0 || m.field < 0
			if !ok || grows && room <= 0 || s.refused[change.Name+string(change.Type)] {
				continue
			}
			if grows {
				room--
			}
			v.changes = append(v.changes, change)
		case Freeze:
			return verdict{}, &FrozenError{s.Name, what + quote(key)}
		case DiscardRow:
			return verdict{}, fmt.Errorf("%w (discard_row): %s%s", ErrRefused, what, quote(key))
		case DiscardValue:
			v.dropped = append(v.dropped, n)
		}
	}
	return v, nil
}

// quote shows a key of a document, which may be anything.
func quote(key string) string {
	if len(key) > maxKey {
		key = key[:maxKey] + "..."
	}
	return fmt.Sprintf("%q", key)
}

// fieldFor returns a field for a key that none holds. What is nested becomes JSON, and so does a number that no type holds.
func fieldFor(key string, value []byte) (field, bool) {
	k, ok := naturalKind(value)
	if !ok || key == "" || len(key) > maxKey {
		return field{}, false
	}
	f := field{Name: fieldName(key), Type: nullable(k), Default: json.RawMessage("null"), Array: value[0] == '[',
		Doc: "Found in documents of Tiledesk, under " + quote(key) + "."}
	if f.Name != key {
		f.Key = key
	}
	return f, true
}

// fieldFor returns what makes room for a value that the field does not hold: the field itself with a wider type, or else a variant.
func (f field) fieldFor(key string, value []byte) (field, bool) {
	_, ks, err := f.kinds()
	k, ok := naturalKind(value)
	if err != nil || !ok || f.key() != key {
		return field{}, false
	}
	number := value[0] == '-' || value[0] >= '0' && value[0] <= '9'
	if inLattice(ks[0]) && (number || value[0] == '"') {
		wide := kindString // which holds each number, too
		if k == kindDouble && !slices.Contains(ks, kindDouble) {
			wide = kindDouble
		}
		f.Type, ok = f.wider(wide)
		return f, ok
	}
	return field{Name: f.Name + "__v_" + variants[k], Type: nullable(k), Default: json.RawMessage("null"), Key: key, Array: value[0] == '[', Variant: f.Name,
		Doc: fmt.Sprintf("Values of %s that are no %s.", f.Name, variants[ks[0]])}, true
}

// fieldName makes a name for a field of any key: letters of ASCII, digits and underscores (Avro specification, "Names"). It does not begin
// with an underscore, as columns of our own do.
func fieldName(key string) string {
	var b strings.Builder
	for _, c := range key {
		if c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteRune(c)
		} else {
			b.WriteByte('_')
		}
	}
	name := strings.TrimLeft(b.String(), "_")
	switch {
	case strings.Trim(name, "_") == "":
		sum := sha256.Sum256([]byte(key))
		return "key_" + hex.EncodeToString(sum[:4])
	case name[0] >= '0' && name[0] <= '9':
		return "n" + name
	}
	return name
}
