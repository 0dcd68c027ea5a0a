package sink

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// snowflakeDialect is Snowflake's. Names are upper case, as Snowflake makes those that nobody quotes, so that nobody has to.
var snowflakeDialect = &dialect{
	mark: `"`, escapes: true, longest: 255 - len(narrowed("")),
	fold: strings.ToUpper,
	types: []string{
		kindBool: "BOOLEAN", kindInt32: "NUMBER(38,0)", kindInt64: "NUMBER(38,0)", kindFloat64: "FLOAT",
		kindTimestamp: "TIMESTAMP_TZ", kindText: "VARCHAR", kindJSON: "VARIANT",
	},
	kinds: map[string]kind{"NUMBER": kindInt64, "FIXED": kindInt64, "REAL": kindFloat64, "TEXT": kindText},
	parse: "PARSE_JSON(%s)", plain: "TO_JSON(%s)", json: "TO_VARIANT(%s)",
	iso:    `TO_CHAR(CONVERT_TIMEZONE('UTC', %s), 'YYYY-MM-DD"T"HH24:MI:SS.FF3"Z"')`,
	millis: "TO_VARCHAR(DATE_PART(EPOCH_MILLISECOND, %s))",
	merge:  true,
	viewIf: true,
	unnest: func(column string) unnested {
		return unnested{", LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(" + column + "), " + column + ", NULL)) AS e", "e.index", "e.value",
			"IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR))"}
	},
	say: &phrases{
		epoch: "DATE_PART(EPOCH_MILLISECOND, %s)", day: "TO_DATE(CONVERT_TIMEZONE('UTC', %s))", hour: "DATE_TRUNC('HOUR', CONVERT_TIMEZONE('UTC', %s))", list: "LISTAGG(%[1]s, ', ') WITHIN GROUP (ORDER BY %[1]s)",
		field: func(json string, path ...string) string {
			return "CAST(GET_PATH(" + json + ", '" + strings.Join(path, ".") + "') AS VARCHAR)"
		},
	},
}

// snowflakeLock begins a transaction that others wait for: an UPDATE locks what it changes until the transaction ends, and later
// statements see what was committed before they began (Snowflake, "Transactions": READ COMMITTED, resource locking). INSERT alone locks
// nothing, so the ledger itself would not do.
func snowflakeLock(dataset string) []string {
	return []string{"BEGIN", "UPDATE " + snowflakeDialect.table(dataset, lockTable) + " SET turns = turns + 1"}
}

// snowflakeMerge reads what a MERGE did from its result, one row of counts.
func snowflakeMerge(ctx context.Context, conn *sql.Conn, statement string) (stats Stats, err error) {
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return stats, err
	}
	counts, into := make([]sql.NullInt64, len(columns)), make([]any, len(columns))
	for i := range into {
		into[i] = &counts[i]
	}
	if !rows.Next() {
		return stats, errors.Join(rows.Err(), errors.New("MERGE has no result"))
	}
	if err := rows.Scan(into...); err != nil {
		return stats, err
	}
	for i, column := range columns {
		switch strings.ToLower(column) {
		case "number of rows inserted":
			stats.Inserted = counts[i].Int64
		case "number of rows updated", "number of rows deleted":
			stats.Updated += counts[i].Int64
		}
	}
	return stats, rows.Err()
}

// snowflakeDigits is what a NUMBER holds; of numbers in VARIANT with more of them, Snowflake keeps a double (Snowflake,
// "Semi-structured data types").
const snowflakeDigits = 38

// snowflakeCheck refuses numbers in JSON that would become others.
func snowflakeCheck(k kind, _ bool, values arrow.Array) error {
	if k != kindJSON {
		return nil
	}
	text := values.(*array.String)
	for i := range text.Len() {
		if text.IsNull(i) {
			continue
		}
		d := json.NewDecoder(strings.NewReader(text.Value(i)))
		d.UseNumber()
		for {
			token, err := d.Token()
			if err != nil {
				break // the end: readable has seen that it is JSON
			}
			if n, ok := token.(json.Number); ok && !snowflakeHolds(n) {
				return fmt.Errorf("the number %.60s has more digits than VARIANT holds", n)
			}
		}
	}
	return nil
}

func snowflakeHolds(n json.Number) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(canonicalNumber(string(n))), "e")
	digits := strings.Trim(strings.ReplaceAll(strings.TrimPrefix(mantissa, "-"), ".", ""), "0")
	return len(digits) <= snowflakeDigits && exponent == ""
}
