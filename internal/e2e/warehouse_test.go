package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"tilestream/schemas"
)

// warehouse reads tables back, each row as JSON, without our own code.
type warehouse struct {
	db      *sql.DB
	dataset string
	row     string // SQL function that makes a row JSON
	fields  fields // none: each key has the column that is named after it
}

func openDuckDB(t testing.TB, path string) warehouse {
	t.Helper()
	if !slices.Contains(sql.Drivers(), "duckdb") {
		t.Skip("built without cgo, so without DuckDB")
	}
	return warehouse{db: open(t, "duckdb", path), dataset: "tiledesk", row: "to_json"}
}

func openPostgres(t testing.TB, url, dataset string) warehouse {
	t.Helper()
	return warehouse{db: open(t, "pgx", url), dataset: dataset, row: "to_jsonb"}
}

func open(t testing.TB, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// rows returns the table's rows by _id; one _id twice is an error.
func (w warehouse) rows(t testing.TB, table string) map[string]document {
	t.Helper()
	rs, err := w.db.QueryContext(t.Context(), fmt.Sprintf(`SELECT CAST(%s(r) AS text) FROM %q.%q r`, w.row, w.dataset, table))
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Close()
	out := map[string]document{}
	for rs.Next() {
		var text []byte
		if err := rs.Scan(&text); err != nil {
			t.Fatal(err)
		}
		var d document
		decode(t, text, &d)
		id, _ := d["_id"].(string)
		if id == "" || out[id] != nil {
			t.Fatalf("table %s: _id %q is empty or there twice", table, id)
		}
		out[id] = d
	}
	if err := rs.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// compare holds the warehouse against the source, document by document and value by value.
func (w warehouse) compare(t testing.TB, s source, resources ...schemas.Resource) {
	t.Helper()
	for _, r := range resources {
		w.matches(t, r.Name, s.documents(t, r))
	}
}

// matches holds a table against the documents that should be in it.
func (w warehouse) matches(t testing.TB, table string, want map[string]document) {
	t.Helper()
	got := w.rows(t, table)
	if len(want) == 0 {
		t.Errorf("%s: the source has none, which proves nothing", table)
	}
	for id, doc := range want {
		row, ok := got[id]
		if !ok {
			t.Errorf("%s %s: not in the warehouse", table, id)
			continue
		}
		for _, d := range w.fields.differences(t, table, doc, row) {
			t.Errorf("%s %s: %s", table, id, d)
		}
	}
	for id := range got {
		if want[id] == nil {
			t.Errorf("%s %s: in the warehouse, but not in the source", table, id)
		}
	}
	t.Logf("%-16s %d documents, %d rows", table, len(want), len(got))
}

// ledgerIsData checks that no row lies at or behind its partition's next offset, and that the loads inserted as many rows
// as there are.
func (w warehouse) ledgerIsData(t testing.TB, resources ...schemas.Resource) {
	t.Helper()
	for _, r := range resources {
		ahead := w.number(t, fmt.Sprintf(`SELECT count(*) FROM %[1]q.%[2]q r LEFT JOIN %[1]q._tilestream_ledger l
			ON l.topic LIKE '%%.%[2]s' AND l.partition = r._kafka_partition
			WHERE l.next_offset IS NULL OR r._kafka_offset >= l.next_offset`, w.dataset, r.Name))
		rows := w.number(t, fmt.Sprintf(`SELECT count(*) FROM %q.%q`, w.dataset, r.Name))
		inserted := w.number(t, fmt.Sprintf(`SELECT coalesce(sum(inserted), 0) FROM %q._tilestream_loads WHERE table_name = '%s'`, w.dataset, r.Name))
		if ahead != 0 || rows != inserted {
			t.Errorf("%s: %d rows that the ledger does not know; %d rows, of which loads inserted %d", r.Name, ahead, rows, inserted)
		}
	}
}

func (w warehouse) number(t testing.TB, query string) (n int) {
	t.Helper()
	if err := w.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// differences lists every key of the document whose value is neither in one of its columns, and in that alone, nor in _extra,
// which has what a column cannot: the last digits of a date, the first value of a key that stands twice.
func (f fields) differences(t testing.TB, table string, doc, row document) []string {
	t.Helper()
	extra := document{}
	if e := row["_extra"]; e != nil {
		extra = asJSON(t, e).(map[string]any)
	}
	var out []string
	for key, want := range doc {
		if key == "id" && want == doc["_id"] {
			continue // a copy of _id, on documents with virtual fields
		}
		if joined[key] {
			// A join shows the other document as it was when this one last changed; the other has a table of its own.
			if ids, got := idsOf(want), idsOf(asJSON(t, row[schemas.ColumnName(key)])); !equal(ids, got) {
				out = append(out, fmt.Sprintf("%s has the ids %v in the source, %v in the warehouse", key, ids, got))
			}
			continue
		}
		got := document{}
		found := want == nil
		for _, column := range f.of(table, key) {
			if row[column] != nil {
				got[column] = row[column]
				found = found || same(t, want, row[column])
			}
		}
		value, kept := extra[key]
		found = found || kept && equal(want, value)
		if !found || len(got) > 1 || want == nil && len(got) > 0 {
			out = append(out, fmt.Sprintf("%s is %v in the source, the row has %v, and in _extra %v", key, want, got, value))
		}
	}
	return out
}

// joined lists the fields of a request that the server fills with other documents (routes/request.js, populate).
var joined = map[string]bool{"lead": true, "requester": true, "department": true, "participatingAgents": true, "participatingBots": true}

// idsOf returns the _id of a joined document, of each in a list, or what stands in its place.
func idsOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return v["_id"]
	case []any:
		ids := []any{}
		for _, e := range v {
			ids = append(ids, idsOf(e))
		}
		return ids
	}
	return v
}

// same compares a value of the source with what the row's JSON shows of its column.
func same(t testing.TB, want, got any) bool {
	if equal(want, got) {
		return true
	}
	switch want := want.(type) {
	case map[string]any, []any:
		return got != nil && equal(want, asJSON(t, got))
	case json.Number:
		text, ok := got.(string) // of a column that became text
		return ok && json.Valid([]byte(text)) && equal(want, json.Number(text))
	case bool:
		return got == strconv.FormatBool(want) // in a JSON field, as it is in Kafka
	case string:
		g, ok := got.(string)
		if !ok {
			return equal(want, asJSON(t, got)) // a string in a JSON column
		}
		if equal(want, asJSON(t, g)) {
			return true
		}
		a, okA := instant(want)
		b, okB := instant(g)
		return okA && okB && a.Equal(b)
	}
	return false
}

// equal compares JSON. Numbers are equal that are written differently; those with a point or an exponent that are the same double.
func equal(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		return ok && maps.EqualFunc(want, g, equal)
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(want, g, equal)
	case json.Number:
		g, ok := got.(json.Number)
		if !ok || want == g {
			return ok
		}
		if a, err := want.Float64(); err == nil && strings.ContainsAny(string(want), ".eE") {
			b, err := g.Float64()
			return err == nil && a == b
		}
		a, okA := new(big.Rat).SetString(string(want))
		b, okB := new(big.Rat).SetString(string(g))
		return okA && okB && a.Cmp(b) == 0
	}
	return want == got
}

// asJSON returns the value of a JSON column: databases show it as a value, or as text that holds one.
func asJSON(t testing.TB, v any) any {
	text, ok := v.(string)
	if !ok || text == "" || !strings.ContainsAny(text[:1], `{["`) || !json.Valid([]byte(text)) {
		return v // an id such as 698352809e38 would be a number
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var out any
	if d.Decode(&out) != nil {
		return v
	}
	return out
}

// instant reads a time as Tiledesk, PostgreSQL and DuckDB write it; without an offset it is UTC.
func instant(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999-07"} {
		if at, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
