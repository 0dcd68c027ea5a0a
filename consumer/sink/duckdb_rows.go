//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/duckdb/duckdb-go/v2"
)

// rowsFunction is the table function through which DuckDB reads Arrow columns; its argument is a number from show. (The
// driver's own view of Arrow needs the build tag duckdb_arrow, which a plain go build does not set.)
const rowsFunction = "_tilestream_rows"

var (
	shownRows sync.Map // number -> *duckRows
	lastShown atomic.Int64
)

func registerRows(db *sql.DB) error {
	c, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer c.Close()
	number, err := duckdb.NewTypeInfo(duckdb.TYPE_BIGINT)
	if err != nil {
		return err
	}
	return duckdb.RegisterTableUDF(c, rowsFunction, duckdb.ChunkTableFunction{
		Config: duckdb.TableFunctionConfig{Arguments: []duckdb.TypeInfo{number}},
		BindArguments: func(_ map[string]any, args ...any) (duckdb.ChunkTableSource, error) {
			src, ok := shownRows.Load(args[0])
			if !ok {
				return nil, errors.New("the rows are gone")
			}
			return &duckRows{columns: src.(*duckRows).columns, rows: src.(*duckRows).rows}, nil
		},
	})
}

// duckRows hands out rows of Arrow columns, a chunk at a time.
type duckRows struct {
	columns []duckColumn
	rows    []int // what is left
	same    bool  // as of its columns
}

func (r *duckRows) show() int64 {
	id := lastShown.Add(1)
	shownRows.Store(id, r)
	return id
}

func (r *duckRows) ColumnInfos() []duckdb.ColumnInfo {
	infos := make([]duckdb.ColumnInfo, len(r.columns))
	for i, c := range r.columns {
		infos[i] = c.info
	}
	return infos
}

func (r *duckRows) Cardinality() *duckdb.CardinalityInfo {
	return &duckdb.CardinalityInfo{Cardinality: uint(len(r.rows)), Exact: true}
}

func (r *duckRows) Init() {}

func (r *duckRows) FillChunk(chunk duckdb.DataChunk) error {
	n := min(len(r.rows), duckdb.GetDataChunkCapacity())
	for i, c := range r.columns {
		if err := c.fill(chunk, i, r.rows[:n]); err != nil {
			return err
		}
	}
	r.rows = r.rows[n:]
	return chunk.SetSize(n)
}

type duckColumn struct {
	name   string            // the table's
	info   duckdb.ColumnInfo // named as in the source
	values arrow.Array       // as fit returns them
	same   bool              // in all rows
}

// newDuckColumn checks the values of the rows: DuckDB's own answer to text that is not UTF-8 is null, and to a time that
// it cannot hold another one.
func newDuckColumn(number int, name string, a arrow.Array, rows []int) (duckColumn, error) {
	c := duckColumn{name: name, info: duckdb.ColumnInfo{Name: fmt.Sprint("c", number)}, values: a}
	var typ duckdb.Type
	check := func(int) error { return nil }
	switch a := a.(type) {
	case *array.String:
		typ = duckdb.TYPE_VARCHAR
		c.same = allSame(rows, a, a.Value)
		check = func(i int) error {
			if !utf8.ValidString(a.Value(i)) {
				return errors.New("the text is not UTF-8")
			}
			return nil
		}
	case *array.Timestamp:
		typ = duckdb.TYPE_TIMESTAMP_TZ
		c.same = allSame(rows, a, a.Value)
		check = func(i int) error {
			if ms := int64(a.Value(i)); ms < duckFirst || ms > duckLast {
				return fmt.Errorf("the time is outside of what DuckDB holds, 290309 BC to 294247 AD: %d ms since 1970", ms)
			}
			return nil
		}
	case *array.Int64:
		typ = duckdb.TYPE_BIGINT
		c.same = allSame(rows, a, a.Value)
	case *array.Int32:
		typ = duckdb.TYPE_INTEGER
		c.same = allSame(rows, a, a.Value)
	case *array.Float64:
		typ = duckdb.TYPE_DOUBLE
		c.same = allSame(rows, a, func(i int) uint64 { return math.Float64bits(a.Value(i)) })
	case *array.Boolean:
		typ = duckdb.TYPE_BOOLEAN
		c.same = allSame(rows, a, a.Value)
	default:
		return duckColumn{}, fmt.Errorf("column %s: no DuckDB form of %s", name, a.DataType())
	}
	if c.same {
		rows = rows[:min(1, len(rows))]
	}
	for _, i := range rows {
		if a.IsNull(i) {
			continue
		}
		if err := check(i); err != nil {
			return duckColumn{}, &RejectedError{Column: name, Err: err}
		}
	}
	var err error
	c.info.T, err = duckdb.NewTypeInfo(typ)
	return c, err
}

// allSame tells whether rows of a column have one value, or none at all.
func allSame[T comparable](rows []int, a arrow.Array, value func(int) T) bool {
	if len(rows) == 0 {
		return true
	}
	first := rows[0]
	if a.IsNull(first) {
		return !slices.ContainsFunc(rows, a.IsValid)
	}
	want := value(first)
	return !slices.ContainsFunc(rows, func(i int) bool { return a.IsNull(i) || value(i) != want })
}

// Timestamps of DuckDB are microseconds since 1970, in 64 bits (docs, "Timestamp Types"); here in milliseconds.
const (
	duckFirst = -9_223_372_022_400_000
	duckLast  = 9_223_372_036_854_774
)

func (c duckColumn) fill(chunk duckdb.DataChunk, column int, rows []int) (err error) {
	switch a := c.values.(type) {
	case *array.String:
		err = fillWith(chunk, column, rows, a, a.Value)
	case *array.Int64:
		err = fillWith(chunk, column, rows, a, a.Value)
	case *array.Int32:
		err = fillWith(chunk, column, rows, a, a.Value)
	case *array.Float64:
		err = fillWith(chunk, column, rows, a, a.Value)
	case *array.Boolean:
		err = fillWith(chunk, column, rows, a, a.Value)
	case *array.Timestamp:
		err = fillWith(chunk, column, rows, a, func(i int) time.Time { return time.UnixMilli(int64(a.Value(i))).UTC() })
	}
	return err
}

func fillWith[T any](chunk duckdb.DataChunk, column int, rows []int, a arrow.Array, value func(int) T) error {
	for to, from := range rows {
		var err error
		if a.IsNull(from) {
			err = chunk.SetValue(column, to, nil)
		} else {
			err = duckdb.SetChunkValue(chunk, column, to, value(from))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// size is about how many bytes a value takes in DuckDB.
func (c duckColumn) size(row int) int {
	if a, ok := c.values.(*array.String); ok {
		return 16 + a.ValueLen(row)
	}
	return 8
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
