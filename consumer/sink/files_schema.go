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
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// Prepare writes a file of the schema and no rows, so that a query over the table's files finds each column from the
// start. Files are never changed: that columns are added or widened is what a reader makes of all of them. Types that
// no reader can bring together with those of the files there are an error.
func (f *files) Prepare(ctx context.Context, t Table) error {
	for _, c := range t.Schema.Fields() {
		if _, err := kindOf(c.Type); err != nil {
			return fmt.Errorf("prepare %s: column %s: %w", t.Name, c.Name, err)
		}
	}
	sum := sha256.Sum256([]byte(t.Schema.String()))
	name := schemaName(t.Name, hex.EncodeToString(sum[:8]))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.prepared[name] {
		return nil
	}
	if err := f.prepare(ctx, name, t); err != nil {
		return fmt.Errorf("prepare %s: %w", t.Name, err)
	}
	f.prepared[name] = true
	return nil
}

func (f *files) prepare(ctx context.Context, name string, t Table) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	have, err := f.store.list(ctx, path.Dir(name))
	if err != nil || slices.Contains(have, path.Base(name)) {
		return err
	}
	want, err := familiesOf(t.Schema)
	if err != nil {
		return err
	}
	for _, h := range have {
		if !strings.HasPrefix(h, "schema-") {
			continue
		}
		text, err := f.store.read(ctx, path.Join(path.Dir(name), h))
		if err != nil {
			return err
		}
		old, err := families(text)
		if err != nil {
			return fmt.Errorf("read %s: %w", h, err)
		}
		for column, is := range want {
			if was, ok := old[column]; ok && !together(was, is) {
				return fmt.Errorf("column %s is %s in earlier files and %s now: no query reads both; load into another dataset (WAREHOUSE_DATASET)", column, was, is)
			}
		}
	}
	temp := path.Join(pendingDir, "schema-"+newAttempt())
	if _, err := f.store.create(ctx, temp, func(w io.Writer) error { return writeParquet(ctx, w, t.Schema, noRows, "tilestream.table", t.Name) }); err != nil {
		return err
	}
	return f.store.move(ctx, temp, name) // a file of this name has this very content
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

// families returns the family of each column of a Parquet file.
func families(text []byte) (map[string]family, error) {
	r, err := file.NewParquetReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return familiesIn(r.MetaData().Schema), nil
}

func familiesOf(s *arrow.Schema) (map[string]family, error) {
	p, err := pqarrow.ToParquet(s, nil, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	return familiesIn(p), nil
}

func familiesIn(s *schema.Schema) map[string]family {
	out := map[string]family{}
	for i := range s.NumColumns() {
		c := s.Column(i)
		switch c.LogicalType().(type) {
		case schema.JSONLogicalType:
			out[c.Name()] = jsons
		case schema.StringLogicalType:
			out[c.Name()] = texts
		case schema.TimestampLogicalType:
			out[c.Name()] = times
		default:
			out[c.Name()] = numbers
		}
	}
	return out
}
