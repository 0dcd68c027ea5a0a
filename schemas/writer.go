package schemas

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/linkedin/goavro/v2"
)

// A writer turns JSON documents into Avro bodies of one schema. It is compiled once and safe for concurrent use.
type writer struct {
	record record
	fields []writerField
	routes *route
	slots  int
	pool   sync.Pool // of *draft
}

type writerField struct {
	name     string
	kinds    []kind                // narrowest first
	branch   [len(avroTypes)]int64 // by kind: which one of the union
	mixed    bool                  // long and double, which become one column: whole numbers have to be exact as a double
	key      bool                  // it cannot be null: it takes text and nothing else
	slots    []int                 // the values it may take, best first
	own      bool                  // it holds a key of the document; else it is promoted from elsewhere
	variant  bool                  // it takes values of one kind that another field has no place for
	of       int                   // the field whose misfits a variant takes; -1 where the schema lacks it
	collects bool                  // it is extraField
}

// newWriter compiles a schema: a record of strings, longs, doubles, booleans, timestamp-millis and JSON, each nullable with null
// first, or a plain string. What is Avro is for goavro to say; tests have it read what is written.
func newWriter(r record) (*writer, error) {
	if _, err := goavro.NewCodec(r.text()); err != nil {
		return nil, err
	}
	return newFields(r)
}

// newFields returns a writer of the record's fields that knows where they are in a document, and not how to write Avro.
func newFields(r record) (*writer, error) {
	w := &writer{record: r, routes: newRoute()}
	for i, f := range r.Fields {
		wf := writerField{name: f.Name, collects: f.Name == extraField, variant: f.Variant != "", of: -1}
		canBeNull, kinds, err := f.kinds()
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		for branch, k := range kinds {
			wf.branch[k] = int64(branch) + 1 // behind null
		}
		wf.kinds, wf.key = slices.SortedFunc(slices.Values(kinds), narrowest), !canBeNull
		wf.mixed = slices.Equal(wf.kinds, []kind{kindLong, kindDouble})
		paths, err := f.paths()
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		if !wf.collects {
			for _, path := range paths {
				step := w.routes
				for _, key := range path {
					step = step.step(key)
				}
				step.slots = append(step.slots, w.slots)
				wf.slots = append(wf.slots, w.slots)
				w.slots++
			}
			if wf.variant {
				wf.of = r.index(f.Variant)
			}
			if wf.own = f.key() != ""; wf.own && wf.of < 0 {
				w.routes.step(paths[0][0]).field = i
			}
		}
		w.fields = append(w.fields, wf)
	}
	w.routes.settle()
	w.pool.New = func() any { return w.newDraft() }
	return w, nil
}

// narrowest orders kinds that one field has: text comes last, since it holds everything that the others do.
func narrowest(a, b kind) int {
	if a == kindString || b == kindString {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}
