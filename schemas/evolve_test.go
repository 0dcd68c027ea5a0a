package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// evolving returns a codec on a registry whose schemas grow, and what it has told.
func evolving(t testing.TB, reg *srfake.Registry, rules Rules) (*Codec, func() []Change) {
	t.Helper()
	cl, err := sr.NewClient(sr.URLs(reg.URL()))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []Change
	c := NewCodec(cl, "tiledesk")
	c.Evolve(func(string) Rules { return rules }, func(ch Change) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, ch)
	})
	return c, func() []Change {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(told)
	}
}

var growing = Rules{Tables: Evolve, Columns: Evolve, Types: Evolve, MaxNewFields: 20}

func newRegistry(t testing.TB) *srfake.Registry {
	reg := srfake.New()
	t.Cleanup(reg.Close)
	return reg
}

func date(s string) time.Time {
	at, _ := time.Parse(time.RFC3339, s)
	return at.UTC()
}

// newestOf returns the newest version of a resource's schema.
func newestOf(t testing.TB, c *Codec, r Resource) record {
	t.Helper()
	got, err := c.reg.SchemaByVersion(t.Context(), r.Subject(c.prefix), -1)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := parseRecord(got.Schema.Schema)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// What becomes of tags, one after the other: the columns that each brings, and the fields that the schema has got in the end.
func TestEvolve(t *testing.T) {
	type row = map[string]any
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	reg := newRegistry(t)
	c, told := evolving(t, reg, growing)
	r := resource(t, "tags")
	for _, tt := range []struct {
		doc  string
		want row
	}{
		{`{"_id":"1","mood":"fine","score":7,"vip":true,"since":"2026-11-22T12:00:00.000Z","tree":{"a":[1]},"list":[1,"a"],"none":null}`,
			row{"mood": "fine", "score": int64(7), "vip": true, "since": date("2026-11-22T12:00:00Z"), "tree": raw(`{"a":[1]}`), "list": raw(`[1,"a"]`), "_extra": raw(`{"none":null}`)}},
		{`{"_id":"2","score":7.5}`, row{"score": 7.5}},
		{`{"_id":"3","score":9007199254740993}`, row{"score": "9007199254740993"}},
		{`{"_id":"4","score":"high"}`, row{"score": "high"}},
		{`{"_id":"5","score":1e400}`, row{"score": "1e400"}},
		{`{"_id":"6","score":7.25}`, row{"score": "7.25"}},
		{`{"_id":"7","score":{"value":1}}`, row{"score__v_json": raw(`{"value":1}`)}},
		{`{"_id":"8","vip":"yes"}`, row{"vip__v_text": "yes"}},
		{`{"_id":"9","vip":2}`, row{"vip__v_bigint": int64(2)}},
		{`{"_id":"10","vip":false,"since":"now"}`, row{"vip": false, "since__v_text": "now"}},
		{`{"_id":"11","since":"2026-11-22T12:00:00.000Z","mood":5,"tree":"flat","list":{}}`,
			row{"since": date("2026-11-22T12:00:00Z"), "mood": "5", "tree": raw(`"flat"`), "list": raw(`{}`)}},
		{`{"_id":"12","my key":1,"my-key":2,"":3,"createdat":"x","_loaded_at":"y","日本":4,"5th":5,"mood__v_bool":"z"}`,
			row{"my_key": int64(1), "my_key_2": int64(2), "_extra": raw(`{"":3}`), "createdat": "x", "loaded_at": "y", "key_cf2abf0c": int64(4), "n5th": int64(5), "mood__v_bool": "z"}},
		{`{"_id":"13","mood":true,"created_at":"z"}`, row{"mood__v_bool_2": true, "created_at_2": "z"}},
		{`{"_id":"14","toomany":1}`, row{"toomany": int64(1)}},
		{`{"_id":"15","more":1}`, row{"_extra": raw(`{"more":1}`)}},
		{`{"_id":"16","tag":["a"],"more":"1"}`, row{"_extra": raw(`{"tag":["a"],"more":"1"}`)}},
		{`{"_id":"17","_id2":null,"` + strings.Repeat("k", 200) + `":1}`, row{"_extra": raw(`{"_id2":null,"` + strings.Repeat("k", 200) + `":1}`)}},
	} {
		got := rowOf(through(t, c, r, tt.doc), 0)
		delete(got, "_id")
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.doc, diff)
		}
	}
	newest := newestOf(t, c, r)
	if n := len(newest.Fields) - len(c.subjects["tags"].own.Fields); n != growing.MaxNewFields {
		t.Errorf("%d fields were added, want the most there may be", n)
	}
	if f := newest.Fields[newest.index("score")]; string(compact(f.Type)) != `["null","long","double","string"]` {
		t.Errorf("score is %s", f.Type)
	}
	if f := newest.Fields[newest.index("list")]; !f.Array || newest.Fields[newest.index("tree")].Array {
		t.Errorf("arrays: list is %v", f)
	}
	if levels := c.reg.Compatibility(t.Context(), r.Subject("tiledesk")); levels[0].Level != sr.CompatBackwardTransitive {
		t.Errorf("compatibility is %v", levels)
	}
	if all := told(); len(all) < 5 || !slices.Contains(all[1].What, `field score from ["null","long"] to ["null","long","double"]`) {
		t.Errorf("told %v", all)
	}
	// Another process goes on from there, without a version more.
	again, none := evolving(t, reg, growing)
	if row := rowOf(through(t, again, r, `{"_id":"18","score":"low","my-key":3}`), 0); row["score"] != "low" || row["my_key_2"] != int64(3) || len(none()) != 0 {
		t.Errorf("another process writes %v, and told %v", row, none())
	}
}

