package sink

import "strings"

// duckDialect is DuckDB's, which reads files too where it is no destination.
var duckDialect = &dialect{
	mark: `"`,
	types: []string{
		kindBool: "BOOLEAN", kindInt32: "INTEGER", kindInt64: "BIGINT", kindFloat64: "DOUBLE",
		kindTimestamp: "TIMESTAMP WITH TIME ZONE", kindText: "VARCHAR", kindJSON: "JSON",
	},
	kinds: map[string]kind{"TIMESTAMPTZ": kindTimestamp}, // as the driver names it
	first: "CAST('-infinity' AS TIMESTAMP WITH TIME ZONE)",
	merge: true,
	// DuckDB does not tell names apart by case.
	columns: func(dataset, table string) string {
		return `SELECT column_name, data_type FROM duckdb_columns()
			WHERE database_name = current_database() AND lower(schema_name) = lower(` + quoted(dataset) + `) AND lower(table_name) = lower(` + quoted(table) + `)`
	},
}

func duckQuote(name string) string { return duckDialect.quoted(name) }

// quoted is a text as SQL has it where a backslash is like any other character.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "\x00", ""), "'", "''") + "'"
}

func duckLiteral(s string) string { return duckDialect.literal(s) }
