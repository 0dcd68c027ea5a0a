package sink

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
)

// dialect is what tells the SQL of one warehouse from that of another. The statements that are written with it are in
// testdata/dialects, for each.
type dialect struct {
	longest  int                    // bytes of a name; 0: any
	fold     func(string) string    // what the warehouse makes of an unquoted name's case; nil: nothing
	legal    func(rune) bool        // characters of a name, beside letters of ASCII, digits and _; nil: all but NUL
	reserved func(name string) bool // names that no column may have; nil: none
	mark     string                 // around a name
	escapes  bool                   // a backslash is special in a text
	verbatim func(string) string    // a text in SQL, where neither way of writing it will do; nil: one does

	types  []string        // of each kind, in DDL
	kinds  map[string]kind // what the catalogue calls them, in upper case, besides types
	first  string          // a time before all that a version may have; "": the first one that it may have
	parse  string          // makes JSON of a text: PARSE_JSON(%s)
	plain  string          // makes a text of JSON, for comparing: TO_JSON_STRING(%s)
	json   string          // makes JSON of another value: TO_JSON(%s)
	truth  string          // makes a text of a boolean; "": CAST does
	number string          // makes a text of a number with a fraction, as schemas.AppendNumber does; "": CAST does, but for whole ones
	millis string          // makes milliseconds since 1970 of a time, as text; "": the driver's times will do
	iso    string          // makes a text of a time, as JSON has it: 2026-05-04T12:00:00.000Z
	merge  bool            // it has MERGE with conditions; else UPDATE ... FROM and INSERT
	only   bool            // rows change by MERGE only: DELETE takes no subquery, INSERT does not say how many

	unnest  func(column string) unnested // takes JSON that is an array apart; nil: there are no views of arrays
	viewIf  bool                         // CREATE VIEW takes IF NOT EXISTS
	viewEnd string                       // behind the view
	say     *phrases                     // of reports; nil: there are none

	// columns asks for the names and types of a table's columns, both names as the warehouse has them; nil: information_schema.
	columns func(dataset, table string) string
	// describe returns what columnsOf does of a table, whose name is quoted; nil: columns does.
	describe func(ctx context.Context, conn querier, table string) (map[string]string, error)
}

// name is the name that a table or a column has in the warehouse. One that it cannot have, or would cut, ends with a hash of the
// whole, so that two do not become one.
func (d *dialect) name(name string) string {
	name = strings.ReplaceAll(name, "\x00", "")
	clean := name
	if d.fold != nil {
		clean = d.fold(clean)
	}
	if d.reserved != nil && d.reserved(clean) {
		return clean + "_"
	}
	whole := clean
	if d.legal != nil {
		clean = strings.Map(func(r rune) rune {
			if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || d.legal(r) {
				return r
			}
			return '_'
		}, clean)
	}
	if clean == whole && (d.longest == 0 || len(clean) <= d.longest) {
		return clean
	}
	sum := sha256.Sum256([]byte(name))
	cut := len(clean)
	if d.longest > 0 {
		cut = min(cut, d.longest-9)
	}
	for cut > 0 && cut < len(clean) && !utf8.RuneStart(clean[cut]) {
		cut--
	}
	hash := "_" + hex.EncodeToString(sum[:4])
	if d.fold != nil {
		hash = d.fold(hash)
	}
	return clean[:cut] + hash
}

// quote is the quoted name of a table or a column in the warehouse.
func (d *dialect) quote(name string) string { return d.quoted(d.name(name)) }

// quoted quotes a name that the warehouse has.
func (d *dialect) quoted(name string) string {
	return d.mark + strings.ReplaceAll(name, d.mark, d.mark+d.mark) + d.mark
}

// table is the quoted name of a table in a dataset.
func (d *dialect) table(dataset, name string) string {
	return d.quoted(dataset) + "." + d.quote(name)
}

// querier is a connection, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// columnsOf returns the types of a table's columns by name, as the warehouse has both; none where there is no such table.
func (d *dialect) columnsOf(ctx context.Context, conn querier, dataset, table string) (map[string]string, error) {
	if d.describe != nil {
		return d.describe(ctx, conn, d.table(dataset, table))
	}
	query := fmt.Sprintf("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s", d.literal(dataset), d.literal(d.name(table)))
	if d.columns != nil {
		query = d.columns(dataset, d.name(table))
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	have := map[string]string{}
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return nil, err
		}
		have[name] = typ
	}
	return have, rows.Err()
}

// text is a column's value as text.
func (d *dialect) text(column string, k kind) string {
	if k == kindJSON && d.plain != "" {
		return fmt.Sprintf(d.plain, column)
	}
	return "CAST(" + column + " AS " + d.types[kindText] + ")"
}

