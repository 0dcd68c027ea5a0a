package sink

import (
	"strings"
	"unicode"
)

// redshiftDialect is Amazon Redshift's. Where its words are those of PostgreSQL 8.0, from which it comes, they need not mean what they
// mean in PostgreSQL today. Its MERGE has no conditions, so rows are merged with UPDATE and INSERT (Database Developer Guide, "MERGE").
var redshiftDialect = &dialect{
	// 127 bytes ("Names and identifiers"), of which narrowed takes some.
	longest: 127 - len(narrowed("")),
	fold:    strings.ToLower, // quoted names too, unless enable_case_sensitive_identifier is on
	legal:   unicode.IsPrint,
	reserved: func(name string) bool { // the same page, "System column names"
		switch name {
		case "oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid":
			return true
		}
		return false
	},
	mark: `"`,
	// Redshift has no standard_conforming_strings, so whether a backslash escapes is better not asked.
	verbatim: func(s string) string {
		return strings.ReplaceAll(quoted(s), `\`, `' || CHR(92) || '`)
	},
	types: []string{
		kindBool: "BOOLEAN", kindInt32: "INTEGER", kindInt64: "BIGINT", kindFloat64: "DOUBLE PRECISION",
		kindTimestamp: "TIMESTAMPTZ", kindText: "VARCHAR(65535)", kindJSON: "SUPER",
	},
	kinds: map[string]kind{
		// the catalogue, in lower case
		"BOOLEAN": kindBool, "INTEGER": kindInt32, "BIGINT": kindInt64, "DOUBLE PRECISION": kindFloat64, "TIMESTAMP WITH TIME ZONE": kindTimestamp, "CHARACTER VARYING": kindText, "SUPER": kindJSON,
		"BOOL": kindBool, "INT4": kindInt32, "INT8": kindInt64, "FLOAT8": kindFloat64, "VARCHAR": kindText, "4000": kindJSON, // the driver; SUPER it knows by number only
	},
	parse: "JSON_PARSE(%s)", plain: "JSON_SERIALIZE(%s)", json: "CAST(%s AS SUPER)",
	truth: "CASE WHEN %[1]s THEN 'true' WHEN NOT %[1]s THEN 'false' END", // no CAST makes a text of a boolean
	iso:   `TO_CHAR(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
	unnest: func(column string) unnested { // "Querying semistructured data", "Unnesting queries"; of what is no array there is one element
		return unnested{", " + column + " AS e AT n WHERE IS_ARRAY(" + column + ")", "n", "e", "CASE WHEN NOT IS_ARRAY(e) AND NOT IS_OBJECT(e) THEN CAST(e AS VARCHAR(65535)) END"}
	},
	say: &phrases{
		epoch: "DATEDIFF(MILLISECOND, TIMESTAMPTZ '1970-01-01 00:00:00+00', %s)", day: "CAST(%s AT TIME ZONE 'UTC' AS DATE)", hour: "DATE_TRUNC('hour', %s AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'",
		list: "LISTAGG(%[1]s, ', ') WITHIN GROUP (ORDER BY %[1]s)",
		field: func(json string, path ...string) string {
			at := json + "." + strings.Join(path, ".")
			return "CASE WHEN JSON_TYPEOF(" + at + ") = 'string' THEN CAST(" + at + " AS VARCHAR(65535)) END"
		},
	},
	viewEnd: "\nWITH NO SCHEMA BINDING", // else no column of the table can be altered
	columns: func(dataset, table string) string {
		return "SELECT column_name, data_type FROM svv_columns WHERE table_schema = " + quoted(dataset) + " AND table_name = " + quoted(table)
	},
}

// redshiftLock makes writers of a dataset take turns. LOCK waits for the table (Database Developer Guide, "LOCK") and is none of the
// statements that take a transaction's snapshot, which are "most SELECT statements", DML and some DDL ("Serializable isolation"): so
// what the ledger shows after it is what the writer before has committed. Two that came to overlap all the same, as both have written to
// the ledger, would end in error 1023: see redshiftConflict. The table is one that nobody reads, since LOCK keeps readers out too.
func redshiftLock(dataset string) []string {
	return []string{"BEGIN", "LOCK TABLE " + redshiftDialect.table(dataset, lockTable)}
}

// redshiftCreate spreads and sorts a table by its key, so that a merge finds a key's row on one slice.
func redshiftCreate(t Table) string {
	key := redshiftDialect.quote(t.Key)
	return "\nDISTSTYLE KEY DISTKEY (" + key + ") SORTKEY (" + key + ")"
}
