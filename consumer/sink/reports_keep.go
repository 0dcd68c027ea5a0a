package sink

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// viewer is a warehouse that keeps views.
type viewer interface {
	// reporting runs do where the report views may be looked at and changed: in a transaction, where that can make and replace views. An error says
	// what is to be done about it.
	reporting(ctx context.Context, do func(ctx context.Context, d *dialect, dataset string, conn querier) error) error
}

// keeper keeps the report views of a warehouse as the tables allow. Views that it has not made, it leaves alone.
type keeper struct {
	viewer
	makes bool // those that are not there
	log   *slog.Logger

	mu   sync.Mutex
	done map[string]string // table -> what views were made for
}

// keep makes and replaces the views that rest on a table that is prepared. Loading goes on without them: what stands in the way is logged.
func (k *keeper) keep(ctx context.Context, t Table) {
	if !slices.Contains(reportTables, t.Name) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	fits := fingerprint(t)
	if k.done[t.Name] == fits {
		return
	}
	tried, failed := map[string]bool{}, false
	for again := true; again; { // another process may have prepared a table meanwhile
		again = false
		changes, err := k.plan(ctx, t)
		if err != nil {
			k.log.Warn("the report views cannot be looked at; loading goes on, and they stay as they are", "error", err)
			return
		}
		for _, c := range changes {
			if tried[c.SQL[0]] {
				continue
			}
			tried[c.SQL[0]], again = true, true
			if err := k.make(ctx, c); err != nil {
				failed = true
				k.log.Warn("a report view cannot be made; loading goes on without it, and REPORT_VIEWS=off does not try", "view", c.view, "error", err)
			} else if len(c.lacking) > 0 {
				k.log.Warn("a report view shows null for what the tables do not have", "view", c.view, "lacking", strings.Join(c.lacking, ", "))
			}
		}
	}
	if !failed {
		k.done[t.Name] = fits
	}
}

// forget has the views looked at when the table is prepared next.
func (k *keeper) forget(table string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.done, table)
}

// viewChange is a view that is to be made.
type viewChange struct {
	Change
	view    string
	lacking []string
}

const viewMade = "view "

// make makes a view and writes that down.
func (k *keeper) make(ctx context.Context, c viewChange) error {
	return k.reporting(ctx, func(ctx context.Context, d *dialect, dataset string, conn querier) error {
		for _, s := range []string{c.SQL[0], d.schemas(dataset), d.record(dataset, Table{Name: c.view}, []Change{c.Change}, time.Now())} {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// plan is the views that are not as they should be, once the table is as t.
func (k *keeper) plan(ctx context.Context, t Table) (changes []viewChange, err error) {
	err = k.reporting(ctx, func(ctx context.Context, d *dialect, dataset string, conn querier) error {
		changes = nil
		if d.say == nil {
			return nil
		}
		s := &sources{dialect: d, dataset: dataset, tables: map[string]sourceTable{}}
		if err := s.look(ctx, conn, t); err != nil {
			return err
		}
		if s.base() == "" {
			return nil
		}
		made, err := s.made(ctx, conn)
		if err != nil {
			return err
		}
		for _, r := range reports {
			s.lacking = nil
			now := r.of(s)
			c := viewChange{Change{viewMade + r.name, []string{d.report(dataset, r.name, now)}}, r.name, s.lacking}
			have, err := d.columnsOf(ctx, conn, dataset, r.name)
			if err != nil {
				return err
			}
			ours := !slices.ContainsFunc(slices.Collect(maps.Keys(have)), func(name string) bool {
				return !slices.ContainsFunc(now.columns, func(c reportColumn) bool { return d.name(c.name) == name })
			})
			switch {
			case len(have) == 0 && !k.makes:
			case !ours:
				k.log.Debug("a view or table has the name of a report, and is not Tilestream's", "view", r.name)
			case len(have) == 0 || made[r.name] != c.SQL[0]:
				changes = append(changes, c)
			}
		}
		return nil
	})
	return changes, err
}

// look finds the tables, and of what mode they are.
func (s *sources) look(ctx context.Context, conn querier, t Table) error {
	for _, table := range reportTables {
		have, err := s.columnsOf(ctx, conn, s.dataset, table)
		if err != nil {
			return err
		}
		s.tables[table] = sourceTable{columns: have}
	}
	now := sourceTable{columns: map[string]string{}, mode: t.Mode}
	for _, f := range withValidity(t).Schema.Fields() {
		k, err := kindOf(f.Type)
		if err != nil {
			return err
		}
		now.columns[s.name(f.Name)] = s.types[k]
	}
	maps.Copy(now.columns, s.tables[t.Name].columns)
	modes := map[string]Mode{}
	if have, err := s.columnsOf(ctx, conn, s.dataset, tablesTable); err != nil {
		return err
	} else if len(have) > 0 {
		rows, err := pairs(ctx, conn, "SELECT table_name, write_mode FROM "+s.table(s.dataset, tablesTable))
		if err != nil {
			return err
		}
		for _, row := range rows {
			modes[row[0]] = Mode(row[1])
		}
	}
	for _, table := range reportTables {
		s.tables[table] = sourceTable{s.tables[table].columns, modes[s.name(table)]}
	}
	s.tables[t.Name] = now
	return nil
}

// made is the statement that each view was last made with, as it was written down; nothing of those of which nothing was.
func (s *sources) made(ctx context.Context, conn querier) (map[string]string, error) {
	made := map[string]string{}
	have, err := s.columnsOf(ctx, conn, s.dataset, schemasTable)
	if err != nil || len(have) == 0 {
		return made, err
	}
	what := s.quote("change")
	rows, err := pairs(ctx, conn, "SELECT "+what+", ddl FROM "+s.table(s.dataset, schemasTable)+" WHERE LEFT("+what+", 12) = 'view report_' ORDER BY changed_at")
	for _, row := range rows {
		view, _, _ := strings.Cut(strings.TrimPrefix(row[0], viewMade), ",")
		made[view] = row[1]
	}
	return made, err
}

// pairs asks for rows of two texts.
func pairs(ctx context.Context, conn querier, query string) (all [][2]string, err error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row [2]string
		if err := rows.Scan(&row[0], &row[1]); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// emptied is the change that makes a view rest on nothing, so that it binds no column of a table: it has its columns, and no rows. It returns their
// names too.
func (d *dialect) emptied(dataset string, r report) (change Change, names []string) {
	view := r.of(&sources{dialect: d, dataset: dataset})
	for i := range view.columns {
		view.columns[i].sql = "NULL"
		names = append(names, d.name(view.columns[i].name))
	}
	view.with, view.from = nil, "\nWHERE FALSE"
	return Change{viewMade + r.name + ", without rows until a column of its tables is wider", []string{d.report(dataset, r.name, view)}}, names
}
