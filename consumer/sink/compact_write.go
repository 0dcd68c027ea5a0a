package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// stage writes what is wanted of a group where no reader looks. Memory is bounded by a row group, compressed.
func (c *compacting) stage(ctx context.Context, g *group) (compaction, error) {
	out := compaction{ID: newAttempt()}
	for _, s := range g.sources {
		out.Replaces = append(out.Replaces, s.name)
	}
	if g.rows == 0 {
		return out, nil
	}
	about := []string{"tilestream.table", c.table.Name}
	if mode := g.mode(); mode != Upsert {
		about = append(about, modeMark, string(mode))
	}
	out.Staged = stagedName(c.table.Name, c.now(), out.ID)
	out.File = &dataFile{Path: compactedName(c.table.Name, g.day, out.ID)}
	var err error
	out.File.Bytes, err = c.store.create(ctx, out.Staged, func(w io.Writer) error {
		var reading error
		writing := writeParquet(ctx, w, g.schema(), c.rows(ctx, g, &out.File.Rows, &reading), about...)
		return errors.Join(reading, writing)
	})
	if err == nil && out.File.Rows != g.rows {
		err = errors.Join(fmt.Errorf("%d rows were read where %d were counted", out.File.Rows, g.rows), c.store.remove(ctx, out.Staged))
	}
	if err != nil {
		return out, fmt.Errorf("compact %d files of %s: %w", len(g.sources), g.day, err)
	}
	return out, nil
}

// rows yields the rows of the group that are wanted, with the columns of all of its files, and counts them. It ends after an
// error, which goes to failed.
func (c *compacting) rows(ctx context.Context, g *group, n *int64, failed *error) iter.Seq[arrow.RecordBatch] {
	schema := g.schema()
	return func(yield func(arrow.RecordBatch) bool) {
		for _, s := range g.sources {
			if s.rows == s.dropped.count() {
				continue
			}
			more, err := c.rowsOf(ctx, s, func(b arrow.RecordBatch) bool {
				*n += b.NumRows()
				b = withColumns(b, schema)
				defer b.Release()
				return yield(b)
			})
			if err != nil {
				*failed = fmt.Errorf("read %s: %w", c.store.path(s.name), err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

func (c *compacting) rowsOf(ctx context.Context, s *source, yield func(arrow.RecordBatch) bool) (more bool, err error) {
	o, err := openSource(ctx, c.store, s.name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if o.NumRows() != s.rows {
		return false, fmt.Errorf("it had %d rows and has %d now: something else has changed it", s.rows, o.NumRows())
	}
	at := int64(0)
	for b, err := range s.batches(ctx, o, s.fields) {
		if err != nil {
			return false, err
		}
		wanted, err := s.filter(ctx, b, at)
		at += b.NumRows()
		b.Release()
		if err != nil {
			return false, err
		}
		if wanted.NumRows() == 0 {
			wanted.Release()
			continue
		}
		if !yield(wanted) {
			return false, nil
		}
	}
	return true, nil
}

// filter is the wanted rows of a batch that begins at a row of the source.
func (s *source) filter(ctx context.Context, b arrow.RecordBatch, at int64) (arrow.RecordBatch, error) {
	keep := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer keep.Release()
	all := true
	for i := range b.NumRows() {
		wanted := !s.dropped.has(at + i)
		keep.Append(wanted)
		all = all && wanted
	}
	if all {
		b.Retain()
		return b, nil
	}
	mask := keep.NewBooleanArray()
	defer mask.Release()
	return compute.FilterRecordBatch(ctx, b, mask, compute.DefaultFilterOptions())
}

// withColumns is the batch with all columns of the schema; those that it lacks are null. The caller gives the batch up for it.
func withColumns(b arrow.RecordBatch, schema *arrow.Schema) arrow.RecordBatch {
	defer b.Release()
	columns := make([]arrow.Array, schema.NumFields())
	for i, f := range schema.Fields() {
		if at := b.Schema().FieldIndices(f.Name); len(at) == 1 {
			columns[i] = b.Column(at[0])
		} else {
			columns[i] = array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, int(b.NumRows()))
			defer columns[i].Release()
		}
	}
	return array.NewRecordBatch(schema, columns, b.NumRows())
}
