package sink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/jackc/pgx/v5"
)

// pgStage is the temporary table that a batch is copied into; it lives as long as the transaction.
const (
	pgStageName = `_tilestream_stage`
	pgStage     = `pg_temp.` + pgStageName
)

// merge copies the rows into the stage and merges it into the table: documents, then tombstones. A batch with tombstones
// keeps other writers out of the table: it goes over the keys twice, which could deadlock, and a removed row leaves nothing
// that another writer would stumble over.
func (p *postgres) merge(ctx context.Context, tx pgx.Tx, b Batch, docs, tombs []int) (Stats, error) {
	lock := `ROW EXCLUSIVE` // as the INSERT will
	if len(tombs) > 0 || b.Table.Mode != Upsert {
		lock = `SHARE ROW EXCLUSIVE`
	}
	table := p.table(b.Table.Name)
	var have map[string]string
	var look pgx.Batch
	look.Queue(`LOCK TABLE ` + table + ` IN ` + lock + ` MODE`) // from here on the columns stay
	look.Queue(pgColumns, table).Query(func(r pgx.Rows) (err error) {
		have, err = scanColumns(r)
		return err
	})
	if err := tx.SendBatch(ctx, &look).Close(); err != nil {
		return Stats{}, err
	}

	var names, stage []string
	c := copier{rows: slices.Concat(docs, tombs)}
	for i, f := range b.Rows.Schema().Fields() {
		name := pgDialect.name(f.Name)
		if have[name] == "" {
			return Stats{}, fmt.Errorf("table %s has no column %s: the table was not prepared for this schema", table, name)
		}
		k, err := pgDialect.kind(name, have[name])
		if err != nil {
			return Stats{}, err
		}
		a, err := fit(f.Name, b.Rows.Column(i), k)
		if err != nil {
			return Stats{}, err
		}
		c.columns = append(c.columns, pgColumn{f.Name, a, k})
		names = append(names, p.quote(f.Name))
		stage = append(stage, p.quote(f.Name)+` `+pgDialect.types[k])
	}
	list := strings.Join(names, ", ")
	if _, err := tx.Exec(ctx, `CREATE TEMPORARY TABLE `+pgStageName+` (`+strings.Join(stage, ", ")+`) ON COMMIT DROP`); err != nil {
		return Stats{}, err
	}
	_, err := tx.Conn().PgConn().CopyFrom(ctx, &c, `COPY `+pgStage+` (`+list+`) FROM STDIN BINARY`)
	if own := c.stop(); err != nil && own != nil {
		return Stats{}, own
	} else if err != nil {
		return Stats{}, rejected(err, c.columns)
	}

	if b.Table.Mode != Upsert {
		// By the index on the key, as ON CONFLICT would: what the server guesses of a stage without statistics makes it read the whole table.
		if _, err := tx.Exec(ctx, `SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_hashjoin', 'enable_mergejoin']) AS name`); err != nil {
			return Stats{}, err
		}
	}
	m := pgMerge{p, b, names}
	stats := Stats{}
	for _, sql := range m.statements(slices.Sorted(maps.Keys(have)), len(tombs) > 0) {
		var done Stats
		if err := tx.QueryRow(ctx, sql).Scan(&done.Inserted, &done.Updated); err != nil {
			return Stats{}, rejected(err, c.columns)
		}
		stats.Inserted += done.Inserted
		stats.Updated += done.Updated
	}
	stats.Unchanged = b.Rows.NumRows() - stats.Inserted - stats.Updated
	return stats, nil
}

type pgColumn struct {
	name   string
	values arrow.Array // as fit returns them
	kind   kind
}

// copier writes rows in the binary format of COPY (PostgreSQL manual, COPY, "Binary Format") straight from Arrow columns.
type copier struct {
	mu      sync.Mutex
	stopped bool
	columns []pgColumn
	rows    []int
	next    int // index in rows
	begun   bool
	ended   bool
	buf     []byte // written, from at
	at      int
	seen    byte // of touch, which the compiler would leave out
	err     error
}

