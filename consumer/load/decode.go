package load

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/arrow/util"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// Columns that the sink's Table names.
const (
	keyColumn     = "_id"
	versionColumn = "updated_at"
	offsetColumn  = "_kafka_offset"

	extractedColumn     = "_extracted_at"
	deletedColumn       = "_deleted_at"
	deletedOffsetColumn = "_deleted_offset"
)

var milli = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}

// systemColumns follow the data columns of every table, in the order in which system.append fills them.
var systemColumns = []arrow.Field{
	{Name: "_project_id", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: extractedColumn, Type: milli, Nullable: true},
	{Name: "_loaded_at", Type: milli, Nullable: true},
	{Name: "_load_id", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "_kafka_partition", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: offsetColumn, Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "_schema_id", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
	{Name: deletedColumn, Type: milli, Nullable: true},
	{Name: deletedOffsetColumn, Type: arrow.PrimitiveTypes.Int64, Nullable: true},
}

// layout is how records of one writer schema become rows of a table.
type layout struct {
	decoder *schemas.Decoder // nil where no schema is known: only tombstones fit
	table   sink.Table
	data    int             // columns before the system columns
	texts   map[int]float64 // what columns of text hold of a batch, in bytes for each byte of its records
}

func newLayout(table string, schemaID int, decoder *schemas.Decoder) *layout {
	version := versionOf(table)
	fields := []arrow.Field{{Name: keyColumn, Type: arrow.BinaryTypes.String, Nullable: true}}
	if version == versionColumn {
		fields = append(fields, arrow.Field{Name: versionColumn, Type: milli, Nullable: true})
	}
	if decoder != nil {
		fields = slices.Clone(decoder.Schema().Fields())
	}
	l := &layout{decoder: decoder, data: len(fields)}
	l.table = sink.Table{Name: table, Schema: arrow.NewSchema(append(fields, systemColumns...), nil), Key: keyColumn, Offset: offsetColumn,
		Deleted: deletedColumn, DeletedOffset: deletedOffsetColumn, SchemaID: schemaID}
	if i := l.table.Schema.FieldIndices(version); len(i) == 1 && l.table.Schema.Field(i[0]).Type.ID() == arrow.TIMESTAMP {
		l.table.Version = version
	}
	return l
}

// fits is a schemas.ErrUnsupportedSchema for columns that cannot stand beside the system columns, or without a key: somebody else
// writes to the topic. Names differ by more than case, since to most warehouses case is no difference.
func fits(s *arrow.Schema) error {
	key := s.FieldIndices(keyColumn)
	if len(key) != 1 || s.Field(key[0]).Type.ID() != arrow.STRING {
		return fmt.Errorf("%w: it has no text field %s to be the row's key", schemas.ErrUnsupportedSchema, keyColumn)
	}
	for _, f := range s.Fields() {
		if slices.ContainsFunc(systemColumns, func(own arrow.Field) bool { return strings.EqualFold(own.Name, f.Name) }) {
			return fmt.Errorf("%w: its field %s would be a column that Tilestream fills itself", schemas.ErrUnsupportedSchema, f.Name)
		}
	}
	return nil
}

// versionOf returns the column that orders the versions of a table's rows. A list that is read whole is what it is now: of two
// versions the one that was read last holds, whatever they say of themselves, and so a document that was deleted and comes
// back as it was is alive. Resources that are read by date hold what changed last.
func versionOf(table string) string {
	if rs, err := schemas.ByName(table); err == nil && rs[0].Walk == schemas.WholeList {
		return extractedColumn
	}
	return versionColumn
}

// loadOf is what the rows of one load have in common.
type loadOf struct {
	id string
	at time.Time
}

// rows decodes a batch. The caller releases the result, which lacks the dead: records that do not fit their schema.
func (l *layout) rows(ctx context.Context, b *batch, load loadOf) (_ arrow.RecordBatch, gone []dead, _ error) {
	rows := array.NewRecordBuilder(memory.DefaultAllocator, l.table.Schema)
	defer rows.Release()
	rows.Reserve(b.rows)
	for i, share := range l.texts { // else memory would be doubled, and copied, as they grow
		column := rows.Field(i)
		if e, ok := column.(*array.ExtensionBuilder); ok {
			column = e.StorageBuilder()
		}
		column.(*array.StringBuilder).ReserveData(int(share * float64(b.bytes)))
	}
	for _, p := range b.parts {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		for _, r := range p.rows {
			if err := l.row(rows, p, r, load); err != nil {
				gone = append(gone, dead{part: p, row: r, err: err})
			}
		}
	}
	out := rows.NewRecordBatch()
	l.learn(out, b)
	return out, gone, nil
}

// changed is the newest change of the documents in the rows; zero where the table has no column for it.
func (l *layout) changed(rows arrow.RecordBatch) time.Time {
	at := rows.Schema().FieldIndices(versionColumn)
	if l.table.Version != versionColumn || len(at) != 1 {
		return time.Time{}
	}
	newest := arrow.Timestamp(0)
	column := rows.Column(at[0]).(*array.Timestamp)
	for i, v := range column.Values() {
		if v > newest && column.IsValid(i) {
			newest = v
		}
	}
	if newest == 0 {
		return time.Time{}
	}
	return newest.ToTime(column.DataType().(*arrow.TimestampType).Unit)
}

// learn notes how long texts are, a little more than they are, for the next batch.
func (l *layout) learn(rows arrow.RecordBatch, b *batch) {
	l.texts = map[int]float64{}
	for i, c := range rows.Columns() {
		if e, ok := c.(array.ExtensionArray); ok {
			c = e.Storage()
		}
		if s, ok := c.(*array.String); ok && b.bytes > 0 {
			l.texts[i] = 1.02 * float64(len(s.ValueBytes())) / float64(b.bytes)
		}
	}
}

func (l *layout) row(rows *array.RecordBuilder, p *part, r row, load loadOf) error {
	schema, body, err := noSchema, []byte(nil), error(nil)
	if r.value == nil {
		l.tombstone(rows, r)
	} else if schema, body, err = schemas.SplitFrame(r.value); err != nil {
		return err
	} else if err = l.decoder.Append(rows, body); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	system := rows.Fields()[l.data:]
	text(system[0], r.project)
	system[1].(*array.TimestampBuilder).Append(arrow.Timestamp(r.time))
	system[2].(*array.TimestampBuilder).Append(arrow.Timestamp(load.at.UnixMilli()))
	text(system[3], load.id)
	system[4].(*array.Int32Builder).Append(p.ID)
	system[5].(*array.Int64Builder).Append(r.offset)
	if r.value == nil {
		system[6].AppendNull()
		system[7].(*array.TimestampBuilder).Append(arrow.Timestamp(r.time))
		system[8].(*array.Int64Builder).Append(r.offset)
	} else {
		system[6].(*array.Int32Builder).Append(int32(schema))
		system[7].AppendNull()
		system[8].AppendNull()
	}
	return nil
}

// tombstone fills the data columns of a deletion: the key alone. What it deletes keeps its values.
func (l *layout) tombstone(rows *array.RecordBuilder, r row) {
	for i := range l.data {
		if l.table.Schema.Field(i).Name == keyColumn {
			text(rows.Field(i), string(r.key))
		} else {
			rows.Field(i).AppendNull()
		}
	}
}

// text appends a string; "" is null.
func text(b array.Builder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(s)
}

// arrowSize estimates what the rows of a batch take, before they are built; sizeOf measures it after. Strings are as long as in
// Avro, while short numbers and nulls grow to the width of their column.
func (l *layout) arrowSize(b *batch) int64 {
	return b.bytes + int64(b.rows)*int64(l.table.Schema.NumFields())*8
}

func sizeOf(rows arrow.RecordBatch) int64 { return util.TotalRecordSize(rows) }
