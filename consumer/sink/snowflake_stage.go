package sink

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	sf "github.com/snowflakedb/gosnowflake"
)

// snowflakeStage is the stage of the schema in which a batch waits; PURGE removes the file once it is copied.
const snowflakeStage = "_tilestream_stage"

// stage puts the rows into the schema's stage as one Parquet file and copies it into a table, which costs nothing once it is dropped.
// Times go as milliseconds: what becomes of Parquet's own depends on settings of the account.
func (f *snowflake) stage(ctx context.Context, conn *sql.Conn, name string, rows arrow.RecordBatch) (string, func(context.Context) error, error) {
	d := snowflakeDialect
	plain, selected, columns := snowflakeColumns(rows)
	defer plain.Release()
	var file bytes.Buffer
	plain.Retain()
	if err := writeParquet(ctx, &file, plain.Schema(), slices.Values([]arrow.RecordBatch{plain})); err != nil {
		return "", nil, err
	}
	at, table := "@"+d.table(f.schema, snowflakeStage), d.table(f.schema, name)
	put := sf.WithFileStream(ctx, &file)
	if _, err := conn.ExecContext(put, "PUT 'file:///"+name+".parquet' "+at+" AUTO_COMPRESS = FALSE SOURCE_COMPRESSION = NONE OVERWRITE = TRUE"); err != nil {
		return "", nil, fmt.Errorf("put the batch into %s: %w", at, err)
	}
	if _, err := conn.ExecContext(ctx, "CREATE TRANSIENT TABLE "+table+" ("+strings.Join(columns, ", ")+")"); err != nil {
		return "", nil, err
	}
	drop := func(ctx context.Context) error {
		_, err := conn.ExecContext(ctx, "DROP TABLE IF EXISTS "+table)
		return err
	}
	if _, err := conn.ExecContext(ctx, "COPY INTO "+table+" FROM "+at+"/"+name+".parquet FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE PURGE = TRUE"); err != nil {
		return "", drop, fmt.Errorf("copy the batch out of %s: %w", at, err)
	}
	return "(SELECT " + strings.Join(selected, ", ") + " FROM " + table + ") AS stage", drop, nil
}

// snowflakeColumns are the rows with their times as numbers, what makes them rows again, and their columns in DDL.
func snowflakeColumns(rows arrow.RecordBatch) (plain arrow.RecordBatch, selected, columns []string) {
	var fields []arrow.Field
	var values []arrow.Array
	for i, c := range rows.Columns() {
		name := fmt.Sprint("c", i)
		from := name
		k, _ := kindOf(c.DataType()) // fit has made it of one
		if k == kindTimestamp {
			data := array.NewData(arrow.PrimitiveTypes.Int64, c.Len(), c.Data().Buffers(), nil, c.NullN(), c.Data().Offset())
			c, k = array.NewInt64Data(data), kindInt64
			data.Release()
			defer c.Release()
			from = "TO_TIMESTAMP_TZ(" + name + ", 3) AS " + name
		}
		fields = append(fields, arrow.Field{Name: name, Type: c.DataType(), Nullable: true})
		values = append(values, c)
		selected = append(selected, from)
		columns = append(columns, name+" "+snowflakeDialect.types[k])
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), values, rows.NumRows()), selected, columns
}

// setup makes the stage, and drops the tables that crashes have left behind in it: those of a day ago are at work no more.
func (f *snowflake) setup(ctx context.Context, db *sql.DB) error {
	d := snowflakeDialect
	if _, err := db.ExecContext(ctx, "CREATE STAGE IF NOT EXISTS "+d.table(f.schema, snowflakeStage)); err != nil {
		return fmt.Errorf("create the stage: %w", err)
	}
	rows, err := db.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = "+d.literal(f.schema))
	if err != nil {
		return err
	}
	defer rows.Close()
	var old []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if at, ok := stageMade(name); ok && time.Since(at) > 24*time.Hour {
			old = append(old, name)
		}
	}
	for _, name := range old {
		if _, err := db.ExecContext(ctx, "DROP TABLE IF EXISTS "+d.quoted(f.schema)+"."+d.quoted(name)); err != nil {
			return err
		}
	}
	return rows.Err()
}