// stop ends the reading: pgx leaves its reader at work when COPY ends early, while the batch is given back. It returns the error of
// a value.
func (c *copier) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	return c.err
}

func (c *copier) Read(to []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return 0, io.ErrClosedPipe
	}
	for len(c.buf)-c.at < len(to) && !c.ended && c.err == nil {
		c.buf = append(c.buf[:0], c.buf[c.at:]...)
		c.at = 0
		c.fill(len(to))
	}
	if c.err != nil {
		return 0, c.err
	}
	n := copy(to, c.buf[c.at:])
	c.at += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// fill appends to buf until it holds size bytes or all is written.
func (c *copier) fill(size int) {
	if !c.begun {
		c.buf = append(c.buf, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
		c.begun = true
	}
	for ; len(c.buf) < size && c.next < len(c.rows); c.next++ {
		if c.next%touched == 0 {
			c.touch(c.rows[c.next:min(c.next+touched, len(c.rows))])
		}
		c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(len(c.columns)))
		for i := range c.columns {
			if c.buf, c.err = c.columns[i].append(c.buf, c.rows[c.next]); c.err != nil {
				return
			}
		}
	}
	if c.next == len(c.rows) {
		c.buf = binary.BigEndian.AppendUint16(c.buf, math.MaxUint16)
		c.ended = true
	}
}

// touched is how many rows are touched at once: so few that what they hold stays in the processor's cache.
const touched = 64

// touch looks at the texts of rows that are next. In the order of keys they lie anywhere in the batch: a loop that does nothing else waits
// for many of them at once, append would for one after the other.
func (c *copier) touch(rows []int) {
	for i := range c.columns {
		a, ok := c.columns[i].values.(*array.String)
		if !ok {
			continue
		}
		text, from := a.ValueBytes(), a.ValueOffset(0)
		for _, row := range rows {
			if at := a.ValueOffset(row) - from; at < len(text) {
				c.seen += text[at]
			}
		}
	}
}

func (c *pgColumn) append(buf []byte, row int) ([]byte, error) {
	be := binary.BigEndian
	if c.values.IsNull(row) {
		return be.AppendUint32(buf, math.MaxUint32), nil
	}
	switch a := c.values.(type) {
	case *array.String:
		s := a.Value(row)
		if c.kind == kindJSON {
			buf = append(be.AppendUint32(buf, uint32(len(s)+1)), 1) // version of the format of jsonb
		} else {
			buf = be.AppendUint32(buf, uint32(len(s)))
		}
		return append(buf, s...), nil
	case *array.Int64:
		return be.AppendUint64(be.AppendUint32(buf, 8), uint64(a.Value(row))), nil
	case *array.Int32:
		return be.AppendUint32(be.AppendUint32(buf, 4), uint32(a.Value(row))), nil
	case *array.Float64:
		return be.AppendUint64(be.AppendUint32(buf, 8), math.Float64bits(a.Value(row))), nil
	case *array.Boolean:
		var v byte
		if a.Value(row) {
			v = 1
		}
		return append(be.AppendUint32(buf, 1), v), nil
	case *array.Timestamp:
		ms := int64(a.Value(row))
		if ms < pgFirst || ms >= pgEnd {
			return buf, &RejectedError{Column: c.name, Err: fmt.Errorf("%w: %d ms since 1970", errTimestamp, ms)}
		}
		return be.AppendUint64(be.AppendUint32(buf, 8), uint64((ms-pgEpoch)*1000)), nil
	}
	return buf, fmt.Errorf("column %s: no binary form of %s", c.name, c.values.DataType())
}

// Timestamps of PostgreSQL are microseconds since 2000, from 4713 BC to 294276 AD (PostgreSQL datatype/timestamp.h:
// MIN_TIMESTAMP, END_TIMESTAMP). Here in milliseconds since 1970.
const (
	pgEpoch = 946_684_800_000
	pgFirst = -210_866_803_200_000
	pgEnd   = 9_224_318_016_000_000
)

var errTimestamp = errors.New("the time is outside of what PostgreSQL holds, 4713 BC to 294276 AD")
