package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// modeMark is the metadata by which a file says that its table keeps every version.
const modeMark = "tilestream.mode"

// source is a file of a table that readers see.
type source struct {
	name, day string // path below the dataset's directory, and the part of it that is the day's directory
	stays     bool   // it must not be replaced now

	size, rows int64
	fields     []arrow.Field
	mode       Mode
	foreign    error  // why it is no file as loaders write them; such a one is left alone
	dropped    bitmap // rows that another row makes superfluous
}

// bitmap is a set of rows.
type bitmap []uint64

func (b bitmap) add(i int32)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) has(i int64) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitmap) count() (n int64) {
	for _, word := range b {
		n += int64(bits.OnesCount64(word))
	}
	return n
}

// wanted is how many rows are left, and about how many bytes they take.
func (s *source) wanted() (rows, bytes int64) {
	rows = s.rows - s.dropped.count()
	return rows, int64(float64(s.size) * float64(rows) / float64(max(s.rows, 1)))
}

// ranged reads an object by parts. What is smaller than partSize takes one request.
type ranged struct {
	ctx   context.Context
	store store
	name  string
	head  []byte
	size  int64
}

func openRanged(ctx context.Context, s store, name string) (*ranged, error) {
	head, size, err := s.readRange(ctx, name, 0, partSize)
	return &ranged{ctx, s, name, head, size}, err
}

func (r *ranged) ReadAt(p []byte, at int64) (n int, err error) {
	if at >= r.size {
		return 0, io.EOF
	}
	if at < int64(len(r.head)) {
		n = copy(p, r.head[at:])
	}
	if n < len(p) && at+int64(n) < r.size {
		rest, _, err := r.store.readRange(r.ctx, r.name, at+int64(n), int64(len(p)-n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], rest)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// opened is a source that is being read.
type opened struct {
	*file.Reader
	rows *pqarrow.FileReader
	size int64
}

func openSource(ctx context.Context, s store, name string) (*opened, error) {
	at, err := openRanged(ctx, s, name)
	if err != nil {
		return nil, err
	}
	r, err := file.NewParquetReader(io.NewSectionReader(at, 0, at.size))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: no query reads this table until the file is removed or restored", s.path(name), err)
	}
	rows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: rowChunk}, memory.DefaultAllocator)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", s.path(name), err), r.Close())
	}
	return &opened{r, rows, at.size}, nil
}

// describe fills in what the file says of itself.
func (s *source) describe(o *opened) error {
	meta := o.MetaData()
	s.size, s.rows = o.size, o.NumRows()
	s.dropped = make(bitmap, (s.rows+63)/64)
	if mode := meta.KeyValueMetadata().FindValue(modeMark); mode != nil {
		s.mode = Mode(*mode)
	}
	as, err := o.rows.Schema()
	if err != nil {
		return err
	}
	s.fields = nil
	for i, f := range as.Fields() {
		if len(as.Fields()) == meta.NumColumns() && isJSON(meta.Schema.Column(i)) {
			f.Type = jsonType
		}
		if _, err := kindOf(f.Type); err != nil {
			s.foreign = fmt.Errorf("column %s: %w", f.Name, err)
			return nil
		}
		if len(as.FieldIndices(f.Name)) > 1 {
			s.foreign = fmt.Errorf("column %s is there twice", f.Name)
			return nil
		}
		s.fields = append(s.fields, arrow.Field{Name: f.Name, Type: f.Type, Nullable: true})
	}
	return nil
}

var jsonType, _ = extensions.NewJSONType(arrow.BinaryTypes.String) // of this storage there is one

func isJSON(c *schema.Column) bool {
	_, ok := c.LogicalType().(schema.JSONLogicalType)
	return ok
}

// batches yields rows in the order of the file, with the columns that are asked for, which all are there. It ends after an error.
func (s *source) batches(ctx context.Context, o *opened, columns []arrow.Field) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		err := s.read(ctx, o, columns, func(b arrow.RecordBatch) bool { return yield(b, nil) })
		if err != nil {
			yield(nil, err)
		}
	}
}

func (s *source) read(ctx context.Context, o *opened, columns []arrow.Field, yield func(arrow.RecordBatch) bool) error {
	if s.rows == 0 {
		return nil
	}
	var indices []int
	for _, c := range columns {
		for i, f := range s.fields {
			if f.Name == c.Name {
				indices = append(indices, i)
			}
		}
	}
	r, err := o.rows.GetRecordReader(ctx, indices, nil)
	if err != nil {
		return err
	}
	defer r.Release()
	want := arrow.NewSchema(columns, nil)
	for r.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		got := r.RecordBatch()
		parts := make([]arrow.Array, len(columns))
		for i, c := range columns {
			parts[i] = got.Column(got.Schema().FieldIndices(c.Name)[0])
			if arrow.TypeEqual(c.Type, jsonType) {
				parts[i] = asJSON(parts[i])
			}
		}
		if more := yield(array.NewRecordBatch(want, parts, got.NumRows())); !more {
			return nil
		}
	}
	if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// asJSON is a column of JSON, which is read as bytes, as the type that it is written as. It copies nothing.
func asJSON(a arrow.Array) arrow.Array {
	if _, ok := a.(array.ExtensionArray); ok {
		return a
	}
	d := a.Data()
	text := array.MakeFromData(array.NewData(arrow.BinaryTypes.String, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset()))
	return array.NewExtensionArrayWithStorage(jsonType, text)
}
