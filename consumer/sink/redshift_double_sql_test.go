package sink

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/jackc/pgx/v5/pgconn"
)

// redshiftLacks is what the Database Developer Guide does not have, lists as unsupported, or says that it must not be.
var redshiftLacks = []struct {
	words *regexp.Regexp
	says  string
}{
	{regexp.MustCompile(`(?i)\bON CONFLICT\b`), "INSERT ... ON CONFLICT"},
	{regexp.MustCompile(`(?i)\bRETURNING\b`), "RETURNING"},
	{regexp.MustCompile(`(?i)\bIS (NOT )?DISTINCT FROM\b`), "IS DISTINCT FROM"},
	{regexp.MustCompile(`(?i)\bMERGE INTO\b.*\bWHEN (NOT )?MATCHED AND\b`), "a condition in MERGE"},
	{regexp.MustCompile(`(?i)\bIF NOT EXISTS\b.*\bADD COLUMN|\bADD COLUMN IF\b`), "ADD COLUMN IF NOT EXISTS"},
	{regexp.MustCompile(`(?i)\bADD COLUMN\b.*\bADD COLUMN\b`), "two columns in one ALTER TABLE"},
	{regexp.MustCompile(`(?i)\bALTER COLUMN\b.*\bTYPE (VARCHAR)?`), "a change of a column's type"},
	{regexp.MustCompile(`(?i)\bFOR (UPDATE|SHARE)\b`), "SELECT ... FOR UPDATE"},
	{regexp.MustCompile(`(?i)\bJSONB?\b`), "JSON types"},
	{regexp.MustCompile(`(?i)\bTEXT\b|\bVARCHAR\b[^(]|\bVARCHAR$`), "a VARCHAR without a length (it would be 256 bytes)"},
	{regexp.MustCompile(`(?i)\bVARCHAR\((\d{6,}|6553[6-9]|655[4-9]\d|65[6-9]\d\d|6[6-9]\d{3}|[7-9]\d{4})\)`), "a VARCHAR of more than 65535 bytes"},
	{regexp.MustCompile(`(?i)\bCREATE (UNIQUE )?INDEX\b`), "indexes"},
	{regexp.MustCompile(`(?i)\bFILTER \(`), "FILTER"},
	{regexp.MustCompile(`(?i)\b(ARRAY\[|UNNEST\()`), "arrays"},
	{regexp.MustCompile(`(?i)\bDO \$|\$\d`), "parameters"},
	{regexp.MustCompile(`(?i)\bFULL (OUTER )?JOIN\b|\bRIGHT (OUTER )?JOIN\b`), "right and full joins, which SUPER must not be in"},
	{regexp.MustCompile(`(?i)^UPDATE \S+ AS held .*\nFROM [^(]*\b(LEFT|RIGHT|FULL) JOIN\b`), "outer joins with the target of an UPDATE"},
	{regexp.MustCompile(`(?i)\b(DISTKEY|SORTKEY)\b.*\bSUPER\b.*\bKEY\b`), "a key of SUPER"},
}

