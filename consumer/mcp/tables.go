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
	Columns  int        `json:"columns"`
	LastLoad *time.Time `json:"last_load"` // null: nothing is loaded yet
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
		Examples  []inspect.Question `json:"examples"`
	}{s.place(), s.engine(), []table{}, inspect.Questions(s.look.Dataset)}
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
		return nil
	})
	return out, err
}

func (s *Server) describe(ctx context.Context, name string) (any, error) {
	r, err := s.resource(name)
	if err != nil {
		return nil, err
	}
	out := struct {
		Table   string   `json:"table"`
		Holds   string   `json:"holds"`
		Schema  int      `json:"schema_version"` // 0: the registry has none yet
		Columns []column `json:"columns"`
		Note    string   `json:"note"`
	}{Table: s.look.Dataset + "." + r.Name, Holds: r.Doc(), Columns: []column{}, Note: "Rows of deleted records stay, with _deleted_at set: WHERE _deleted_at IS NULL leaves them out."}
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
