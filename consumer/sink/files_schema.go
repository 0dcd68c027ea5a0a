package sink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Prepare writes a file of the schema and no rows, so that a query over the table's files finds each column from the
// start. Files are never changed: that columns are added or widened is what a reader makes of all of them. Types that
// no reader can bring together with those of the files there are an error. The file says in its metadata what has changed, when, and by which
// schema of the registry.
func (f *files) Prepare(ctx context.Context, t Table) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := schemaFile(t)
	if f.prepared[name] {
		return nil
	}
	if err := f.prepare(ctx, name, t); err != nil {
		return fmt.Errorf("prepare %s: %w", t.Name, err)
	}
	f.prepared[name] = true
	return nil
}

// schemaFile is named after its content, so that each schema has one.
func schemaFile(t Table) string {
	sum := sha256.Sum256([]byte(t.Schema.String()))
	return schemaName(t.Name, hex.EncodeToString(sum[:8]))
}

func (f *files) Plan(ctx context.Context, t Table) ([]Change, error) {
	changes, _, err := f.changes(ctx, schemaFile(t), t)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", t.Name, err)
	}
	return changes, nil
}

func (f *files) prepare(ctx context.Context, name string, t Table) error {
	changes, known, err := f.changes(ctx, name, t)
	if err != nil || known {
		return err
	}
	var what []string
	for _, c := range changes {
		what = append(what, c.What)
	}
	temp := path.Join(pendingDir, "schema-"+newAttempt())
	if _, err := f.store.create(ctx, temp, func(w io.Writer) error {
		return writeParquet(ctx, w, t.Schema, noRows, "tilestream.table", t.Name, "tilestream.schema_id", strconv.Itoa(t.SchemaID),
			"tilestream.changed_at", time.Now().UTC().Format(time.RFC3339), "tilestream.change", strings.Join(what, "\n"))
	}); err != nil {
		return err
	}
	return f.store.move(ctx, temp, name) // a file of this name has this very schema
}

// changes is what a reader finds changed once the schema has its file; known tells that it has.
func (f *files) changes(ctx context.Context, name string, t Table) (changes []Change, known bool, err error) {
	want := map[string]kind{}
	for _, c := range t.Schema.Fields() {
		if want[c.Name], err = kindOf(c.Type); err != nil {
			return nil, false, fmt.Errorf("column %s: %w", c.Name, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	have, err := f.store.list(ctx, path.Dir(name))
	if err != nil || slices.Contains(have, path.Base(name)) {
		return nil, err == nil, err
	}
	had := map[string]kind{}
	for _, h := range have {
		if !strings.HasPrefix(h, "schema-") {
			continue
		}
		text, err := f.store.read(ctx, path.Join(path.Dir(name), h))
		if err != nil {
			return nil, false, err
		}
		old, err := kindsOf(text)
		if err != nil {
			return nil, false, fmt.Errorf("read %s: %w", h, err)
		}
		for column, was := range old {
			if is, ok := want[column]; ok && !together(was.family(), is.family()) {
				return nil, false, fmt.Errorf("column %s is %s in earlier files and %s now: no query reads both; load into another dataset (WAREHOUSE_DATASET)", column, was.family(), is.family())
			}
			if wide, ok := had[column]; ok {
				was = widen(wide, was)
			}
			had[column] = was
		}
	}
	if len(had) == 0 {
		return []Change{{What: creates(t.Name, len(want))}}, false, nil
	}
	types := duckDialect.types
	for _, c := range t.Schema.Fields() {
		was, ok := had[c.Name]
		if is := want[c.Name]; !ok {
			changes = append(changes, Change{What: adds(c.Name, types[is])})
		} else if wide := widen(was, is); wide != was {
			changes = append(changes, Change{What: widens(c.Name, types[was], types[wide])})
		}
	}
	return changes, false, nil
}

func noRows(func(arrow.RecordBatch) bool) {}

// family is the types that a reader takes for one another.
type family string

const (
	numbers family = "a number or boolean"
	times   family = "a time"
	texts   family = "text"
	jsons   family = "JSON"
)

// together tells whether a query over files of both finds one type for them. DuckDB 1.5 makes text or JSON of everything
// else; it casts no number to a time, and no text that is not JSON to JSON.
func together(a, b family) bool {
	apart := func(x, y family) bool { return a == x && b == y || a == y && b == x }
	return !apart(numbers, times) && !apart(texts, jsons)
}

func (k kind) family() family {
	switch k {
	case kindJSON:
		return jsons
	case kindText:
		return texts
	case kindTimestamp:
		return times
	}
	return numbers
}

// kindsOf returns the kind of each column of a Parquet file.
func kindsOf(text []byte) (map[string]kind, error) {
	r, err := file.NewParquetReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out, s := map[string]kind{}, r.MetaData().Schema
	for i := range s.NumColumns() {
		c := s.Column(i)
		switch c.LogicalType().(type) {
		case schema.JSONLogicalType:
			out[c.Name()] = kindJSON
		case schema.StringLogicalType:
			out[c.Name()] = kindText
		case schema.TimestampLogicalType:
			out[c.Name()] = kindTimestamp
		default:
			out[c.Name()] = map[parquet.Type]kind{
				parquet.Types.Boolean: kindBool, parquet.Types.Int32: kindInt32, parquet.Types.Int64: kindInt64, parquet.Types.Double: kindFloat64,
			}[c.PhysicalType()]
		}
	}
	return out, nil
}
