package sink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
)

// crashStaged loses each statement of Write and of Prepare in turn, once before it is sent and once after it was executed, with the
// connection. After each loss the warehouse is opened anew, and is asked and written as the consumer does it. Rows and ledger have to
// agree each time, nothing may be there twice, and nothing may be lost. open opens the dataset of a name: first an empty one, and then
// the same one again.
func crashStaged(t *testing.T, open func(t testing.TB, name string) *staged) {
	for _, c := range []crashCase{
		{name: "upsert"},
		{name: "hard", hard: true, again: true},
		{name: "append", mode: Append, again: true},
		{name: "history", mode: History},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.open = func(t testing.TB) *staged { return open(t, c.name) }
			c.writes(t)
		})
	}
	t.Run("prepare", func(t *testing.T) {
		t.Parallel()
		crashPrepare(t, func(t testing.TB) *staged { return open(t, "prepare") })
	})
}

type crashCase struct {
	name        string
	mode        Mode
	hard, again bool
	open        func(t testing.TB) *staged
}

func (c crashCase) writes(t *testing.T) {
	table := crashingTable("crash_" + c.name)
	table.Mode, table.HardDelete = c.mode, c.hard
	s := c.open(t)
	if err := errors.Join(s.Prepare(t.Context(), table), s.Close()); err != nil {
		t.Fatal(err)
	}
	var next int64
	batches, lost, undone := 0, 0, 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			b := c.batch(table, next)
			s := c.open(t)
			cut := sever(s, at, after)
			_, written := s.Write(t.Context(), b)
			_ = s.Close() // its connections may be broken
			s = c.open(t)
			held := c.next(t, s, b)
			switch {
			case held != next && held != next+crashRows, written == nil && held == next:
				t.Fatalf("%s: the ledger is at %d after a batch from %d: Write: %v", cut, held, next, written)
			case held == next:
				undone++
				if s.raise == "" { // else rows may be ahead of the ledger
					c.wantRows(t, s, cut, table, next, batches)
				}
				if _, err := s.Write(t.Context(), b); err != nil {
					t.Fatalf("%s: written again: %v", cut, err)
				}
			}
			next += crashRows
			batches++
			c.wantRows(t, s, cut, table, next, batches)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if cut.words == "" {
				break // the write has no more statements
			}
			lost++
		}
	}
	t.Logf("%d statements lost, %d of them with the batch, which was written again", lost, undone)
	if lost < 8 || undone == 0 || undone >= lost { // a COMMIT of which nobody heard keeps its batch
		t.Errorf("%d statements lost, %d of them with the batch: want some of each kind", lost, undone)
	}
}

const crashRows = 4 // of each partition in a batch, which so has documents and a deletion

func (c crashCase) partitions() []Partition {
	return []Partition{{"cluster", "group", c.name, 0}, {"cluster", "group", c.name, 1}}
}

// next is where the ledger stands, of which all partitions have to be at one place.
func (c crashCase) next(t *testing.T, s *staged, b Batch) int64 {
	t.Helper()
	held, err := s.Next(t.Context(), partitions(b.Ranges))
	if err != nil {
		t.Fatal(err)
	}
	if held[b.Ranges[0].Partition] != held[b.Ranges[1].Partition] {
		t.Fatalf("half of a batch is in the ledger: %v", held)
	}
	return held[b.Ranges[0].Partition]
}

// crashRecord is what offset n of a partition holds: of three keys one document after the other, each fourth a deletion.
type crashRecord struct {
	key, text string
	offset    int64
	gone      bool
}

func crashRecordAt(partition int32, offset int64) crashRecord {
	return crashRecord{fmt.Sprintf("%d-%d", partition, offset%3), fmt.Sprint("text ", offset), offset, offset%4 == 3}
}

func (c crashCase) batch(table Table, from int64) Batch {
	b := Batch{ID: fmt.Sprint("load ", from), Table: table, Again: c.again}
	rows := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema)
	defer rows.Release()
	for _, p := range c.partitions() {
		b.Ranges = append(b.Ranges, Range{p, from, from + crashRows})
		for offset := from; offset < from+crashRows; offset++ {
			r, at := crashRecordAt(p.ID, offset), arrow.Timestamp(1_800_000_000_000+1000*offset)
			rows.Field(0).(*array.StringBuilder).Append(r.key)
			rows.Field(3).(*array.Int64Builder).Append(r.offset)
			if r.gone {
				rows.Field(1).AppendNull()
				rows.Field(2).AppendNull()
				rows.Field(4).(*array.TimestampBuilder).Append(at)
				rows.Field(5).(*array.Int64Builder).Append(r.offset)
			} else {
				rows.Field(1).(*array.StringBuilder).Append(r.text)
				rows.Field(2).(*array.TimestampBuilder).Append(at)
				rows.Field(4).AppendNull()
				rows.Field(5).AppendNull()
			}
		}
	}
	b.Rows = rows.NewRecordBatch()
	return b
}

