package sink

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// schemasTable has a row for each change that was made to a table, written beside the change. It is made with the first one.
const schemasTable = "_tilestream_schemas"

// Change is a thing that has to be done before a table fits a schema.
type Change struct {
	What string   `json:"what"`          // in words; "": what a change before this one began
	SQL  []string `json:"sql,omitempty"` // the statements, in order; none where the warehouse has no SQL
}

// statements are those of all changes, in order.
func statements(changes []Change) (sql []string) {
	for _, c := range changes {
		sql = append(sql, c.SQL...)
	}
	return sql
}

// some is the statements that are not empty.
func some(sql ...string) []string {
	return slices.DeleteFunc(sql, func(s string) bool { return s == "" })
}

func creates(table string, columns int) string {
	return fmt.Sprintf("create table %s, %d columns", table, columns)
}
func adds(column, typ string) string { return fmt.Sprintf("add column %s, %s", column, typ) }
func widens(column, from, to string) string {
	return fmt.Sprintf("widen column %s from %s to %s", column, from, to)
}

// isArray tells whether a column is JSON that is an array as a rule, by its schema.
func isArray(f arrow.Field) bool {
	k, err := kindOf(f.Type)
	of, _ := f.Metadata.GetValue("array")
	return err == nil && k == kindJSON && of == "true"
}

// viewName is the name of the view that has a row for each element of an array column.
func viewName(table, column string) string { return table + "__" + column }

// views are the changes that make the views of array columns, which are what child tables are elsewhere. A view has the key of the row, which
// of its versions it is, whether it is deleted, and of each element its index, from 0, its JSON, and its text where it is a scalar. Where a
// column holds no array the row has no elements. exists tells whether there is something of that name: it is left as it is, be it ours or not.
func (d *dialect) views(t Table, dataset string, exists func(name string) (bool, error)) (changes []Change, err error) {
	if d.unnest == nil {
		return nil, nil
	}
	for _, f := range t.Schema.Fields() {
		if !isArray(f) {
			continue
		}
		name := viewName(t.Name, f.Name)
		if there, err := exists(name); err != nil {
			return nil, err
		} else if !there {
			changes = append(changes, Change{"view " + name + ", the elements of " + f.Name, []string{d.view(t, dataset, f.Name)}})
		}
	}
	return changes, nil
}

func (d *dialect) view(t Table, dataset, column string) string {
	columns := []string{"r." + d.quote(t.Key), "r." + d.quote(t.Offset)}
	if t.Deleted != "" {
		columns = append(columns, "r."+d.quote(t.Deleted))
	}
	u := d.unnest("r." + d.quote(column))
	columns = append(columns, u.index+" AS "+d.quote("_index"), u.value+" AS "+d.quote("value"), u.text+" AS "+d.quote("text"))
	create := "CREATE VIEW "
	if d.viewIf {
		create += "IF NOT EXISTS "
	}
	return create + d.table(dataset, viewName(t.Name, column)) + " AS\nSELECT " + strings.Join(columns, ", ") + "\nFROM " + d.table(dataset, t.Name) + " AS r" + u.from + d.viewEnd
}

// unnested is how a dialect takes an array apart: what follows the table in FROM, and what of it is the index, the JSON and the text of an
// element.
type unnested struct{ from, index, value, text string }

// record is the statement that writes down changes that were made at a time; "" where nothing is to be written down.
func (d *dialect) record(dataset string, t Table, changes []Change, at time.Time) string {
	var rows []string
	id := "NULL"
	if t.SchemaID > 0 {
		id = fmt.Sprint(t.SchemaID)
	}
	for _, c := range changes {
		if c.What != "" {
			rows = append(rows, "("+strings.Join([]string{d.literal(d.name(t.Name)), id, d.time(at), d.literal(c.What), d.literal(strings.Join(c.SQL, ";\n"))}, ", ")+")")
		}
	}
	if rows == nil {
		return ""
	}
	return "INSERT INTO " + d.table(dataset, schemasTable) + " (table_name, schema_id, changed_at, " + d.quote("change") + ", ddl) VALUES\n" + strings.Join(rows, ",\n")
}

// schemas is the statement that makes the table which record writes to.
func (d *dialect) schemas(dataset string) string {
	return "CREATE TABLE IF NOT EXISTS " + d.table(dataset, schemasTable) + " (table_name " + d.types[kindText] + " NOT NULL, schema_id " + d.types[kindInt64] +
		", changed_at " + d.types[kindTimestamp] + " NOT NULL, " + d.quote("change") + " " + d.types[kindText] + " NOT NULL, ddl " + d.types[kindText] + " NOT NULL)"
}
