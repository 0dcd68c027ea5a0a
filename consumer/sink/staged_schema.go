package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// setup makes the dataset and the system tables where they are missing.
func (s *staged) setup(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return s.explained(err)
	}
	defer conn.Close()
	if err := s.checkFormat(ctx, conn); err != nil {
		return s.explained(err)
	}
	for _, step := range s.system() {
		have, err := s.columnsOf(ctx, conn, s.dataset, step.table)
		if err != nil {
			return s.explained(err)
		}
		if len(have) > 0 {
			continue // looked at first: CREATE ... IF NOT EXISTS wants the right to create even where there is nothing to do
		}
		var schema error // of no weight where the schema is there, and its maker has not granted the right to make others
		for _, sql := range step.sql {
			switch err := s.make(ctx, conn, sql); {
			case err != nil && strings.HasPrefix(sql, "CREATE SCHEMA"):
				schema = err
			case err != nil:
				return fmt.Errorf("create the system tables in %s: %w", s.dataset, s.explained(errors.Join(schema, err)))
			}
		}
	}
	return nil
}

func (s *staged) checkFormat(ctx context.Context, conn *sql.Conn) error {
	have, err := s.columnsOf(ctx, conn, s.dataset, formatTable)
	if err != nil || len(have) == 0 {
		return err
	}
	return checkDataset(s.dataset, conn.QueryRowContext(ctx, asksFormat(s.table(s.dataset, formatTable))).Scan)
}

// make runs a statement that makes what may be there; again, where somebody else makes it at the same time.
func (s *staged) make(ctx context.Context, conn *sql.Conn, statement string) error {
	for try := 1; ; try++ {
		_, err := conn.ExecContext(ctx, statement)
		if err == nil || try == conflicts || s.conflict == nil || !s.conflict(err) {
			return err
		}
		if err := giveWay(ctx, try); err != nil {
			return err
		}
	}
}

type systemTable struct {
	table string
	sql   []string
}

// system is what makes each system table; the dataset comes with the first.
func (s *staged) system() []systemTable {
	make := func(name, columns string) string {
		return "CREATE TABLE IF NOT EXISTS " + s.table(s.dataset, name) + " (" + strings.NewReplacer("TEXT", s.types[kindText], "INT", s.types[kindInt64], "TIME", s.types[kindTimestamp]).Replace(columns) + ")" + s.properties
	}
	lock := s.table(s.dataset, lockTable)
	tables := []systemTable{
		{ledgerTable, slices.Concat([]string{"CREATE SCHEMA IF NOT EXISTS " + s.quoted(s.dataset)},
			makesFormat(s.table(s.dataset, formatTable), s.types[kindInt64], s.properties), // before the ledger: one without it is of the first format
			[]string{make(ledgerTable, "cluster TEXT, consumer_group TEXT, topic TEXT, "+s.quote("partition")+" INT, next_offset INT NOT NULL, updated_at TIME NOT NULL")})},
		{loadsTable, []string{make(loadsTable, "load_id TEXT NOT NULL, table_name TEXT NOT NULL, "+s.quote("rows")+" INT NOT NULL, inserted INT NOT NULL, updated INT NOT NULL, unchanged INT NOT NULL, bytes INT NOT NULL, ranges TEXT NOT NULL, started_at TIME NOT NULL, finished_at TIME NOT NULL")}},
		{tablesTable, []string{make(tablesTable, "table_name TEXT NOT NULL, write_mode TEXT NOT NULL")}},
		{lockTable, []string{make(lockTable, "turns INT NOT NULL"),
			// Where two make it at once it gets two rows, which lock as well as one.
			"INSERT INTO " + lock + " (turns) SELECT 0 FROM (SELECT count(*) AS n FROM " + lock + ") AS held WHERE n = 0"}},
		{deletedTable, []string{make(deletedTable, "table_name TEXT NOT NULL, deleted_key TEXT NOT NULL, deleted_at TIME NOT NULL, deleted_offset INT NOT NULL")}},
	}
	if s.raise != "" { // nobody waits for a lock
		tables = slices.DeleteFunc(tables, func(t systemTable) bool { return t.table == lockTable })
	}
	return tables
}

func (s *staged) Prepare(ctx context.Context, t Table) error {
	fits := fingerprint(t)
	s.mu.Lock()
	done := s.prepared[t.Name] == fits
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := s.prepare(ctx, t); err != nil {
		return fmt.Errorf("prepare table %s: %w", t.Name, s.explained(err))
	}
	s.mu.Lock()
	s.prepared[t.Name] = fits
	s.mu.Unlock()
	return nil
}

// Plan is what is to be done by what there is now: of a widening that takes several steps, the first, since the others are found by looking
// again.
func (s *staged) Plan(ctx context.Context, t Table) ([]Change, error) {
	conn, err := s.db.Conn(ctx)
	if err == nil {
		defer conn.Close()
		var changes []Change
		if changes, err = s.changes(ctx, conn, t); err == nil {
			return changes, nil
		}
	}
	return nil, fmt.Errorf("plan table %s: %w", t.Name, s.explained(err))
}