// Producers that meet new keys and types at the same time settle through the registry: the newest version has all, and every value
// that was sent is found.
func TestEvolveTogether(t *testing.T) {
	for seed := range uint64(8) {
		reg := newRegistry(t)
		r := resource(t, "tags")
		var wg sync.WaitGroup
		var mu sync.Mutex
		rows := map[string]map[string]any{}
		sent := map[string]map[string]any{}
		for p := range 3 {
			c, _ := evolving(t, reg, Rules{Tables: Evolve, Columns: Evolve, Types: Evolve, MaxNewFields: 12})
			rnd := rand.New(rand.NewPCG(seed, uint64(p)))
			wg.Go(func() {
				for n := range 60 {
					doc := map[string]any{"_id": fmt.Sprintf("%d-%d", p, n)}
					for range rnd.IntN(3) {
						values := []any{"text", 5.0, 0.5, true, []any{1.0}, map[string]any{"a": 1.0}, "2026-11-22T12:00:00.000Z", nil, 1e20}
						doc[fmt.Sprintf("key%d", rnd.IntN(8))] = values[rnd.IntN(len(values))]
					}
					text, _ := json.Marshal(doc)
					row := rowOf(through(t, c, r, string(text)), 0)
					mu.Lock()
					rows[doc["_id"].(string)], sent[doc["_id"].(string)] = row, doc
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		c, _ := evolving(t, reg, growing)
		newest := newestOf(t, c, r)
		all, err := c.reg.Schemas(t.Context(), r.Subject("tiledesk"))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			version, err := parseRecord(v.Schema.Schema)
			if err != nil {
				t.Fatal(err)
			}
			if missing := version.changes(newest); len(missing) > 0 && strings.HasPrefix(missing[0], "new") {
				t.Errorf("seed %d: version %d has what the newest lacks: %s", seed, v.Version, missing)
			}
		}
		for id, doc := range sent {
			for key, value := range doc {
				if value != nil && !isIn(t, rows[id], key, value) {
					t.Errorf("seed %d: %s of %s is %v, and the row %v", seed, key, id, value, rows[id])
				}
			}
		}
	}
}

// shown is a cell as text.
func shown(cell any) string {
	if raw, ok := cell.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(cell)
}

// isIn tells whether a row holds the value of a document's key: in its column, a variant, or in _extra.
func isIn(t *testing.T, row map[string]any, key string, value any) bool {
	for column, cell := range row {
		if column != key && !strings.HasPrefix(column, key+"__v_") {
			continue
		}
		if n, ok := value.(float64); ok {
			if got, err := strconv.ParseFloat(shown(cell), 64); err == nil && got == n {
				return true
			}
		}
		text, _ := json.Marshal(value)
		got, _ := json.Marshal(cell)
		if string(got) == string(text) || string(got) == `"`+strings.Trim(string(text), `"`)+`"` || strings.Replace(string(text), ".000Z", "Z", 1) == string(got) {
			return true
		}
	}
	extra, _ := row["_extra"].(json.RawMessage)
	var kept map[string]any
	_ = json.Unmarshal(extra, &kept)
	return cmp.Equal(kept[key], value)
}

func TestContracts(t *testing.T) {
	r := resource(t, "tags")
	for _, tt := range []struct {
		set, doc  string
		want      error
		discarded string
		row       map[string]any
	}{
		{"evolve", `{"_id":"1","new":1}`, nil, "", map[string]any{"new": int64(1)}},
		{"freeze", `{"_id":"1","new":1}`, &FrozenError{}, "", nil},
		{"freeze", `{"_id":"1","color":[1]}`, &FrozenError{}, "", nil},
		{"tables=freeze", `{"_id":"1"}`, &FrozenError{}, "", nil},
		{"tables=discard_row", `{"_id":"1"}`, ErrRefused, "", nil},
		{"types=freeze", `{"_id":"1","new":1}`, nil, "", map[string]any{"new": int64(1)}},
		{"columns=freeze,tables=evolve", `{"_id":"1","color":[1]}`, nil, "", map[string]any{"color__v_json": json.RawMessage(`[1]`)}},
		{"discard_row,tables=evolve", `{"_id":"1","new":1}`, ErrRefused, "", nil},
		{"columns=discard_value", `{"_id":"1","new":1,"other":{"a":1},"color":"red"}`, nil, `{"new":1,"other":{"a":1}}`, map[string]any{"color": "red"}},
		{"types=discard_value", `{"_id":"1","new":1,"color":true}`, nil, `{"color":true}`, map[string]any{"new": int64(1)}},
		{"freeze,tags=evolve", `{"_id":"1","new":1}`, nil, "", map[string]any{"new": int64(1)}},
		{"freeze,tags.columns=discard_value,tables=evolve", `{"_id":"1","new":1}`, nil, `{"new":1}`, map[string]any{}},
		{"freeze,tables=evolve", `{"_id":"1","id":"1","color":null,"createdAt":"2026-11-22T12:00:00.00001Z"}`, nil, "",
			map[string]any{"created_at": date("2026-11-22T12:00:00Z"), "_extra": json.RawMessage(`{"createdAt":"2026-11-22T12:00:00.00001Z"}`)}},
	} {
		t.Run(tt.set+" "+tt.doc, func(t *testing.T) {
			var contracts Contracts
			if err := contracts.UnmarshalText([]byte(tt.set)); err != nil {
				t.Fatal(err)
			}
			reg := newRegistry(t)
			if !strings.Contains(tt.set, "tables") || strings.Contains(tt.set, "tables=evolve") { // it was there before
				before, _ := evolving(t, reg, Rules{})
				through(t, before, r, `{"_id":"0"}`)
			}
			c, _ := evolving(t, reg, contracts.Of("tags", 10))
			frame, discarded, err := c.Encode(t.Context(), r, []byte(tt.doc))
			var frozen *FrozenError
			if ok := errors.As(tt.want, &frozen) && errors.As(err, &frozen) || errors.Is(err, tt.want); !ok {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if string(discarded) != tt.discarded {
				t.Errorf("discarded %s, want %s", discarded, tt.discarded)
			}
			if err == nil {
				row := rowOf(decoded(t, c, frame), 0)
				delete(row, "_id")
				if diff := cmp.Diff(tt.row, row); diff != "" {
					t.Errorf("row (-want +got):\n%s", diff)
				}
			}
		})
	}
	for _, wrong := range []string{"thaw", "messages", "boots=freeze", "messages.rows=freeze", "freeze,evolve", "=freeze,=freeze", "messages=freeze,messages=evolve", "types=", "messages.=freeze"} {
		var c Contracts
		if err := c.UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q is %v", wrong, maps.Collect(maps.All(c)))
		}
	}
}

// A registry that does not take a change is told of, once, and the values are kept.
func TestEvolveRefused(t *testing.T) {
	reg := newRegistry(t)
	c, told := evolving(t, reg, growing)
	r := resource(t, "tags")
	through(t, c, r, `{"_id":"1"}`)
	reg.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"error_code":409,"message":"incompatible"}`)
		return true
	})
	for range 2 {
		if row := rowOf(through(t, c, r, `{"_id":"2","mood":"fine"}`), 0); string(row["_extra"].(json.RawMessage)) != `{"mood":"fine"}` {
			t.Errorf("the row is %v", row)
		}
	}
	if all := told(); len(all) != 1 || all[0].Err == nil || !strings.Contains(all[0].Err.Error(), "409") {
		t.Errorf("told %v", all)
	}
}
