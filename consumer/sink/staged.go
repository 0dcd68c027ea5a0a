package sink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
)

// staged loads into a warehouse that takes rows fastest from files. A Write puts the batch where the warehouse reads it (the stage),
// then one transaction takes the lock of the dataset, looks where the ledger stands, merges the stage into the table and moves the
// ledger. What tells one such warehouse from another is its dialect and its engine.
type staged struct {
	*dialect
	engine
	db      *sql.DB
	dataset string // as the warehouse knows it
	mu      sync.Mutex
	// prepared is what Prepare made each table fit.
	prepared map[string]string
}

// engine is what a warehouse does in its own way.
type engine struct {
	// stage makes rows readable in the connection: columns c0, c1 and so on, JSON as text. source is what they are selected from;
	// drop, nil or not, removes them, or what an error has left of them. The name is unique to the batch, made of letters, digits and _.
	stage func(ctx context.Context, conn *sql.Conn, name string, rows arrow.RecordBatch) (source string, drop func(context.Context) error, err error)
	// check refuses values of a column of the table, or of its key, that readable takes and the warehouse would not, or would change;
	// nil: there are none.
	check func(k kind, key bool, values arrow.Array) error
	// lock are the statements that begin a transaction of which only one can be at work in the dataset. A statement that comes too
	// late may wait, or fail as a conflict.
	lock func(dataset string) []string
	// raise is an expression that fails with a text: raise_error(%s). Set where a transaction is one statement: see guard. refused then
	// tells the warehouse's word that a statement has failed from a lost reply.
	raise   string
	refused func(error) bool
	// commit merges what is staged and moves the ledger, in one transaction that fails where the ledger stands elsewhere; nil: statements
	// of a connection do.
	commit func(ctx context.Context, conn *sql.Conn, b Batch, steps []statement, started time.Time) (Stats, error)
	// merge runs a MERGE, and says what it did; nil: the driver's count of rows is what was updated.
	merge func(ctx context.Context, conn *sql.Conn, statement string) (Stats, error)
	// create is what follows the columns in CREATE TABLE; nil: nothing.
	create func(t Table) string
	// properties end every CREATE TABLE.
	properties string
	// widens tells whether ALTER COLUMN ... TYPE may be used; nil: never.
	widens func(from, to kind) bool
	// conflict tells whether an error says that the transaction was undone for the sake of another one; nil: none does.
	conflict func(error) bool
	// explain says what an error means, what is to be done, and whether it is a *RejectedError; nil: as it is.
	explain func(error) error
	close   func() error // nil: closing db is all
}

const lockTable = "_tilestream_lock" // one row, which a transaction changes first, so that others wait

func (s *staged) Close() error {
	err := s.db.Close()
	if s.engine.close != nil {
		err = errors.Join(err, s.engine.close())
	}
	return err
}

func (s *staged) Next(ctx context.Context, ps []Partition) (map[Partition]int64, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", s.explained(err))
	}
	defer conn.Close()
	held, err := s.ledger(ctx, conn, ps)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", s.explained(err))
	}
	return held, nil
}

// ledger reads where the partitions stand; 0 for those that are not there.
func (s *staged) ledger(ctx context.Context, conn *sql.Conn, ps []Partition) (map[Partition]int64, error) {
	next := make(map[Partition]int64, len(ps))
	type topic struct{ cluster, group, topic string }
	asked := map[topic]bool{}
	var where []string
	for _, p := range ps {
		next[p] = 0
		if t := (topic{p.Cluster, p.Group, p.Topic}); !asked[t] {
			asked[t] = true
			where = append(where, fmt.Sprintf("cluster = %s AND consumer_group = %s AND topic = %s", s.literal(t.cluster), s.literal(t.group), s.literal(t.topic)))
		}
	}
	if len(ps) == 0 {
		return next, nil
	}
	rows, err := conn.QueryContext(ctx, fmt.Sprintf("SELECT cluster, consumer_group, topic, %s, next_offset FROM %s WHERE %s",
		s.quote("partition"), s.table(s.dataset, ledgerTable), strings.Join(where, " OR ")))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p Partition
		var n int64
		if err := rows.Scan(&p.Cluster, &p.Group, &p.Topic, &p.ID, &n); err != nil {
			return nil, err
		}
		if _, ok := next[p]; ok {
			next[p] = n
		}
	}
	return next, rows.Err()
}

func (s *staged) Write(ctx context.Context, b Batch) (Stats, error) {
	started := time.Now()
	stats, err := s.write(ctx, b, started)
	if err != nil {
		if errors.Is(err, ErrFenced) {
			return Stats{}, err
		}
		s.forget(b.Table.Name)
		return Stats{}, fmt.Errorf("write %s: %w", b.Table.Name, s.explained(err))
	}
	return stats, nil
}