func crashingTable(name string) Table {
	f := func(name string, typ arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: typ, Nullable: name != "_id"}
	}
	return Table{Name: name, Key: "_id", Version: "updated_at", Offset: "_kafka_offset", Deleted: "_deleted_at", DeletedOffset: "_deleted_offset", Schema: arrow.NewSchema([]arrow.Field{
		f("_id", arrow.BinaryTypes.String), f("text", arrow.BinaryTypes.String), f("updated_at", validAt), f("_kafka_offset", arrow.PrimitiveTypes.Int64),
		f("_deleted_at", validAt), f("_deleted_offset", arrow.PrimitiveTypes.Int64)}, nil)}
}

// wantRows wants the table to be what the records below next make of it, and a line for each load.
func (c crashCase) wantRows(t *testing.T, s *staged, cut *severed, table Table, next int64, batches int) {
	t.Helper()
	line := func(key, text string, gone int64) string { return fmt.Sprintf("%s %q %d", key, text, gone) }
	var want []string
	newest := map[string]string{}
	for _, p := range c.partitions() {
		texts := map[string]string{}
		for offset := range next {
			r := crashRecordAt(p.ID, offset)
			switch {
			case c.mode != Upsert && r.gone:
				want = append(want, line(r.key, "", r.offset))
			case c.mode != Upsert:
				want = append(want, line(r.key, r.text, -1))
			case r.gone && c.hard:
				delete(newest, r.key)
			case r.gone:
				newest[r.key] = line(r.key, texts[r.key], r.offset)
			default:
				texts[r.key] = r.text
				newest[r.key] = line(r.key, r.text, -1)
			}
		}
	}
	for _, row := range newest {
		want = append(want, row)
	}
	columns := fmt.Sprintf("%s, COALESCE(%s, ''), COALESCE(%s, -1)", s.quote("_id"), s.quote("text"), s.quote("_deleted_offset"))
	rows, err := s.db.QueryContext(t.Context(), "SELECT "+columns+" FROM "+s.table(s.dataset, table.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var key, text string
		var gone int64
		if err := rows.Scan(&key, &text, &gone); err != nil {
			t.Fatal(err)
		}
		got = append(got, line(key, text, gone))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); rows.Err() != nil || diff != "" {
		t.Fatalf("%s: %v: rows differ (-want +got):\n%s", cut, rows.Err(), diff)
	}
	if c.mode == History {
		if open := crashCount(t, s, table.Name, s.quote(validTo)+" IS NULL"); open != min(2*int(next), 6) {
			t.Fatalf("%s: %d versions hold still, want one of each of %d keys", cut, open, min(2*next, 6))
		}
	}
	// What commits each statement on its own can lose the line.
	if loads := crashCount(t, s, loadsTable, "table_name = "+s.literal(table.Name)); loads > batches || loads < batches && s.raise == "" {
		t.Fatalf("%s: %d loads, want %d", cut, loads, batches)
	}
}

func crashCount(t *testing.T, s *staged, table, where string) (n int) {
	t.Helper()
	if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+s.table(s.dataset, table)+" WHERE "+where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// crashPrepare loses each statement that makes a table, and each that adds a column to it and widens another.
func crashPrepare(t *testing.T, open func(t testing.TB) *staged) {
	lost := 0
	for _, after := range []bool{false, true} {
		for at, more := 1, true; more; at++ {
			fresh, wide := crashingTable(fmt.Sprintf("crash_prepare_%d_%v", at, after)), crashingTable("")
			wide.Name = fresh.Name
			fields := wide.Schema.Fields()
			json, _ := extensions.NewJSONType(arrow.BinaryTypes.String)
			fresh.Schema = arrow.NewSchema(append(slices.Clone(fields), arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true}), nil)
			wide.Schema = arrow.NewSchema(append(slices.Clone(fields), arrow.Field{Name: "n", Type: arrow.BinaryTypes.String, Nullable: true}, arrow.Field{Name: "doc", Type: json, Nullable: true}), nil)
			more = false
			for _, table := range []Table{fresh, wide} {
				s := open(t)
				cut := sever(s, at, after)
				prepared := s.Prepare(t.Context(), table)
				_ = s.Close() // its connections may be broken
				if cut.words == "" && prepared != nil {
					t.Fatal(prepared)
				}
				s = open(t)
				if err := s.Prepare(t.Context(), table); err != nil {
					t.Fatalf("%s: prepared again: %v", cut, err)
				}
				if table.Name == fresh.Name && table.Schema == fresh.Schema {
					crashOne(t, s, fresh)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if cut.words != "" {
					lost, more = lost+1, true
				}
			}
			s := open(t)
			var n string
			conn, err := s.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			have, err := s.columnsOf(t.Context(), conn, s.dataset, wide.Name)
			if err := errors.Join(err, conn.Close()); err != nil || len(have) != len(wide.Schema.Fields()) {
				t.Errorf("columns %v, %v, want those of the wide table", have, err)
			}
			if err := s.db.QueryRowContext(t.Context(), "SELECT "+s.quote("n")+" FROM "+s.table(s.dataset, wide.Name)).Scan(&n); err != nil || n != "7" {
				t.Errorf("the value of the widened column is %q, %v, want 7", n, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("%d statements lost", lost)
}

// crashOne writes one row, in which n is 7.
func crashOne(t *testing.T, s *staged, table Table) {
	t.Helper()
	rows := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema)
	defer rows.Release()
	for _, b := range rows.Fields() {
		switch b := b.(type) {
		case *array.StringBuilder:
			b.Append("a")
		case *array.Int32Builder:
			b.Append(7)
		default:
			b.AppendNull()
		}
	}
	if _, err := s.Write(t.Context(), Batch{ID: "load", Table: table, Rows: rows.NewRecordBatch(), Ranges: []Range{{Partition{"cluster", "group", table.Name, 0}, 0, 1}}}); err != nil {
		t.Fatal(err)
	}
}

// severed carries statements to a warehouse. One of them it loses, and with it the connection.
type severed struct {
	to    *sql.DB
	at    int  // which one, from 1
	after bool // its reply is lost; else it is not sent

	mu    sync.Mutex
	seen  int
	words string // of the statement that was lost
}

var errSevered = errors.New("the connection is lost")

// sever puts it between a sink and its warehouse.
func sever(s *staged, at int, after bool) *severed {
	c := &severed{to: s.db, at: at, after: after}
	ends := s.engine.close
	s.db = sql.OpenDB(c)
	s.engine.close = func() error {
		err := c.to.Close()
		if ends != nil {
			err = errors.Join(err, ends())
		}
		return err
	}
	return c
}

func (c *severed) String() string {
	when := "not sent"
	if c.after {
		when = "its reply lost"
	}
	return fmt.Sprintf("statement %d %s (%.60q)", c.at, when, c.words)
}

func (c *severed) loses(statement string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen++; c.seen == c.at {
		c.words = statement
	}
	return c.seen == c.at
}

func (c *severed) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.to.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &severedConn{severed: c, conn: conn}, nil
}

func (c *severed) Driver() driver.Driver { return c.to.Driver() }

type severedConn struct {
	*severed
	conn *sql.Conn
	dead bool
}

// carry does what a statement asks, unless it is the one that is lost.
func (c *severedConn) carry(statement string, do func(lost bool) error) error {
	if c.dead {
		return driver.ErrBadConn
	}
	if !c.loses(statement) {
		return do(false)
	}
	if c.after {
		_ = do(true) // nobody hears of it
	}
	c.dead = true
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn }) // which ends the connection
	return errSevered
}

func (c *severedConn) ExecContext(ctx context.Context, statement string, _ []driver.NamedValue) (done driver.Result, err error) {
	err = c.carry(statement, func(bool) error { done, err = c.conn.ExecContext(ctx, statement); return err })
	return done, err
}

func (c *severedConn) QueryContext(ctx context.Context, statement string, _ []driver.NamedValue) (driver.Rows, error) {
	var rows *sql.Rows
	err := c.carry(statement, func(lost bool) (err error) {
		if rows, err = c.conn.QueryContext(ctx, statement); err == nil && lost {
			err = rows.Close()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return severedRows{rows}, nil
}

func (c *severedConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c *severedConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (c *severedConn) IsValid() bool                       { return !c.dead }
func (c *severedConn) Close() error {
	if err := c.conn.Close(); !errors.Is(err, sql.ErrConnDone) && !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return nil
}

type severedRows struct{ *sql.Rows }

func (r severedRows) Columns() []string { names, _ := r.Rows.Columns(); return names }

func (r severedRows) Next(into []driver.Value) error {
	if !r.Rows.Next() {
		if err := r.Rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	values := make([]any, len(into))
	for i := range values {
		values[i] = &into[i]
	}
	return r.Rows.Scan(values...)
}
