package mcp

import (
	"context"
	"time"

	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
)

// table is one as an agent is told of it.
type table struct {
	Name     string     `json:"name"` // as SQL knows it
	Holds    string     `json:"holds"`
	Columns  int        `json:"columns"`   // 0: the table is made with the first record
	LastLoad *time.Time `json:"last_load"` // null: nothing is loaded yet
}

// view is one that answers what people ask.
type view struct {
	Name  string `json:"name"`
	Holds string `json:"holds"`
}

// column is one as an agent is told of it.
type column struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Meaning string `json:"meaning,omitempty"`
	Since   int    `json:"since_schema_version,omitempty"` // 0: every table has it
}

func (s *Server) addTables() {
	type named struct {
		Table string `json:"table" jsonschema:"name of a table, as tables gives it, such as messages"`
	}
	add(s, reads("tables", "List tables", "Lists the tables of support conversations: what each holds, how many columns it has, when it was loaded last. Start here."),
		func(ctx context.Context, _ struct{}) (any, error) { return s.tables(ctx) })
	add(s, reads("describe", "Describe a table", "Shows the columns of a table: name, type and what each means."),
		func(ctx context.Context, in named) (any, error) { return s.describe(ctx, in.Table) })
}

func (s *Server) tables(ctx context.Context) (any, error) {
	out := struct {
		Warehouse string             `json:"warehouse"`
		SQL       string             `json:"sql"`
		Tables    []table            `json:"tables"`
		Views     []view             `json:"views"`
		Examples  []inspect.Question `json:"examples"`
	}{s.place(), s.engine(), []table{}, []view{}, s.look.Questions()}
	err := s.look.View(ctx, func(v *sink.View) error {
		for _, r := range s.look.Resources {
			columns, err := v.Columns(ctx, inspect.TableOf(r))
			if err != nil {
				return err
			}
			t := table{Name: s.look.Dataset + "." + r.Name, Holds: r.Doc(), Columns: len(columns)}
			for l, err := range v.Loads(ctx, r.Name, 1) {
				if err != nil {
					return err
				}
				at := l.Began.Add(l.Took)
				t.LastLoad = &at
			}
			out.Tables = append(out.Tables, t)
		}
		for _, r := range sink.Reports() {
			columns, err := v.Columns(ctx, sink.Table{Name: r.Name})
			if err != nil {
				return err
			}
			if len(columns) > 0 {
				out.Views = append(out.Views, view{s.look.Dataset + "." + r.Name, r.Holds})
			}
		}
		return nil
	})
	return out, err
}

// described is a table, or a view, with its columns.
type described struct {
	Table   string   `json:"table"`
	Holds   string   `json:"holds"`
	Schema  int      `json:"schema_version,omitempty"` // 0: the registry has none yet, or it is a view
	Columns []column `json:"columns"`
	Note    string   `json:"note"`
}

func (s *Server) describe(ctx context.Context, name string) (any, error) {
	for _, r := range sink.Reports() {
		if r.Name == unqualified(name) {
			return s.describeView(ctx, r)
		}
	}
	r, err := s.resource(name)
	if err != nil {
		return nil, err
	}
	out := described{Table: s.look.Dataset + "." + r.Name, Holds: r.Doc(), Columns: []column{},
		Note: "Rows of deleted records stay, with _deleted_at set: WHERE _deleted_at IS NULL leaves them out. A JSON column that holds arrays has a view TABLE__COLUMN, with a row for each element."}
	fields, version, err := s.look.Describe(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		out.Note = "There is no such table yet: it is made with the first record."
	}
	for _, f := range fields {
		out.Columns = append(out.Columns, column(f))
	}
	out.Schema = version
	return out, nil
}

func (s *Server) describeView(ctx context.Context, r sink.Report) (any, error) {
	out := described{Table: s.look.Dataset + "." + r.Name, Holds: r.Holds, Columns: []column{}, Note: "A view, computed when it is asked: for one conversation the tables are faster."}
	err := s.look.View(ctx, func(v *sink.View) error {
		columns, err := v.Columns(ctx, sink.Table{Name: r.Name})
		for _, c := range columns {
			out.Columns = append(out.Columns, column{Name: c.Name, Type: c.Type()})
		}
		return err
	})
	if len(out.Columns) == 0 {
		out.Note = "There is no such view yet, or REPORT_VIEWS is off."
	}
	return out, err
}
