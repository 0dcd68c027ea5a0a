package sinktest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/sink"
)

var changes = []testCase{
	{"a plan is what Prepare does, once", func(s *suite) {
		to, narrow := s.open(), Table("things", Column("n", Int32), Column("text", String))
		s.wantPlan(to, narrow, "create table things, 6 columns")
		s.wantPlan(to, narrow, "create table things, 6 columns") // it has made nothing
		narrow.SchemaID = 7
		s.prepare(to, narrow)
		s.wantPlan(to, narrow)
		wide := Table("things", Column("n", Int64), Column("text", String), Column("mood", String))
		wide.SchemaID = 8
		var widens []string
		if plan := s.plan(to, wide); len(plan) == 2 && strings.HasPrefix(plan[0], "widen column n from ") {
			widens = plan[:1] // where both numbers are of one type there is nothing to widen
		}
		s.wantPlan(s.open(), wide, append(widens, "add column mood")...)
		s.prepare(to, wide)
		s.wantPlan(to, wide)
		s.wantPlan(s.open(), wide)
		s.wantPlan(to, narrow) // never narrows
		s.prepare(to, narrow)
		s.wantRecorded(append([]string{"things 7 create table things, 6 columns", "things 8 add column mood"}, each("things 8 ", widens)...)...)
	}},
	{"many meet a new schema at once, and it is written down once", func(s *suite) {
		before := Table("things", Column("n", Int32), Column("text", String))
		s.prepare(s.open(), before)
		after := Table("things", Column("n", Float64), Column("text", String), Column("one", JSON), Column("two", Timestamp))
		after.SchemaID = 9
		var wg sync.WaitGroup
		for range 4 {
			to := s.open()
			wg.Go(func() {
				if err := to.Prepare(s.Context(), after); err != nil {
					s.Errorf("Prepare: %v", err)
				}
			})
		}
		wg.Wait()
		s.wantPlan(s.open(), after)
		s.wantRecorded("things create table things, 6 columns", "things 9 add column one", "things 9 add column two", "things 9 widen column n")
	}},
	{"a number is one text, before its column becomes text and after", func(s *suite) {
		if s.d.KeepsVersions {
			s.Skip("files stay as they are, and a reader makes text of their numbers")
		}
		to, numbers, texts := s.open(), Table("things", Column("n", Float64)), Table("things", Column("n", String))
		var before, after, want []Row
		for i, c := range []struct {
			n    float64
			text string
		}{{0, "0"}, {1, "1"}, {-1000000, "-1000000"}, {0.5, "0.5"}, {-1234567.25, "-1234567.25"}, {1 << 40, "1099511627776"}} {
			before = append(before, Row{"_id": fmt.Sprint("n", i), "n": c.n, "updated_at": at(1), "_kafka_offset": int64(i)})
			after = append(after, Row{"_id": fmt.Sprint("n", i), "n": c.text, "updated_at": at(1), "_kafka_offset": int64(i)})
		}
		want = after
		n := int64(len(before))
		s.prepare(to, numbers)
		s.write(to, s.batch(numbers, before, Span(0, 0, n)), sink.Stats{Inserted: n})
		s.prepare(to, texts)
		s.wantRows(texts, want...)
		again := s.batch(texts, after, Range("again", 0, 0, n))
		again.Again = true
		s.write(to, again, sink.Stats{Unchanged: n})
		s.wantRows(texts, want...)
		late := s.batch(numbers, before, Span(0, n, n)) // of who still has the old schema
		late.Ranges = []sink.Range{Range("late", 0, 0, n)}
		late.Again = true
		s.write(to, late, sink.Stats{Unchanged: n})
		s.wantRows(texts, want...)
	}},
	{"a view has the elements of each array", func(s *suite) {
		if s.d.KeepsVersions {
			s.Skip("no views here")
		}
		array := func(name string) arrow.Field {
			f := Column(name, JSON)
			f.Metadata = arrow.NewMetadata([]string{"array"}, []string{"true"})
			return f
		}
		to, t := s.open(), Table("things", Column("text", String), array("tags"), Column("doc", JSON), Column("_deleted_at", Timestamp), Column("_deleted_offset", Int64))
		t.Deleted, t.DeletedOffset = "_deleted_at", "_deleted_offset"
		s.prepare(to, t)
		s.prepare(s.open(), t)
		long := make([]string, 1000)
		for i := range long {
			long[i] = fmt.Sprint(i)
		}
		tags := map[string]any{
			"all": `["a", 1, null, {"b":[1]}, [2], true, 1.5, "", "é\"'"]`, "empty": `[]`, "null": nil, "json null": `null`, "object": `{"a":["x"]}`, "text": `"x"`, "number": `7`,
			"nested": `[[["deep"]]]`, "long": "[" + strings.Join(long, ",") + "]",
		}
		var rows []Row
		for i, id := range []string{"all", "empty", "null", "json null", "object", "text", "number", "nested", "long"} {
			rows = append(rows, Row{"_id": id, "tags": tags[id], "doc": `["no view"]`, "updated_at": at(1), "_kafka_offset": int64(i)})
		}
		n := int64(len(rows))
		s.write(to, s.batch(t, rows, Span(0, 0, n)), sink.Stats{Inserted: n})
		s.wantElements(tags)
		tags["all"], tags["empty"] = `[]`, `["new"]`
		s.write(to, s.batch(t, []Row{
			{"_id": "all", "tags": tags["all"], "updated_at": at(2), "_kafka_offset": n},
			{"_id": "empty", "tags": tags["empty"], "updated_at": at(2), "_kafka_offset": n + 1},
			{"_id": "nested", "_kafka_offset": n + 2, "_deleted_at": at(3), "_deleted_offset": n + 2}, // its row stays
		}, Span(0, n, n+3)), sink.Stats{Updated: 3})
		s.wantElements(tags)
		wide := Table("things", append(t.Schema.Fields()[1:6], array("permissions"))...) // what a view is made of can still change beside it
		wide.Deleted, wide.DeletedOffset = t.Deleted, t.DeletedOffset
		s.prepare(to, wide)
		s.wantElements(tags)
		s.wantPlan(to, wide)
	}},
}