func (s *staged) write(ctx context.Context, b Batch, started time.Time) (stats Stats, err error) {
	docs, tombs, err := picked(b)
	if err != nil {
		return Stats{}, err
	}
	if len(docs)+len(tombs) > 0 {
		if err := readable(b.Rows, b.Table.Key); err != nil {
			return Stats{}, err
		}
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return Stats{}, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var steps []statement
	var have map[string]string
	if len(docs)+len(tombs) > 0 {
		have, err = s.columnsOf(ctx, conn, s.dataset, b.Table.Name)
		if err != nil {
			return Stats{}, err
		}
		rows, selected, err := s.fit(ctx, b, have, slices.Concat(docs, tombs))
		if err != nil {
			return Stats{}, err
		}
		defer rows.Release()
		source, drop, err := s.stage(ctx, conn, stageName(), rows)
		if drop != nil {
			defer func() {
				// What cannot be dropped now is dropped by the stage's own end; it holds nothing that the table has not.
				_ = drop(context.WithoutCancel(ctx))
			}()
		}
		if err != nil {
			return Stats{}, err
		}
		steps = stagedMerge{dialect: s.dialect, b: b, dataset: s.dataset, have: have, docs: len(docs) > 0, tombs: len(tombs) > 0,
			source: "(SELECT " + strings.Join(selected, ", ") + " FROM " + source + ")"}.statements()
	}
	if s.commit != nil {
		return s.commit(ctx, conn, b, steps, started)
	}
	if s.raise != "" {
		return s.guard(ctx, conn, b, steps, started)
	}
	return s.yielding(ctx, func() (Stats, error) { return s.transact(ctx, conn, b, have, steps, started) })
}

// yielding does it again while it gives way to others.
func (s *staged) yielding(ctx context.Context, do func() (Stats, error)) (Stats, error) {
	for try := 1; ; try++ {
		stats, err := do()
		if err == nil || try == conflicts || s.conflict == nil || !s.conflict(err) {
			return stats, err
		}
		if err := giveWay(ctx, try); err != nil {
			return Stats{}, err
		}
	}
}

// giveWay waits, so that of two that are in each other's way one comes first.
func giveWay(ctx context.Context, try int) error {
	select {
	case <-time.After(rand.N(50 * time.Millisecond << try)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conflicts is how often a transaction may give way to another before the consumer is told.
const conflicts = 10

// transact merges what is staged and moves the ledger.
func (s *staged) transact(ctx context.Context, conn *sql.Conn, b Batch, have map[string]string, steps []statement, started time.Time) (stats Stats, err error) {
	defer func() {
		if err == nil {
			return
		}
		stats = Stats{}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if _, undo := conn.ExecContext(end, "ROLLBACK"); undo != nil { // whatever state it is in, nobody uses the connection again
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	for _, sql := range s.lock(s.dataset) {
		if _, err := conn.ExecContext(ctx, sql); err != nil {
			return stats, fmt.Errorf("take the lock: %w", err)
		}
	}
	next, err := s.ledger(ctx, conn, partitions(b.Ranges))
	if err != nil {
		return stats, err
	}
	if err := fenced(b.Ranges, next); err != nil {
		return stats, err
	}
	for _, step := range steps {
		done, err := s.run(ctx, conn, step.sql)
		if err != nil {
			return stats, err
		}
		if !step.uncounted {
			stats.Inserted += done.Inserted
			stats.Updated += done.Updated
		}
	}
	if len(steps) > 0 {
		// A column that gives way to a wider one must not be written by statements that know nothing of it: see narrowed.
		if now, err := s.columnsOf(ctx, conn, s.dataset, b.Table.Name); err != nil {
			return stats, err
		} else if !maps.Equal(have, now) {
			return stats, fmt.Errorf("the columns of table %s have changed meanwhile", s.table(s.dataset, b.Table.Name))
		}
	}
	if b.Rows != nil {
		stats.Unchanged = b.Rows.NumRows() - stats.Inserted - stats.Updated
	}
	account, err := s.account(b, stats, started, time.Now())
	if err != nil {
		return stats, err
	}
	for _, sql := range append(account, "COMMIT") {
		if _, err := conn.ExecContext(ctx, sql); err != nil {
			return stats, err
		}
	}
	return stats, nil
}

// run runs one step and says what it did.
func (s *staged) run(ctx context.Context, conn *sql.Conn, sql string) (Stats, error) {
	if s.engine.merge != nil && strings.HasPrefix(sql, "MERGE") {
		return s.engine.merge(ctx, conn, sql)
	}
	done, err := conn.ExecContext(ctx, sql)
	if err != nil {
		return Stats{}, err
	}
	n, err := done.RowsAffected()
	if strings.HasPrefix(sql, "INSERT") {
		return Stats{Inserted: n}, err
	}
	return Stats{Updated: n}, err
}

// account moves the ledger and writes the line of the load.
func (s *staged) account(b Batch, stats Stats, started, ended time.Time) ([]string, error) {
	partition, ledger := s.quote("partition"), s.table(s.dataset, ledgerTable)
	now := s.time(ended)
	var where, values []string
	for _, r := range b.Ranges {
		where = append(where, fmt.Sprintf("cluster = %s AND consumer_group = %s AND topic = %s AND %s = %d", s.literal(r.Cluster), s.literal(r.Group), s.literal(r.Topic), partition, r.ID))
		values = append(values, fmt.Sprintf("(%s, %s, %s, %d, %d, %s)", s.literal(r.Cluster), s.literal(r.Group), s.literal(r.Topic), r.ID, r.To, now))
	}
	var sql []string
	if len(b.Ranges) > 0 {
		sql = append(sql, "DELETE FROM "+ledger+" WHERE "+strings.Join(where, " OR "),
			"INSERT INTO "+ledger+" (cluster, consumer_group, topic, "+partition+", next_offset, updated_at) VALUES "+strings.Join(values, ", "))
	}
	line, err := s.line(b, stats, started, ended)
	if line != "" {
		sql = append(sql, line)
	}
	return sql, err
}

// line is the statement that writes the line of the load; "" for a batch without rows.
func (s *staged) line(b Batch, stats Stats, started, ended time.Time) (string, error) {
	return s.lineOf(b, fmt.Sprint(stats.Inserted), fmt.Sprint(stats.Updated), fmt.Sprint(stats.Unchanged), s.time(started), s.time(ended))
}

// lineOf is line, of expressions.
func (s *staged) lineOf(b Batch, inserted, updated, unchanged, started, ended string) (string, error) {
	if b.Rows == nil {
		return "", nil
	}
	ranges, err := json.Marshal(rangesJSON(b.Ranges))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("INSERT INTO %s (load_id, table_name, %s, inserted, updated, unchanged, bytes, ranges, started_at, finished_at) VALUES (%s, %s, %d, %s, %s, %s, %d, %s, %s, %s)",
		s.table(s.dataset, loadsTable), s.quote("rows"), s.literal(b.ID), s.literal(b.Table.Name), b.Rows.NumRows(), inserted, updated, unchanged, b.Bytes,
		s.literal(string(ranges)), started, ended), nil
}

// fit makes a batch of the rows that are to be staged, in the types of the table's columns, and says how its columns are selected.
func (s *staged) fit(ctx context.Context, b Batch, have map[string]string, rows []int) (arrow.RecordBatch, []string, error) {
	table := s.table(s.dataset, b.Table.Name)
	if len(have) == 0 {
		return nil, nil, fmt.Errorf("there is no table %s: it was not prepared", table)
	}
	indexes := array.NewInt64Builder(compute.GetAllocator(ctx))
	defer indexes.Release()
	for _, i := range rows {
		indexes.Append(int64(i))
	}
	at := indexes.NewArray()
	defer at.Release()
	var fields []arrow.Field
	var columns []arrow.Array
	var selected []string
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, f := range b.Rows.Schema().Fields() {
		typ, ok := have[s.name(f.Name)]
		if !ok {
			return nil, nil, fmt.Errorf("table %s has no column %s: the table was not prepared for this schema", table, s.name(f.Name))
		}
		k, err := s.kind(f.Name, typ)
		if err != nil {
			return nil, nil, err
		}
		fitted, err := fit(f.Name, b.Rows.Column(i), k)
		if err != nil {
			return nil, nil, err
		}
		taken, err := compute.TakeArray(ctx, fitted, at)
		if err != nil {
			return nil, nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		columns = append(columns, taken)
		if s.check != nil {
			if err := s.check(k, f.Name == b.Table.Key, taken); err != nil {
				return nil, nil, &RejectedError{Column: f.Name, Err: err}
			}
		}
		from := fmt.Sprint("c", i)
		fields = append(fields, arrow.Field{Name: from, Type: taken.DataType(), Nullable: true})
		if k == kindJSON && s.parse != "" {
			from = fmt.Sprintf(s.parse, from)
		}
		selected = append(selected, from+" AS "+s.quote(f.Name))
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(len(rows))), selected, nil
}

// stageName is a name for a stage that no other one has.
func stageName() string {
	return fmt.Sprintf("tilestream_stage_%d_%08x", time.Now().UnixMilli(), rand.Uint32())
}

// stageMade is when a stage got its name, whatever its case.
func stageMade(name string) (time.Time, bool) {
	var millis int64
	var noise uint32
	_, err := fmt.Sscanf(strings.ToLower(name), "tilestream_stage_%d_%08x", &millis, &noise)
	return time.UnixMilli(millis), err == nil
}

func (s *staged) explained(err error) error {
	if err == nil || s.explain == nil {
		return err
	}
	return s.explain(err)
}

// forget makes the next Prepare look at the table again.
func (s *staged) forget(table string) {
	s.mu.Lock()
	delete(s.prepared, table)
	s.mu.Unlock()
}
