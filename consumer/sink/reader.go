package sink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tilestream/internal/ops"
)

// readers maps the scheme of a warehouse's URL to what opens it for reading; each has its line in destinations too.
var readers = map[string]func(ctx context.Context, u *url.URL, dataset string) (*Reader, error){
	"azblob":       readBucket,
	"bigquery":     readBigQuery,
	"databricks":   readDatabricks,
	"duckdb":       readDuckDB,
	"file":         readFiles,
	"gs":           readBucket,
	"iceberg+file": readIceberg,
	"iceberg+s3":   readIceberg,
	"postgres":     readPostgres,
	"postgresql":   readPostgres,
	"redshift":     readRedshift,
	"s3":           readBucket,
	"snowflake":    readSnowflake,
}

// Reader reads a warehouse that Open writes. It changes nothing: the engine itself refuses to.
type Reader struct {
	db      *sql.DB
	dialect *dialect
	how     reading
	dataset string // as the warehouse knows it, not quoted
	close   func() error
}

// reading is what tells one warehouse from another for a reader, beside its dialect.
type reading struct {
	begin string // starts a transaction that reads one state of the warehouse, and cannot write; "": there is none

	// from is the source of a table's rows, or of all versions where the Table is only a name; "" where there is none. Nil: the
	// table of that name in the dataset.
	from func(ctx context.Context, v *View, t Table) (string, error)
	// pages returns conditions that cut a table into parts; nil: the driver streams a result of any size.
	pages func(ctx context.Context, v *View, t Table, from string) ([]string, error)
	// ledger and loads read what is not kept in tables; nil: the system tables.
	ledger func(ctx context.Context) (map[Partition]int64, error)
	loads  func(ctx context.Context, table string, n int) iter.Seq2[Load, error]
	// single is an error for a text that is not one statement; nil: the warehouse takes no questions.
	single func(ctx context.Context, conn *sql.Conn, statement string) error
	// hazards is a query for those of a list of names, as literals, that are functions which no question may call.
	hazards string
	// settle waits until all that is committed can be seen; nil: it always can.
	settle func(ctx context.Context) error
}

// OpenReader opens the warehouse that the URL names for reading; nothing is created. A URL that cannot be used, and a
// build that cannot read this kind, are an *ops.UsageError. No error holds the URL's password.
//
// A DuckDB file that another process has open cannot be read beside it: the error is a *HeldError. One that this
// process has open for writing is shared.
func OpenReader(ctx context.Context, rawURL, dataset string) (*Reader, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	open, ok := readers[u.Scheme]
	if !ok {
		return nil, ops.Usagef("WAREHOUSE_URL=%s: no reader for this kind of warehouse: it takes %s", Redacted(rawURL), schemes())
	}
	if dataset == "" {
		return nil, ops.Usagef("WAREHOUSE_DATASET is empty: it takes the name of a schema, such as tiledesk")
	}
	r, err := open(ctx, u, dataset)
	if err != nil {
		return nil, fmt.Errorf("read warehouse %s: %w", Redacted(rawURL), err)
	}
	return r, nil
}

// HeldError reports a DuckDB file that another process has open for writing: the running consumer, mostly.
type HeldError struct{ Holder, Path string }

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s has %s open, and DuckDB lets nobody in beside a writer: stop it and try again, or read a copy of the file", e.Holder, e.Path)
}

// Close releases connections and files.
func (r *Reader) Close() error { return r.close() }

// View is one look at a warehouse: PostgreSQL and DuckDB show the state at its first question until it is closed. Files
// show what is there at each question. It is for one goroutine, one question at a time.
type View struct {
	*Reader
	conn *sql.Conn
}

// View begins a look at the warehouse. A long one costs PostgreSQL what any long transaction does: dead rows stay.
func (r *Reader) View(ctx context.Context) (*View, error) {
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the warehouse: %w", err)
	}
	if r.how.begin == "" {
		return &View{r, conn}, nil
	}
	if _, err := conn.ExecContext(ctx, r.how.begin); err != nil {
		return nil, errors.Join(fmt.Errorf("read the warehouse: %w", err), conn.Close())
	}
	return &View{r, conn}, nil
}

