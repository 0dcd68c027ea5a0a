package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tilestream/internal/ops"
)

// A question reads one state of the tables, and the engine keeps it from writing. What the engine does not keep it from is the rest of what
// the connection may do: a superuser of PostgreSQL reads files with a function, and both engines have functions that show
// settings and sessions, run a text as SQL, call other hosts, or change the server without writing a row. Those are refused by name.
//
// Names are looked for in the whole text, in literals and comments too: whoever tells these apart differently from the engine is
// deceived. So a question that only quotes such a name is refused as well.

// word is a name, and what tells that it may be called: a parenthesis, or a comment that may hide one.
var word = regexp.MustCompile(`([\pL_][\pL\pN_$]*)"?[\s\v\pZ\pC]*(\(|/\*|--)?`)

// reaching are names that are of no table of ours, and functions that are none of the hazards that an engine knows.
var reaching = regexp.MustCompile(`^(pg_.*|duckdb_.*|pragma_.*|sqlite_.*|current_setting|getvariable|getenv|.*_to_xml.*|_pg_.*|user_mapping_options|foreign_\w+_options)$`)

// innocent are names that look like reaching ones.
var innocent = []string{"pg_typeof", "pg_size_pretty"}

// duckHazards are functions that read something else than their arguments, or have an effect.
const duckHazards = `SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_name IN (%s)
	AND (function_type IN ('table', 'table_macro', 'pragma') AND function_name NOT IN ('generate_series', 'histogram', 'histogram_values', 'json_each', 'json_tree', 'range', 'repeat', 'unnest')
	OR stability = 'VOLATILE' AND function_name NOT IN ('error', 'gen_random_uuid', 'random', 'stats', 'uuid', 'uuidv4', 'uuidv7'))`

// pgHazards are volatile functions: they have an effect, or read something else than the tables. Functions of extensions and of users
// are hazards unless they are immutable: what they do is not known.
const pgHazards = `SELECT DISTINCT proname::text FROM pg_catalog.pg_proc WHERE proname IN (%s)
	AND (provolatile = 'v' AND proname NOT IN ('clock_timestamp', 'gen_random_uuid', 'random', 'timeofday')
	OR provolatile <> 'i' AND pronamespace <> 'pg_catalog'::regnamespace)`

// reach is an *ops.UsageError for a question that names what is beyond the tables.
func (v *View) reach(ctx context.Context, question string) error {
	if strings.Contains(strings.ToLower(question), `u&"`) {
		return ops.Usagef(`names with escapes (U&"…") are refused: write the name itself`)
	}
	var called []string
	for _, m := range word.FindAllStringSubmatch(question, -1) {
		name := strings.ToLower(m[1])
		if reaching.MatchString(name) && !slices.Contains(innocent, name) {
			return beyond(name)
		}
		if m[2] != "" {
			called = append(called, v.dialect.literal(name))
		}
	}
	if len(called) == 0 {
		return nil
	}
	slices.Sort(called)
	var name string
	err := v.conn.QueryRowContext(ctx, fmt.Sprintf(v.how.hazards, strings.Join(slices.Compact(called), ", "))+" ORDER BY 1").Scan(&name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return refusedQuestion(ctx, err)
	}
	return beyond(name)
}

func beyond(name string) error {
	return ops.Usagef("%s is refused: it reaches beyond the tables, to files, settings, sessions, other databases or the server itself; ask with tables and plain functions", name)
}