// literal is a text in SQL.
func (d *dialect) literal(s string) string {
	if d.verbatim != nil {
		return d.verbatim(s)
	}
	if d.escapes {
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`, "\x00", "").Replace(s) + "'"
	}
	return quoted(s)
}

// time is a time in SQL, to the microsecond.
func (d *dialect) time(t time.Time) string {
	return "CAST(" + d.literal(t.UTC().Format("2006-01-02 15:04:05.000000+00:00")) + " AS " + d.types[kindTimestamp] + ")"
}

// beginning is when an undated version begins: a time that every warehouse holds, so that no end of a version before the first dated
// one is null.
func (d *dialect) beginning() string { return d.time(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)) }

// earliest orders what has no time.
func (d *dialect) earliest() string {
	if d.first == "" {
		return d.beginning()
	}
	return d.first
}

// kind is the kind that a column of the warehouse's type holds.
func (d *dialect) kind(column, typ string) (kind, error) {
	if k := slices.Index(d.types, typ); k >= 0 {
		return kind(k), nil
	}
	if k, ok := d.kinds[strings.ToUpper(typ)]; ok {
		return k, nil
	}
	return 0, fmt.Errorf("column %s is %s in the table: Tilestream writes %s; give it one of these types", column, typ, strings.Join(d.types, ", "))
}

// differ tells whether two values of a type are different ones, null being a value.
func (d *dialect) differ(t arrow.DataType, a, b string) string {
	if k, err := kindOf(t); err == nil && k == kindJSON && d.plain != "" {
		a, b = fmt.Sprintf(d.plain, a), fmt.Sprintf(d.plain, b)
	}
	return "(" + a + " <> " + b + " OR (" + a + " IS NULL) <> (" + b + " IS NULL))"
}

// update sets columns of rows of a table, called held, from rows of a source, called fresh. A row has one match at most.
func (d *dialect) update(table string, set []string, source, on, where string) string {
	if d.merge {
		return fmt.Sprintf("MERGE INTO %s AS held USING %s AS fresh ON %s\nWHEN MATCHED AND %s THEN UPDATE SET %s", table, source, on, where, strings.Join(set, ", "))
	}
	return fmt.Sprintf("UPDATE %s AS held SET %s\nFROM %s AS fresh WHERE %s AND %s", table, strings.Join(set, ", "), source, on, where)
}

// upsert inserts rows of the source, or updates what is held of them: on tells which that is, and key is a column that no row lacks.
func (d *dialect) upsert(table string, columns, set []string, source, on, key, where string) []string {
	list := strings.Join(columns, ", ")
	values := "fresh." + strings.Join(columns, ", fresh.")
	update := d.update(table, set, source, on, where)
	if d.merge {
		return []string{update + fmt.Sprintf("\nWHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)", list, values)}
	}
	return []string{update, d.insert(table, columns, source, on, key)}
}

// insert inserts rows of the source that are not held.
func (d *dialect) insert(table string, columns []string, source, on, key string) string {
	if d.only {
		return fmt.Sprintf("MERGE INTO %s AS held USING %s AS fresh ON %s\nWHEN NOT MATCHED THEN INSERT (%s) VALUES (fresh.%s)",
			table, source, on, strings.Join(columns, ", "), strings.Join(columns, ", fresh."))
	}
	return fmt.Sprintf("INSERT INTO %s (%s)\nSELECT fresh.%s FROM %s AS fresh LEFT JOIN %[1]s AS held ON %[5]s WHERE held.%[6]s IS NULL",
		table, strings.Join(columns, ", "), strings.Join(columns, ", fresh."), source, on, key)
}

// refill is the columns that a replay of the same version sets, as assignments, and the conditions of which one has to hold for it to be
// worth while; none where the batch has no other columns.
func (d *dialect) refill(b Batch) (set, differ []string) {
	for _, c := range refilled(b) {
		q := d.quote(c.Name)
		set = append(set, q+" = fresh."+q)
		if c.Name != "_load_id" && c.Name != "_loaded_at" { // by whom and when it was written is no reason to write it
			differ = append(differ, d.differ(c.Type, "held."+q, "fresh."+q))
		}
	}
	return set, differ
}

// rank is what orders the versions of a row.
type rank struct{ time, offset string }

func (r rank) after(o rank) string {
	return "(" + r.time + " > " + o.time + " OR " + r.time + " = " + o.time + " AND " + r.offset + " > " + o.offset + ")"
}

func (r rank) equals(o rank) string {
	return "(" + r.time + " = " + o.time + " AND " + r.offset + " = " + o.offset + ")"
}