// Close ends the look.
func (v *View) Close() error {
	if v.how.begin == "" {
		return v.conn.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := v.conn.ExecContext(ctx, `ROLLBACK`)
	if err != nil && !errors.Is(err, sql.ErrConnDone) { // such a connection is of no use to the next one
		_ = v.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	if err := v.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil // given up before, as where a question was cut short
}

// Ledger returns every entry: for each partition the first offset that the warehouse does not hold.
func (v *View) Ledger(ctx context.Context) (map[Partition]int64, error) {
	if v.how.ledger != nil {
		return v.how.ledger(ctx)
	}
	ledger := map[Partition]int64{}
	if ok, err := v.exists(ctx, ledgerTable); err != nil || !ok {
		return ledger, err
	}
	if err := v.checkFormat(ctx); err != nil {
		return nil, err
	}
	rows, err := v.conn.QueryContext(ctx, `SELECT cluster, consumer_group, topic, `+v.dialect.quote("partition")+`, next_offset FROM `+v.table(ledgerTable))
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p Partition
		var next int64
		if err := rows.Scan(&p.Cluster, &p.Group, &p.Topic, &p.ID, &next); err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		ledger[p] = next
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return ledger, nil
}

// Settle waits until rows show all that the ledger covers. In files a load is committed a moment before it is visible; what a
// crash has left so is finished by the next consumer that starts, and is an error here after a few seconds.
func (v *View) Settle(ctx context.Context) error {
	if v.how.settle == nil {
		return nil
	}
	return v.how.settle(ctx)
}

// Now returns the time by the warehouse's clock.
func (v *View) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := v.conn.QueryRowContext(ctx, `SELECT CURRENT_TIMESTAMP`).Scan(&now); err != nil {
		return time.Time{}, fmt.Errorf("ask the warehouse for the time: %w", err)
	}
	return now.UTC(), nil
}

// Load is a row of _tilestream_loads: a batch that was written.
type Load struct {
	ID, Table string
	Ranges    []Range
	Rows      int64
	Stats
	Bytes int64 // as Kafka held the records
	Began time.Time
	Took  time.Duration
}

// Loads yields the newest n loads of a table, newest first; n of 0 is all of them. An empty name is every table.
// It ends after an error.
func (v *View) Loads(ctx context.Context, table string, n int) iter.Seq2[Load, error] {
	if v.how.loads != nil {
		return v.how.loads(ctx, table, n)
	}
	return func(yield func(Load, error) bool) {
		if err := v.loads(ctx, table, n, yield); err != nil {
			yield(Load{}, fmt.Errorf("read %s: %w", loadsTable, err))
		}
	}
}

func (v *View) loads(ctx context.Context, table string, n int, yield func(Load, error) bool) error {
	if ok, err := v.exists(ctx, loadsTable); err != nil || !ok {
		return err
	}
	query := `SELECT load_id, table_name, ` + v.dialect.quote("rows") + `, inserted, updated, unchanged, bytes, ` + v.dialect.text("ranges", kindText) + `, started_at, finished_at FROM ` + v.table(loadsTable)
	if table != "" {
		query += ` WHERE table_name = ` + v.dialect.literal(table)
	}
	query += ` ORDER BY finished_at DESC, load_id DESC`
	if n > 0 {
		query += ` LIMIT ` + strconv.Itoa(n)
	}
	rows, err := v.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var l Load
		var ranges string
		var ended time.Time
		if err := rows.Scan(&l.ID, &l.Table, &l.Rows, &l.Inserted, &l.Updated, &l.Unchanged, &l.Bytes, &ranges, &l.Began, &ended); err != nil {
			return err
		}
		var rs []loadRange
		if err := json.Unmarshal([]byte(ranges), &rs); err != nil {
			return fmt.Errorf("ranges of load %s: %w", l.ID, err)
		}
		for _, r := range rs {
			l.Ranges = append(l.Ranges, Range{Partition{r.Cluster, r.Group, r.Topic, r.Partition}, r.From, r.To})
		}
		l.Began, l.Took = l.Began.UTC(), ended.Sub(l.Began)
		if !yield(l, nil) {
			return nil
		}
	}
	return rows.Err()
}

// Newest returns the greatest value of a column of times, such as _extracted_at, in any version that the table keeps; the
// zero time where there is none.
func (v *View) Newest(ctx context.Context, t Table, column string) (time.Time, error) {
	from, err := v.source(ctx, Table{Name: t.Name})
	if err != nil || from == "" {
		return time.Time{}, err
	}
	var at sql.NullTime
	if err := v.conn.QueryRowContext(ctx, `SELECT max(`+v.dialect.quote(column)+`) FROM `+from).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read %s: %w", t.Name, err)
	}
	return at.Time.UTC(), nil
}

