package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tilestream/internal/ops"
)

// Answer is the result of a query: a value of the driver's for each column of each row.
type Answer struct {
	Columns []string
	Rows    [][]any
	More    bool // there are more rows than were asked for
}

// Query asks the warehouse one question and returns up to most rows. The question is what SELECT takes, or WITH: it is asked as a part of a SELECT, in a
// transaction that only reads, which the engine enforces; ctx bounds its time. A question that is not one, that the
// engine refuses, or that reaches beyond the tables, is an *ops.UsageError. Of warehouses, DuckDB and PostgreSQL can be asked.
func (v *View) Query(ctx context.Context, question string, most int) (*Answer, error) {
	if v.how.single == nil {
		return nil, ops.Usagef("this kind of warehouse cannot be asked from here: ask it where you ask it else")
	}
	question = strings.TrimRight(strings.TrimSpace(question), ";")
	if question == "" {
		return nil, ops.Usagef("there is no question: SELECT …")
	}
	asked := fmt.Sprintf("SELECT * FROM (\n%s\n) AS answer LIMIT %d", question, most+1) // what is not a query cannot stand there
	if err := v.reach(ctx, question); err != nil {
		return nil, err
	}
	if err := v.how.single(ctx, v.conn, asked); err != nil {
		return nil, refusedQuestion(ctx, err)
	}
	rows, err := v.conn.QueryContext(ctx, asked)
	if err != nil {
		return nil, refusedQuestion(ctx, err)
	}
	defer rows.Close()
	a := &Answer{}
	if a.Columns, err = rows.Columns(); err != nil {
		return nil, err
	}
	for rows.Next() {
		if len(a.Rows) == most {
			a.More = true
			break
		}
		values, into := make([]any, len(a.Columns)), make([]any, len(a.Columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		a.Rows = append(a.Rows, values)
	}
	if err := rows.Err(); err != nil {
		return nil, refusedQuestion(ctx, err)
	}
	return a, nil
}

// refusedQuestion tells a question that took too long from one that is wrong.
func refusedQuestion(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ops.Usagef("the answer took too long: ask for less, such as one month of it")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return ops.Usagef("%w", err)
}
