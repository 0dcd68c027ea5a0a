package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tilestream/internal/ops"
	"tilestream/schemas"
)

// Change is one that was made to a table.
type Change struct {
	At     time.Time
	Schema int64 // id of the schema that asked for it
	What   string
	DDL    string
}

const (
	changesShown = 200
	countTime    = 5 * time.Second
)

// Changes are the changes that were made to a resource's table, as the warehouse has them written down, the newest first; at most 200. There are none where it
// cannot be asked.
func (c Config) Changes(ctx context.Context, r schemas.Resource) (changes []Change, err error) {
	a, err := c.Ask(ctx, fmt.Sprintf(`SELECT changed_at, schema_id, "change", ddl FROM %s._tilestream_schemas WHERE table_name = '%s' ORDER BY changed_at DESC`, c.quoted(), r.Name), changesShown)
	var unasked *ops.UsageError
	if errors.As(err, &unasked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, row := range a.Rows {
		at, _ := row[0].(time.Time)
		id, _ := row[1].(int64)
		what, _ := row[2].(string)
		ddl, _ := row[3].(string)
		changes = append(changes, Change{at, id, what, ddl})
	}
	return changes, nil
}

// Counts are how many rows the resources' tables hold, those of deleted records and of older versions included, by the table's name. There are none where the
// warehouse cannot be asked, or takes longer than five seconds to count.
func (c Config) Counts(ctx context.Context, tables []string) map[string]int64 {
	if len(tables) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	var counts []string
	for _, name := range tables {
		counts = append(counts, fmt.Sprintf(`SELECT '%s' AS name, count(*) AS n FROM %s.%[1]s`, name, c.quoted()))
	}
	a, err := c.Ask(ctx, strings.Join(counts, "\nUNION ALL "), len(tables))
	if err != nil {
		return nil // a figure that is nice to have
	}
	out := map[string]int64{}
	for _, row := range a.Rows {
		name, _ := row[0].(string)
		out[name], _ = row[1].(int64)
	}
	return out
}
