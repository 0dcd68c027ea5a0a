package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// databricksDialect is that of Databricks SQL. Unity Catalog keeps names in lower case, and refuses blanks, dots and slashes in those of
// tables. JSON is text, exactly as it came: VARIANT would round numbers and refuse those beyond a double. Column paths
// (attributes:client.name) work on it as well. The comment tells readers which columns it is in.
var databricksDialect = &dialect{
	mark: "`", escapes: true, longest: 255 - len(narrowed("")),
	fold:  strings.ToLower,
	legal: func(rune) bool { return false },
	types: []string{
		kindBool: "BOOLEAN", kindInt32: "INT", kindInt64: "BIGINT", kindFloat64: "DOUBLE",
		kindTimestamp: "TIMESTAMP", kindText: "STRING", kindJSON: databricksJSON,
	},
	json:   `regexp_extract(to_json(array(%s)), '^.(.*).$', 1)`,
	iso:    `date_format(%s, 'yyyy-MM-dd\'T\'HH:mm:ss.SSS\'Z\'')`,
	merge:  true,
	viewIf: true,
	unnest: func(column string) unnested { // of an object's members each has a key
		return unnested{", LATERAL variant_explode(try_parse_json(" + column + ")) AS e WHERE e.key IS NULL", "e.pos", "to_json(e.value)",
			"CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END"}
	},
	say: &phrases{
		epoch: "unix_millis(%s)", day: "CAST(to_utc_timestamp(%s, current_timezone()) AS DATE)", hour: "timestamp_millis(unix_millis(%[1]s) - pmod(unix_millis(%[1]s), 3600000))",
		list: "array_join(array_sort(collect_list(%s)), ', ')",
		field: func(json string, path ...string) string {
			return "get_json_object(" + json + ", '$." + strings.Join(path, ".") + "')"
		},
	},
	// DELETE with a subquery is not in Delta Lake itself, and only the result of MERGE tells inserted rows from updated ones.
	only:     true,
	describe: databricksColumns,
}

const databricksJSON = "STRING COMMENT 'JSON'"

// databricksProperties let columns be renamed and dropped, and make two statements that change a table at once conflict even where both
// only insert: without deletion vectors there is no row-level concurrency, which tells conflicts by the rows that were there
// (Databricks, "Isolation levels and write conflicts").
const databricksProperties = "\nTBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false')"

const databricksRaise = "raise_error(%s)"

func databricksCreate(t Table) string {
	return "\nCLUSTER BY (" + databricksDialect.quote(t.Key) + ")"
}

// databricksColumns describes a table. information_schema is filled a while after a change.
func databricksColumns(ctx context.Context, conn querier, table string) (map[string]string, error) {
	rows, err := conn.QueryContext(ctx, "DESCRIBE TABLE "+table)
	if err != nil {
		if said := err.Error(); strings.Contains(said, "TABLE_OR_VIEW_NOT_FOUND") || strings.Contains(said, "SCHEMA_NOT_FOUND") {
			return nil, nil
		}
		return nil, err
	}
	defer rows.Close()
	have := map[string]string{}
	for rows.Next() {
		var name, typ, comment sql.NullString
		if err := rows.Scan(&name, &typ, &comment); err != nil {
			return nil, err
		}
		if name.String == "" || strings.HasPrefix(name.String, "#") {
			break // what follows is no column
		}
		typ.String = strings.ToUpper(typ.String)
		if typ.String == "STRING" && strings.HasPrefix(comment.String, "JSON") {
			typ.String = databricksJSON
		}
		have[name.String] = typ.String
	}
	return have, rows.Err()
}

// databricksMerge reads what a MERGE did from its result.
func databricksMerge(ctx context.Context, conn *sql.Conn, statement string) (stats Stats, err error) {
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return stats, err
	}
	counts := make([]sql.NullInt64, len(columns))
	into := make([]any, len(columns))
	for i := range into {
		into[i] = &counts[i]
	}
	if !rows.Next() {
		return stats, errors.Join(rows.Err(), fmt.Errorf("MERGE has no result"))
	}
	if err := rows.Scan(into...); err != nil {
		return stats, err
	}
	for i, column := range columns {
		switch column {
		case "num_inserted_rows":
			stats.Inserted = counts[i].Int64
		case "num_updated_rows", "num_deleted_rows":
			stats.Updated += counts[i].Int64
		}
	}
	return stats, rows.Err()
}