// Range is a range of Part(id) by another group, such as a replay's.
func Range(group string, id int32, from, to int64) sink.Range {
	r := Span(id, from, to)
	r.Group = group
	return r
}

func each(front string, all []string) (out []string) {
	for _, s := range all {
		out = append(out, front+s)
	}
	return out
}

// plan is what is planned, in words.
func (s *suite) plan(to sink.Sink, t sink.Table) (what []string) {
	s.Helper()
	plan, err := to.Plan(s.Context(), t)
	if err != nil {
		s.Fatalf("Plan %s: %v", t.Name, err)
	}
	for _, c := range plan {
		what = append(what, c.What)
	}
	return what
}

// wantPlan wants changes that begin as they are given.
func (s *suite) wantPlan(to sink.Sink, t sink.Table, want ...string) {
	s.Helper()
	if got := s.plan(to, t); !alike(got, want) {
		s.Errorf("the plan is %q, want %q", got, want)
	}
}

func alike(got, want []string) bool {
	return slices.EqualFunc(got, want, strings.HasPrefix)
}

// wantRecorded wants these lines, as they begin, in what was written down: table, schema id and change.
func (s *suite) wantRecorded(want ...string) {
	s.Helper()
	if s.d.KeepsVersions {
		return // has no such table
	}
	var got []string
	for _, r := range s.d.Read(s.T, sink.Table{Name: "_tilestream_schemas", Key: "change", Schema: arrow.NewSchema([]arrow.Field{
		Column("table_name", String), Column("schema_id", Int64), Column("change", String)}, nil)}) {
		line := fmt.Sprint(strings.ToLower(r["table_name"].(string)), " ")
		if id := r["schema_id"]; id != nil {
			line += fmt.Sprint(id, " ")
		}
		got = append(got, line+r["change"].(string))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !alike(got, want) {
		s.Errorf("written down is %q, want %q", got, want)
	}
}

// wantElements wants the elements of each row's tags in the view.
func (s *suite) wantElements(tags map[string]any) {
	s.Helper()
	var want, got []string
	for id, text := range tags {
		var all []json.RawMessage
		if text == nil || json.Unmarshal([]byte(text.(string)), &all) != nil {
			continue
		}
		for i, element := range all {
			var v any
			_ = json.Unmarshal(element, &v) // it was a part of JSON
			text := "none"
			switch v := v.(type) {
			case string:
				text = "text " + v
			case float64, bool:
				text = "text " + string(element)
			}
			want = append(want, fmt.Sprint(id, " ", i, " ", canonical(string(element)), " ", text))
		}
	}
	for _, r := range s.d.Read(s.T, sink.Table{Name: "things__tags", Key: "_id", Schema: arrow.NewSchema([]arrow.Field{
		Column("_id", String), Column("_index", Int64), Column("value", JSON), Column("text", String)}, nil)}) {
		text := "none"
		if t := r["text"]; t != nil {
			text = "text " + t.(string)
		}
		value, _ := r["value"].(string)
		if value == "" { // some make no difference between the nulls
			value = "null"
		}
		got = append(got, fmt.Sprint(r["_id"], " ", r["_index"], " ", canonical(value), " ", text))
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		s.Errorf("elements (-want +got):\n%s", d)
	}
}

// canonical is JSON in one form.
func canonical(text string) string {
	var v any
	if text == "" || json.Unmarshal([]byte(text), &v) != nil {
		return text
	}
	out, _ := json.Marshal(v)
	return string(out)
}