// prepare looks at what there is, makes what is missing, and looks again. So a change that somebody else has made meanwhile is no
// error, and one that a crash has left half done is finished. What was made is written down at the end: a crash before loses it.
func (s *staged) prepare(ctx context.Context, t Table) error {
	if err := checkDeletes(t); err != nil {
		return err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var before []string
	var made []Change
	var failed error
	for try := 1; ; {
		changes, err := s.changes(ctx, conn, t)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return s.record(ctx, conn, t, made)
		}
		next := statements(changes)
		switch same := slices.Equal(next, before); {
		case failed != nil && s.conflict != nil && s.conflict(failed) && try < conflicts:
			if err := giveWay(ctx, try); err != nil {
				return err
			}
			try++
		case same && failed != nil:
			return failed
		case same:
			return fmt.Errorf("this has changed nothing: %s", strings.Join(next, "; "))
		}
		before, failed = next, nil
		for _, c := range changes {
			for _, sql := range c.SQL {
				if _, failed = conn.ExecContext(ctx, sql); failed != nil {
					break
				}
			}
			if failed != nil {
				break
			}
			made = append(made, c)
		}
	}
}

// record writes changes down that were made.
func (s *staged) record(ctx context.Context, conn *sql.Conn, t Table, made []Change) error {
	record := s.dialect.record(s.dataset, t, made, time.Now())
	if record == "" {
		return nil
	}
	have, err := s.columnsOf(ctx, conn, s.dataset, schemasTable)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		if err := s.make(ctx, conn, s.schemas(s.dataset)+s.properties); err != nil {
			return err
		}
	}
	return s.make(ctx, conn, record)
}

// changes is what comes next in making the table fit; nothing where it does.
func (s *staged) changes(ctx context.Context, conn *sql.Conn, t Table) ([]Change, error) {
	have, err := s.columnsOf(ctx, conn, s.dataset, t.Name)
	if err != nil {
		return nil, err
	}
	has, err := s.mode(ctx, conn, t)
	if err != nil {
		return nil, err
	}
	changes, err := s.fitTable(ctx, conn, t, have, has)
	if err != nil {
		now, look := s.columnsOf(ctx, conn, s.dataset, t.Name)
		if look == nil && !maps.Equal(now, have) { // somebody else changes it: no more often than there are changes to make
			return s.changes(ctx, conn, t)
		}
		return nil, err
	}
	views, err := s.views(t, s.dataset, func(name string) (bool, error) {
		have, err := s.columnsOf(ctx, conn, s.dataset, name)
		return len(have) > 0, err
	})
	return append(changes, views...), err
}

// fitTable is what comes next in making a table that has some columns fit. has is the mode that it was made in.
func (s *staged) fitTable(ctx context.Context, conn *sql.Conn, t Table, have map[string]string, has Mode) ([]Change, error) {
	if len(have) > 0 {
		if err := checkMode(t, has); err != nil {
			return nil, err
		}
	}
	var changes []Change
	var columns []string
	kept := t
	t = withValidity(t)
	table := s.table(s.dataset, t.Name)
	for _, f := range t.Schema.Fields() {
		want, err := kindOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		name := s.name(f.Name)
		typ, known := have[name]
		switch {
		case len(have) == 0 && f.Name == t.Key:
			columns = append(columns, s.quoted(name)+" "+s.types[want]+" NOT NULL")
		case len(have) == 0:
			columns = append(columns, s.quoted(name)+" "+s.types[want])
		case !known && (have[narrowed(name)] != "" || have[widened(name)] != ""):
			next, err := s.widening(ctx, conn, t.Name, name, want, have)
			if err != nil {
				return nil, err
			}
			changes = append(changes, Change{"", next})
		case !known:
			changes = append(changes, Change{adds(f.Name, s.types[want]), []string{"ALTER TABLE " + table + " ADD COLUMN " + s.quoted(name) + " " + s.types[want]}})
		default:
			wider, err := s.widenColumn(ctx, conn, t.Name, f.Name, typ, want)
			if err != nil {
				return nil, err
			}
			changes = append(changes, wider...)
		}
	}
	if len(have) == 0 {
		sql := "CREATE TABLE IF NOT EXISTS " + table + " (\n\t" + strings.Join(columns, ",\n\t") + "\n)"
		if s.create != nil {
			sql += s.create(t)
		}
		changes = []Change{{creates(t.Name, len(columns)), append(s.keepMode(kept, has), sql+s.properties)}}
	}
	return changes, nil
}

// A column that gives way to a wider one: where no type can be changed in place, five steps do it, each of which can be seen in the
// table. The column is renamed to narrowed; the wider one is added as widened; values move over row by row, in one statement; the narrow
// column goes; the wide one gets the name. While it has another name nobody writes into it: a statement of somebody who knows
// nothing of it fails.
func narrowed(name string) string { return name + "__narrow" }
func widened(name string) string  { return name + "__wide" }