// redshiftWords are statements as PostgreSQL has them, in this order.
var redshiftWords = []struct {
	words *regexp.Regexp
	into  string
}{
	{regexp.MustCompile(`(?i)CAST\((.+?) AS SUPER\)`), "to_jsonb($1)"},
	{regexp.MustCompile(`, (\S+) AS e AT n\b`), " CROSS JOIN LATERAL (SELECT ordinality - 1 AS n, value AS e FROM jsonb_array_elements(CASE jsonb_typeof($1) WHEN 'array' THEN $1 ELSE jsonb_build_array($1) END) WITH ORDINALITY) AS unnested"},
	{regexp.MustCompile(`(?i)\bIS_(ARRAY|OBJECT)\(([^)]+)\)`), "(jsonb_typeof($2) = lower('$1'))"},
	{regexp.MustCompile(`(?i)\bCAST\(e AS VARCHAR\(65535\)\)`), "(e #>> '{}')"},
	{regexp.MustCompile(`(?i)\s+WITH NO SCHEMA BINDING$`), ""},
	{regexp.MustCompile(`(?i)\bJSON_PARSE\(`), "jsonb("},
	{regexp.MustCompile(`(?i)\bJSON_SERIALIZE\(`), "text("},
	{regexp.MustCompile(`(?i)\bSUPER\b`), "jsonb"},
	{regexp.MustCompile(`(?i)\s*\bDISTSTYLE KEY DISTKEY \([^)]*\) SORTKEY \([^)]*\)`), ""},
	{regexp.MustCompile(`(?i)\bGETDATE\(\)`), "clock_timestamp()"},
	// The snapshot of such a transaction is not taken by BEGIN, nor by LOCK, but by what comes after, as in Redshift.
	{regexp.MustCompile(`(?i)^BEGIN READ ONLY$`), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
	{regexp.MustCompile(`(?i)^BEGIN$`), "BEGIN ISOLATION LEVEL SERIALIZABLE"},
	{regexp.MustCompile(`(?i)\bsvv_columns\b`), "(SELECT table_schema::text, table_name::text, column_name::text, CASE data_type WHEN 'jsonb' THEN 'super' ELSE data_type END AS data_type FROM information_schema.columns) AS svv_columns"},
}

// translate makes a statement of PostgreSQL of one of Redshift, or refuses it.
func (d *redshiftDouble) translate(sql string) (string, error) {
	var kept []string
	var out strings.Builder
	keep := func(s string) { fmt.Fprintf(&out, "\ue000%d\ue001", len(kept)); kept = append(kept, s) }
	catalogue := strings.Contains(sql, "svv_columns")
	for rest := sql; rest != ""; {
		at := strings.IndexAny(rest, `'"`)
		if at < 0 {
			out.WriteString(rest)
			break
		}
		out.WriteString(rest[:at])
		mark := rest[at : at+1]
		text, size := unquote(rest[at:])
		rest = rest[at+size:]
		switch {
		case mark == "'" && strings.Contains(text, `\`):
			return "", refusal("a backslash in a literal: "+sql, "it may or may not be an escape")
		case mark == "'" && catalogue:
			keep(quoted(d.shortName(text)))
		case mark == "'":
			keep(quoted(text))
		case len(text) > 127 || text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
			return "", &pgconn.PgError{Severity: "ERROR", Code: "42602", Message: fmt.Sprintf("invalid name %q", text)}
		default:
			keep(redshiftDialect.quoted(d.shortName(lowerASCII(text)))) // quoted or not, names are folded
		}
	}
	skeleton := out.String()
	for _, l := range redshiftLacks {
		if l.words.MatchString(skeleton) {
			return "", &pgconn.PgError{Severity: "ERROR", Code: "42601", Message: "Redshift has no " + l.says, Detail: sql}
		}
	}
	for _, w := range redshiftWords {
		skeleton = w.words.ReplaceAllString(skeleton, w.into)
	}
	for i, k := range kept {
		skeleton = strings.ReplaceAll(skeleton, fmt.Sprintf("\ue000%d\ue001", i), k)
	}
	return skeleton, nil
}

// unquote reads the literal, or the quoted name, that a text begins with.
func unquote(s string) (text string, size int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] == s[0] {
			if i+1 == len(s) || s[i+1] != s[0] {
				return b.String(), i + 1
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), len(s)
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// TestRedshiftDouble: what stands in for Redshift refuses what Redshift does, and changes no text.
func TestRedshiftDouble(t *testing.T) {
	d := &redshiftDouble{long: map[string]string{}}
	for _, sql := range []string{
		`INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING`, `DELETE FROM t RETURNING a`, `SELECT a IS NOT DISTINCT FROM b`, `ALTER TABLE t ADD COLUMN IF NOT EXISTS a BIGINT`,
		`ALTER TABLE t ADD COLUMN a BIGINT, ADD COLUMN b BIGINT`, `CREATE TABLE t (a jsonb)`, `CREATE TABLE t (a TEXT)`, `CREATE TABLE t (a VARCHAR)`, `CREATE TABLE t (a VARCHAR, b BIGINT)`,
		`CREATE TABLE t (a VARCHAR(70000))`, `SELECT 1 FOR UPDATE`, `SELECT 'a\b'`, `SELECT "a` + "\n" + `"`, `SELECT $1`, `SELECT "` + strings.Repeat("x", 128) + `"`,
		`MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b > t.b THEN UPDATE SET b = s.b`, `ALTER TABLE t ALTER COLUMN a TYPE BIGINT`,
	} {
		if got, err := d.translate(sql); err == nil {
			t.Errorf("%s: taken, as %s", sql, got)
		}
	}
	for sql, want := range map[string]string{
		`SELECT 'SUPER', "SUPER", 'it''s "RETURNING"', CAST(TO_CHAR("a", 'x') AS SUPER)`:                      `SELECT 'SUPER', "super", 'it''s "RETURNING"', to_jsonb(TO_CHAR("a", 'x'))`,
		`CREATE TABLE "t" ("a" SUPER, b VARCHAR(65535))` + "\n" + `DISTSTYLE KEY DISTKEY ("b") SORTKEY ("b")`: `CREATE TABLE "t" ("a" jsonb, b VARCHAR(65535))`,
	} {
		if got, err := d.translate(sql); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", sql, got, err, want)
		}
	}
}