// Columns returns the columns of a table; none where there is no such table.
func (v *View) Columns(ctx context.Context, t Table) ([]Column, error) {
	from, err := v.source(ctx, t)
	if err != nil || from == "" {
		return nil, err
	}
	if v.dialect.describe != nil { // the result of a query does not tell all types apart
		return v.described(ctx, t)
	}
	rows, err := v.conn.QueryContext(ctx, `SELECT * FROM `+from+` LIMIT 0`)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	columns := make([]Column, len(types))
	for i, typ := range types {
		k, err := v.dialect.kind(typ.Name(), typ.DatabaseTypeName())
		if err != nil {
			k = kindText // a column of somebody else
		}
		columns[i] = Column{Name: typ.Name(), kind: k}
	}
	return columns, rows.Err()
}

func (v *View) described(ctx context.Context, t Table) ([]Column, error) {
	have, err := v.dialect.columnsOf(ctx, v.conn, v.dataset, t.Name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	var columns []Column
	for _, name := range slices.Sorted(maps.Keys(have)) {
		k, err := v.dialect.kind(name, have[name])
		if err != nil {
			k = kindText // a column of somebody else
		}
		columns = append(columns, Column{Name: name, kind: k})
	}
	return columns, nil
}

// Find returns the index of the column that holds a field's values, or -1.
func (v *View) Find(columns []Column, field string) int {
	name := v.dialect.name(field)
	for i, c := range columns {
		if c.Name == name {
			return i
		}
	}
	return -1
}

// Rows yields the rows of a table, in no order: a value for each of the columns, which Columns gives, as Column.Value
// describes them. The slice is used again for the next row. Memory is bounded by a part of the table, not by its size.
// It ends after an error.
func (v *View) Rows(ctx context.Context, t Table, columns []Column) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		if err := v.rows(ctx, t, columns, yield); err != nil {
			yield(nil, fmt.Errorf("read %s: %w", t.Name, err))
		}
	}
}

func (v *View) rows(ctx context.Context, t Table, columns []Column, yield func([]any, error) bool) error {
	from, err := v.source(ctx, t)
	if err != nil || from == "" {
		return err
	}
	pages := []string{"TRUE"}
	if v.how.pages != nil {
		if pages, err = v.how.pages(ctx, v, t, from); err != nil {
			return err
		}
	}
	selected := make([]string, len(columns))
	for i, c := range columns {
		if selected[i] = v.dialect.quoted(c.Name); c.kind == kindJSON || c.kind == kindText {
			selected[i] = v.dialect.text(selected[i], c.kind)
		} else if c.kind == kindTimestamp && v.dialect.millis != "" {
			selected[i] = fmt.Sprintf(v.dialect.millis, selected[i])
		}
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for _, page := range pages {
		more, err := v.page(ctx, "SELECT "+strings.Join(selected, ", ")+" FROM "+from+" WHERE "+page, func(rows *sql.Rows) (bool, error) {
			if err := rows.Scan(into...); err != nil {
				return false, err
			}
			for i, c := range columns {
				values[i] = c.canonical(values[i])
			}
			return yield(values, nil), nil
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (v *View) page(ctx context.Context, query string, each func(*sql.Rows) (bool, error)) (more bool, err error) {
	rows, err := v.conn.QueryContext(ctx, query)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		if more, err := each(rows); err != nil || !more {
			return false, err
		}
	}
	return true, rows.Err()
}

// source is what the rows of a table are selected from; "" where there is no such table.
func (v *View) source(ctx context.Context, t Table) (string, error) {
	if v.how.from != nil {
		return v.how.from(ctx, v, t)
	}
	if ok, err := v.exists(ctx, t.Name); err != nil || !ok {
		return "", err
	}
	return v.table(t.Name), nil
}

func (v *View) exists(ctx context.Context, table string) (bool, error) {
	have, err := v.dialect.columnsOf(ctx, v.conn, v.dataset, table)
	if err != nil {
		return false, fmt.Errorf("look for table %s: %w", table, err)
	}
	return len(have) > 0, nil
}

func (v *View) table(name string) string { return v.dialect.table(v.dataset, name) }
