package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// shifting is a source whose documents never stay as they were: keys come, go, take other names and hold other things.
type shifting struct {
	*rand.Rand
	shapes map[string]map[string]shape // by resource and key
	at     time.Time
	named  int
	did    map[string]int // changes, by what they were
}

// A shape makes the values of a key.
type shape struct {
	of   string
	make func(r *rand.Rand) any
}

func newShifting(seed uint64) *shifting {
	s := &shifting{Rand: rand.New(rand.NewPCG(seed, 1)), shapes: map[string]map[string]shape{}, did: map[string]int{}}
	for _, resource := range []string{"messages", "requests", "bots"} {
		s.shapes[resource] = map[string]shape{"text": text, "attributes": object(text), "status": whole}
	}
	return s
}

var (
	text = shape{"text", func(r *rand.Rand) any {
		return []string{"", "x", "ä\n\"'`", "null", "12", "1e3", "{", "[1]"}[r.IntN(8)]
	}}
	whole  = shape{"number", func(r *rand.Rand) any { return r.IntN(2000) - 1000 }}
	broken = shape{"number", func(r *rand.Rand) any { return float64(r.IntN(100000)-50000) / 64 }}
	large  = shape{"number", func(r *rand.Rand) any {
		return json.Number([]string{"9223372036854775807", "9223372036854775808", "-9223372036854775809", "9007199254740993", "1e300", "1e400", "5e-324", "123456789012345678901234567890.5"}[r.IntN(8)])
	}}
	boolean = shape{"boolean", func(r *rand.Rand) any { return r.IntN(2) == 0 }}
	date    = shape{"date", func(r *rand.Rand) any {
		return time.UnixMilli(1.7e12 + r.Int64N(1e11)).UTC().Format("2006-01-02T15:04:05.000Z")
	}}
	scalars = []shape{text, whole, broken, large, boolean, date}
)

func object(of shape) shape {
	return shape{"object", func(r *rand.Rand) any {
		return map[string]any{[]string{"a", "A", "ä", "a.b", ""}[r.IntN(5)]: of.make(r), "same": of.make(r)}
	}}
}

func list(of shape) shape {
	return shape{"list", func(r *rand.Rand) any {
		out := make([]any, r.IntN(4))
		for i := range out {
			out[i] = of.make(r)
		}
		return out
	}}
}

// either makes values of both.
func either(a, b shape) shape {
	return shape{a.of, func(r *rand.Rand) any {
		if r.IntN(2) == 0 {
			return a.make(r)
		}
		return b.make(r)
	}}
}

// kinds are the changes; what is common comes twice.
var kinds = []string{"add", "add", "widen to double", "widen to text", "clash", "nest", "rename", "drop", "list", "case", "null", "large"}

// change changes what documents of a resource are like from here on, in the way that is said.
func (s *shifting) change(resource, what string) {
	shapes := s.shapes[resource]
	s.named++
	fresh := []string{fmt.Sprint("field", s.named), fmt.Sprint("newField_", s.named), fmt.Sprintf("neues Feld №%d", s.named), fmt.Sprintf("select.%d", s.named)}[s.IntN(4)]
	keys := slices.Sorted(maps.Keys(shapes))
	key := keys[s.IntN(len(keys))]
	old := shapes[key]
	switch what {
	case "add":
		shapes[fresh] = scalars[s.IntN(len(scalars))]
	case "widen to double":
		shapes[fresh], shapes[key] = whole, old
		for _, k := range keys {
			if shapes[k].of == "number" {
				shapes[k] = either(shapes[k], broken)
			}
		}
	case "widen to text":
		for _, k := range keys {
			if shapes[k].of == "number" {
				shapes[k] = text
				break
			}
		}
	case "clash":
		shapes[key] = either(old, scalars[s.IntN(len(scalars))])
	case "nest":
		shapes[key] = object(old)
	case "rename":
		delete(shapes, key)
		shapes[fresh] = old
	case "drop":
		if len(shapes) > 3 {
			delete(shapes, key)
		}
	case "list":
		shapes[key] = list(old)
	case "case":
		shapes[strings.ToUpper(key)] = scalars[s.IntN(len(scalars))]
	case "null":
		shapes[key] = either(old, shape{old.of, func(*rand.Rand) any { return nil }})
	case "large":
		for _, k := range keys {
			if shapes[k].of == "number" {
				shapes[k] = either(shapes[k], large)
				break
			}
		}
	}
	s.did[what]++
}

// document is one as they are now.
func (s *shifting) document(resource, id string) string {
	s.at = s.at.Add(time.Millisecond)
	if now := time.Now().UTC(); now.After(s.at) {
		s.at = now
	}
	at := s.at.Format("2006-01-02T15:04:05.000Z")
	doc := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(s.shapes[resource])) { // in order, so that a seed gives the same documents again
		doc[key] = s.shapes[resource][key].make(s.Rand)
	}
	doc["_id"], doc["createdAt"], doc["updatedAt"] = id, at, at
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err) // the shapes are above
	}
	return string(raw)
}
