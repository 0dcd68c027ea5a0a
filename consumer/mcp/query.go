package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"tilestream/internal/ops"
)

const (
	usualRows = 100
	mostRows  = 1000
	mostBytes = 256 << 10 // of an answer's rows, as JSON
)

// answer is the result of a query.
type answer struct {
	Columns []string            `json:"columns"`
	Rows    [][]json.RawMessage `json:"rows"`
	Cut     string              `json:"cut,omitempty"` // why rows are missing; "" where none are
	Note    string              `json:"note"`
}

func (s *Server) addQuery() {
	type question struct {
		SQL  string `json:"sql" jsonschema:"one SELECT, or WITH … SELECT, with tables as DATASET.TABLE"`
		Rows int    `json:"max_rows,omitempty" jsonschema:"the most rows to return, from 1 to 1000; 100 where it is left out"`
	}
	add(s, reads("query", "Query the warehouse", fmt.Sprintf("Asks the warehouse one SELECT in %s SQL and returns its rows. It reads and nothing else: at most %d rows, %d KiB and half a minute; \"cut\" says where rows are missing. "+
		"Aggregate in SQL rather than reading many rows. %s", s.engine(), mostRows, mostBytes>>10, Strangers)),
		func(ctx context.Context, in question) (any, error) { return s.query(ctx, in.SQL, in.Rows) })
}

func (s *Server) query(ctx context.Context, sql string, most int) (any, error) {
	most = cmp.Or(most, usualRows)
	if most < 1 || most > mostRows {
		return nil, ops.Usagef("max_rows is %d: it takes 1 to %d", most, mostRows)
	}
	a, err := s.look.Ask(ctx, sql, most)
	var usage *ops.UsageError
	if errors.As(err, &usage) {
		return nil, fmt.Errorf("%w\nWhat to do: tables and describe give the names and types; ask one SELECT in the SQL of %s", err, s.engine())
	}
	if err != nil {
		return nil, err
	}
	out := answer{Columns: a.Columns, Rows: [][]json.RawMessage{}, Note: Strangers}
	if a.More {
		out.Cut = fmt.Sprintf("there are more than these %d rows: aggregate, or ask for fewer columns and with LIMIT and ORDER BY", most)
	}
	room := mostBytes
	for _, values := range a.Rows {
		row := make([]json.RawMessage, len(values))
		for i, v := range values {
			row[i] = value(v)
			room -= len(row[i])
		}
		if room < 0 {
			out.Cut = fmt.Sprintf("the answer is longer than %d KiB: these are its first %d rows; ask for fewer columns, or shorter ones", mostBytes>>10, len(out.Rows))
			break
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}
