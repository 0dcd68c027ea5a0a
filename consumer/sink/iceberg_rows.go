package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// icebergRows are the rows with the types of the table's columns.
func icebergRows(t *table.Table, rows arrow.RecordBatch) (arrow.RecordBatch, error) {
	have := fieldsOf(t)
	var fields []iceberg.NestedField
	var columns []arrow.Array
	for i, f := range rows.Schema().Fields() {
		field, ok := have[icebergNames.name(f.Name)]
		if !ok {
			return nil, fmt.Errorf("the table has no column %s: it was not prepared for this schema", f.Name)
		}
		to, ok := icebergKind(field)
		if !ok {
			return nil, fmt.Errorf("column %s of the table has type %s, which somebody else made", f.Name, field.Type)
		}
		a, err := fit(f.Name, rows.Column(i), to)
		if err != nil {
			return nil, err
		}
		if to == kindTimestamp {
			a = inMicroseconds(a.(*array.Timestamp))
		}
		fields = append(fields, field)
		columns = append(columns, a)
	}
	schema, err := arrowSchema(fields)
	if err != nil {
		return nil, err
	}
	return array.NewRecordBatch(schema, columns, rows.NumRows()), nil
}

func inMicroseconds(a *array.Timestamp) arrow.Array {
	return scaled(a, arrow.Microsecond, func(v int64) int64 { return v * 1000 })
}

func scaled(a *array.Timestamp, unit arrow.TimeUnit, by func(int64) int64) arrow.Array {
	b := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: unit, TimeZone: "UTC"})
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
		} else {
			b.Append(arrow.Timestamp(by(int64(a.Value(i)))))
		}
	}
	return b.NewArray()
}

// rewrite gives columns another type, by which they become other columns of the same names, and writes all rows of the table anew with
// it: one snapshot replaces every file. The rows go through memory a piece at a time. It returns a conflict where somebody else has
// committed meanwhile.
func (s *icebergSink) rewrite(ctx context.Context, t *table.Table, e evolution, schemaID int) (conflict bool, err error) {
	ledger, err := ledgerOf(t)
	if err != nil {
		return false, err
	}
	tasks, err := t.Scan().PlanFiles(ctx)
	if err != nil {
		return false, err
	}
	var old []iceberg.DataFile
	for _, task := range tasks {
		if len(task.DeleteFiles)+len(task.EqualityDeleteFiles)+len(task.DeletionVectorFiles) > 0 {
			return false, fmt.Errorf("columns %s have to be written anew as wider types, but another engine has deleted rows of the table without writing its files anew: have that engine rewrite the data files, then start the consumer again",
				strings.Join(sortedKinds(e.replaced), ", "))
		}
		old = append(old, task.File)
	}
	var fresh []iceberg.DataFile
	conflict, err = commitIceberg(ctx, s.cat, t, ledger, nil, func(tx *table.Transaction, about iceberg.Properties) error {
		change := tx.UpdateSchema(true, false)
		for name := range e.replaced {
			change.DeleteColumn([]string{name})
		}
		for name, k := range e.replaced {
			change.AddColumn([]string{name}, icebergTypes[k], docOf(k), false, nil)
		}
		if err := e.apply(tx, change, schemaID); err != nil {
			return err
		}
		if len(old) == 0 {
			return tx.AddFiles(ctx, nil, about, false)
		}
		staged, err := tx.StagedTable()
		if err != nil {
			return err
		}
		if fresh, err = s.converted(ctx, t, staged.Table, tasks); err != nil {
			return err
		}
		return tx.ReplaceDataFilesWithDataFiles(ctx, old, fresh, about, table.WithoutAutoNameMapping(), table.WithoutDuplicateCheck())
	})
	if conflict || err != nil && !errors.Is(err, errUnsure) {
		after, cancel := afterwards(ctx)
		defer cancel()
		err = errors.Join(err, removeDataFiles(after, t, fresh))
	}
	return conflict, err
}

// converted writes the rows of the files as files of another schema of the table.
func (s *icebergSink) converted(ctx context.Context, from, to *table.Table, tasks []table.FileScanTask) ([]iceberg.DataFile, error) {
	_, rows, err := from.Scan().ReadTasks(ctx, tasks)
	if err != nil {
		return nil, err
	}
	was, is := fieldsOf(from), fieldsOf(to)
	var fields []iceberg.NestedField
	for _, f := range from.Schema().Fields() {
		fields = append(fields, is[f.Name])
	}
	schema, err := arrowSchema(fields)
	if err != nil {
		return nil, err
	}
	return writeDataFiles(ctx, to, schema, func(yield func(arrow.RecordBatch, error) bool) {
		for r, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			columns := make([]arrow.Array, len(fields))
			for i, f := range fields {
				if columns[i], err = convert(r.Column(r.Schema().FieldIndices(f.Name)[0]), was[f.Name], f); err != nil {
					yield(nil, err)
					return
				}
			}
			if !yield(array.NewRecordBatch(schema, columns, r.NumRows()), nil) {
				return
			}
		}
	})
}

// convert is values of a column of the table as those of a wider one.
func convert(a arrow.Array, was, is iceberg.NestedField) (arrow.Array, error) {
	if was.ID == is.ID && was.Type.Equals(is.Type) {
		return a, nil
	}
	if at, ok := a.(*array.Timestamp); ok {
		a = scaled(at, arrow.Millisecond, func(v int64) int64 { return v / 1000 }) // as all that we have written
	}
	to, _ := icebergKind(is)
	return fit(was.Name, a, to)
}
