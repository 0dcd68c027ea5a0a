package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	bq "cloud.google.com/go/bigquery"
)

// bigQueryDialect is that of GoogleSQL. Names keep to what needs no flexible column names, which the Storage APIs and Parquet exports
// write in another way ("Specify a schema", "Column names").
var bigQueryDialect = &dialect{
	mark: "`", escapes: true, longest: 300 - len(narrowed("")),
	fold:  bigQueryName,
	legal: func(rune) bool { return false },
	types: []string{
		kindBool: "BOOL", kindInt32: "BIGINT", // another word for INT64, which the catalogue says of both
		kindInt64: "INT64", kindFloat64: "FLOAT64", kindTimestamp: "TIMESTAMP", kindText: "STRING", kindJSON: "JSON",
	},
	kinds: map[string]kind{"BOOLEAN": kindBool, "INTEGER": kindInt64, "FLOAT": kindFloat64},
	parse: "PARSE_JSON(%s)", plain: "TO_JSON_STRING(%s)", json: "TO_JSON(%s)",
	iso:    `FORMAT_TIMESTAMP('%%Y-%%m-%%dT%%H:%%M:%%E3SZ', %s)`,
	merge:  true,
	viewIf: true,
	unnest: func(column string) unnested { // JSON_VALUE is null of what is no scalar
		return unnested{", UNNEST(IF(JSON_TYPE(" + column + ") = 'array', JSON_QUERY_ARRAY(" + column + "), NULL)) AS e WITH OFFSET AS n", "n", "e", "JSON_VALUE(e)"}
	},
	say: &phrases{
		epoch: "UNIX_MILLIS(%s)", day: "DATE(%s, 'UTC')", hour: "TIMESTAMP_TRUNC(%s, HOUR, 'UTC')", list: "STRING_AGG(%[1]s, ', ' ORDER BY %[1]s)",
		field: func(json string, path ...string) string {
			return "JSON_VALUE(" + json + ", '$." + strings.Join(path, ".") + "')"
		},
	},
	// The API answers at once and costs nothing. INFORMATION_SCHEMA is billed as a query of 10 MB at least.
	describe: func(context.Context, querier, string) (map[string]string, error) { return nil, nil },
}

// bigQueryName puts _ in front of a name that begins with a digit, and x of one that begins as no column may ("Specify a schema",
// "Column names"): both with a hash, so that they become no other's.
func bigQueryName(name string) string {
	front := ""
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		front = "_"
	}
	for _, reserved := range []string{"_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_SEQUENCE_NUMBER", "_CHANGE_TYPE", "_CHANGE_TIMESTAMP"} {
		if len(name) >= len(reserved) && strings.EqualFold(name[:len(reserved)], reserved) {
			front = "x"
		}
	}
	if front == "" {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return front + name + "_" + hex.EncodeToString(sum[:4])
}

// bigQueryCreate partitions a table by the day of extraction, where it has that, and clusters it by the key. A MERGE is billed for the
// columns that it compares and for the partitions that it changes ("DML syntax", "On-demand query size calculation"), so that
// days of long ago, of which nothing changes, cost what their keys do.
func bigQueryCreate(t Table) string {
	options := ""
	if t.Schema.HasField(extractedAt) {
		options = "\nPARTITION BY TIMESTAMP_TRUNC(" + bigQueryDialect.quote(extractedAt) + ", DAY)"
	}
	return options + "\nCLUSTER BY " + bigQueryDialect.quote(t.Key)
}

const extractedAt = "_extracted_at"

// columns asks for a table, whose name is quoted.
func (b *bigQuery) columns(ctx context.Context, _ querier, table string) (map[string]string, error) {
	dataset, name, _ := strings.Cut(strings.Trim(table, "`"), "`.`")
	within, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	// Without statistics, which take longer.
	m, err := b.client.Dataset(dataset).Table(name).Metadata(within, bq.WithMetadataView(bq.BasicMetadataView))
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have := make(map[string]string, len(m.Schema))
	for _, f := range m.Schema {
		have[f.Name] = string(f.Type)
		switch {
		case f.Repeated:
			have[f.Name] = "ARRAY of " + string(f.Type)
		case f.Type == bq.BooleanFieldType: // what SQL calls them
			have[f.Name] = "BOOL"
		case f.Type == bq.IntegerFieldType:
			have[f.Name] = "INT64"
		case f.Type == bq.FloatFieldType:
			have[f.Name] = "FLOAT64"
		}
	}
	return have, nil
}