// widenColumn returns the change that makes a column of an existing table wide enough, or begins to; or none.
func (s *staged) widenColumn(ctx context.Context, conn *sql.Conn, table, column, typ string, want kind) ([]Change, error) {
	from, err := s.kind(column, typ)
	if err != nil {
		return nil, err
	}
	alter := "ALTER TABLE " + s.table(s.dataset, table)
	to, err := s.wider(ctx, conn, table, s.name(column), typ, want)
	if err != nil || from == to || s.types[from] == s.types[to] {
		return nil, err
	}
	what, sql := widens(column, s.types[from], s.types[to]), fmt.Sprintf("%s ALTER COLUMN %s TYPE %s", alter, s.quote(column), s.types[to])
	if s.widens == nil || !s.widens(from, to) {
		what += ", in five steps of which this is the first"
		sql = fmt.Sprintf("%s RENAME COLUMN %s TO %s", alter, s.quote(column), s.quoted(narrowed(s.name(column))))
	}
	return []Change{{what, []string{sql}}}, nil
}

// widening returns the statements that are next for a column that gives way to a wider one. name is the warehouse's.
func (s *staged) widening(ctx context.Context, conn *sql.Conn, table, name string, want kind, have map[string]string) ([]string, error) {
	alter := "ALTER TABLE " + s.table(s.dataset, table)
	narrow, wide := s.quoted(narrowed(name)), s.quoted(widened(name))
	from, to := have[narrowed(name)], have[widened(name)]
	switch {
	case from == "":
		return []string{fmt.Sprintf("%s RENAME COLUMN %s TO %s", alter, wide, s.quoted(name))}, nil
	case to == "":
		into, err := s.wider(ctx, conn, table, narrowed(name), from, want)
		return []string{fmt.Sprintf("%s ADD COLUMN %s %s", alter, wide, s.types[into])}, err
	}
	was, err := s.kind(name, from)
	if err != nil {
		return nil, err
	}
	is, err := s.kind(name, to)
	if err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf("UPDATE %s SET %s = %s, %s = NULL WHERE %[4]s IS NOT NULL", s.table(s.dataset, table), wide, s.converted(narrow, was, is), narrow),
		alter + " DROP COLUMN " + narrow,
	}, nil
}

// wider is the kind that holds what a column has and what it is to have. name is the warehouse's.
func (s *staged) wider(ctx context.Context, conn *sql.Conn, table, name, typ string, want kind) (kind, error) {
	from, err := s.kind(name, typ)
	if err != nil {
		return 0, err
	}
	to := widen(from, want)
	if from != kindInt64 || to != kindFloat64 {
		return to, nil
	}
	var inexact int64
	err = conn.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s NOT BETWEEN -%d AND %[3]d", s.table(s.dataset, table), s.quoted(name), exactFloat)).Scan(&inexact)
	if err == nil && inexact > 0 {
		to = kindText
	}
	return to, err
}

// converted is a column's value in another type.
func (s *staged) converted(column string, from, to kind) string {
	switch {
	case from == kindTimestamp:
		column = fmt.Sprintf(s.iso, column)
	case from == kindJSON:
		return s.text(column, kindJSON)
	}
	if to == kindJSON {
		return fmt.Sprintf(s.json, column)
	}
	if from == kindBool && s.truth != "" {
		return fmt.Sprintf(s.truth, column)
	}
	cast := "CAST(" + column + " AS " + s.types[to] + ")"
	switch {
	case from != kindFloat64 || to != kindText:
		return cast
	case s.number != "":
		return fmt.Sprintf(s.number, column)
	}
	// Whole numbers have no point.
	return fmt.Sprintf("CASE WHEN %[1]s = FLOOR(%[1]s) AND ABS(%[1]s) < 1e15 THEN CAST(CAST(%[1]s AS %[2]s) AS %[3]s) ELSE %[4]s END", column, s.types[kindInt64], s.types[to], cast)
}

// mode is the mode that a table was made in; Upsert where it is not kept.
func (s *staged) mode(ctx context.Context, conn *sql.Conn, t Table) (has Mode, err error) {
	err = conn.QueryRowContext(ctx, "SELECT write_mode FROM "+s.table(s.dataset, tablesTable)+" WHERE table_name = "+s.literal(s.name(t.Name))).Scan(&has)
	if errors.Is(err, sql.ErrNoRows) {
		return Upsert, nil
	}
	return has, err
}

// keepMode keeps the mode of a table that is new in mind.
func (s *staged) keepMode(t Table, has Mode) (changes []string) {
	tables, name := s.table(s.dataset, tablesTable), s.literal(s.name(t.Name))
	if has != Upsert {
		changes = append(changes, "DELETE FROM "+tables+" WHERE table_name = "+name) // it was dropped
	}
	if t.Mode != Upsert {
		changes = append(changes, "INSERT INTO "+tables+" (table_name, write_mode) VALUES ("+name+", "+s.literal(string(t.Mode))+")")
	}
	return changes
}

func (s *staged) reporting(ctx context.Context, do func(ctx context.Context, d *dialect, dataset string, conn querier) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return s.explained(err)
	}
	defer conn.Close()
	return s.explained(do(ctx, s.dialect, s.dataset, conn))
}
