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
	// DuckDB writes 1 as 1.0, and has no exponent below 1e16.
	number: `CASE WHEN %[1]s = trunc(%[1]s) AND abs(%[1]s) < 1e15 THEN CAST(CAST(%[1]s AS BIGINT) AS VARCHAR)
		WHEN abs(%[1]s) >= 1e15 AND abs(%[1]s) < 1e16 THEN regexp_replace(regexp_replace(replace(CAST(%[1]s AS VARCHAR), '.', ''), '0+$', ''), '^(-?\d)(\d+)$', '\1.\2') || 'e+15'
		ELSE CAST(%[1]s AS VARCHAR) END`,
	viewIf: true,
	unnest: func(column string) unnested {
		return unnested{", unnest(CASE json_type(" + column + ") WHEN 'ARRAY' THEN CAST(" + column + " AS JSON[]) END) WITH ORDINALITY AS e(value, n)", "e.n - 1", "coalesce(e.value, JSON 'null')",
			"CASE WHEN json_type(e.value) IN ('OBJECT', 'ARRAY', 'NULL') THEN NULL ELSE e.value->>'$' END"}
	},
	say: &phrases{
		epoch: "epoch_ms(%s)", day: "CAST(%s AT TIME ZONE 'UTC' AS DATE)", hour: "date_trunc('hour', %s AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'", list: "string_agg(%[1]s, ', ' ORDER BY %[1]s)",
		field: func(json string, path ...string) string {
			return "(" + json + " ->> '$." + strings.Join(path, ".") + "')"
		},
	},
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
