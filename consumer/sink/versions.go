package sink

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Columns of a table that keeps history. A version holds from _valid_from up to, not including, _valid_to; null: it still holds.
const (
	validFrom = "_valid_from"
	validTo   = "_valid_to"
)

// withValidity is the table as a warehouse of tables keeps it in its mode.
func withValidity(t Table) Table {
	if t.Mode == History {
		at := &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}
		t.Schema = arrow.NewSchema(append(t.Schema.Fields(), arrow.Field{Name: validFrom, Type: at, Nullable: true}, arrow.Field{Name: validTo, Type: at, Nullable: true}), nil)
	}
	return t
}

// each returns the indexes of the batch's rows, each version once, in the order of the keys. A row without a key is a
// *RejectedError.
func each(b Batch) ([]int, error) {
	if _, _, err := newest(b); err != nil || b.Rows == nil || b.Rows.NumRows() == 0 {
		return nil, err
	}
	keys, err1 := columnAs[*array.String](b, b.Table.Key)
	offsets, err2 := columnAs[*array.Int64](b, b.Table.Offset)
	version, _, err3 := timesOf(b, b.Table.Version)
	deleted, isDeleted, err4 := timesOf(b, b.Table.Deleted)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return nil, err
		}
	}
	type identity struct {
		key          string
		gone         bool
		time, offset int64
	}
	seen := map[identity]bool{}
	var rows []int
	for i := range keys.Len() {
		id := identity{keys.Value(i), isDeleted(i), version(i), offsets.Value(i)}
		if id.gone && b.Table.Version != "" {
			id.time = deleted(i)
		}
		if !seen[id] {
			seen[id] = true
			rows = append(rows, i)
		}
	}
	slices.SortStableFunc(rows, func(i, j int) int { return strings.Compare(keys.Value(i), keys.Value(j)) })
	return rows, nil
}

// versionSQL writes the statements of the modes that keep every version, for any warehouse of tables.
type versionSQL struct {
	b       Batch
	table   string // quoted, as all names
	source  string // of the batch's rows
	columns []string
	quote   func(string) string
}

// insert adds versions that are not held.
func (v versionSQL) insert() string {
	list := strings.Join(v.columns, ", ")
	return fmt.Sprintf(`INSERT INTO %s (%s) SELECT %[2]s FROM %s AS fresh WHERE NOT EXISTS (SELECT 1 FROM %[1]s AS held WHERE %[4]s)`,
		v.table, list, v.source, v.same())
}

// again gives versions that are held the values that the batch has now.
func (v versionSQL) again() string {
	key := v.quote(v.b.Table.Key)
	set, differ := []string{key + " = fresh." + key}, []string{"FALSE"} // where there is no other column
	for _, c := range refilled(v.b) {
		q := v.quote(c.name)
		set = append(set, q+" = fresh."+q)
		if !c.ofLoad {
			differ = append(differ, "held."+q+" IS DISTINCT FROM fresh."+q)
		}
	}
	return fmt.Sprintf(`UPDATE %s AS held SET %s FROM %s AS fresh WHERE %s AND (%s)`,
		v.table, strings.Join(set, ", "), v.source, v.same(), strings.Join(differ, " OR "))
}

// mend sets from when and until when the versions of the batch's keys held. The order of versions is that of their beginnings, so
// none ends before it begins. A version that ends now names the load that ended it, as a row does that is deleted now.
func (v versionSQL) mend() string {
	key := v.quote(v.b.Table.Key)
	marks := ""
	for _, name := range loadMarks(v.b) {
		marks += fmt.Sprintf(`, %s = (SELECT max(%[1]s) FROM %s AS fresh)`, v.quote(name), v.source)
	}
	return fmt.Sprintf(`UPDATE %s AS held SET %s = told.began, %s = told.ended%[10]s FROM (
		SELECT id, placed, place, live, began, lead(began) OVER (PARTITION BY id ORDER BY placed, place, live) AS ended FROM (
			SELECT held.%[4]s AS id, %[5]s AS placed, %[6]s AS place, %[7]s AS live, greatest(%[5]s, %[8]s) AS began
			FROM %[1]s AS held WHERE held.%[4]s IN (SELECT %[4]s FROM %[9]s AS fresh)) AS versions) AS told
		WHERE held.%[4]s = told.id AND %[5]s = told.placed AND %[6]s = told.place AND %[7]s = told.live
		AND (held.%[2]s IS DISTINCT FROM told.began OR held.%[3]s IS DISTINCT FROM told.ended)`,
		v.table, v.quote(validFrom), v.quote(validTo), key, v.time("held"), v.offset("held"), v.live("held"), beginning, v.source, marks)
}

// beginning is when an undated version begins: a time that every warehouse holds, so that no end of a version before the first dated
// one is null.
const beginning = `TIMESTAMP WITH TIME ZONE '0001-01-01 00:00:00+00'`

// same tells whether a held row is the fresh row's version.
func (v versionSQL) same() string {
	q := v.quote(v.b.Table.Key)
	same := "held." + q + " = fresh." + q
	for _, part := range []func(string) string{v.time, v.offset, v.live} {
		same += " AND " + part("held") + " = " + part("fresh")
	}
	return same
}

// time, offset and live are the order of versions, and what one is known by. Of equal ones the document comes after the tombstone,
// as a row lives unless its tombstone is greater.
func (v versionSQL) time(of string) string {
	t := v.b.Table
	if t.Version == "" {
		return v.first()
	}
	return "COALESCE(" + v.either(of, t.Deleted, t.Version, "NULL") + ", " + v.first() + ")"
}

func (v versionSQL) first() string { return `CAST('-infinity' AS TIMESTAMP WITH TIME ZONE)` }

func (v versionSQL) offset(of string) string {
	return v.either(of, v.b.Table.DeletedOffset, v.b.Table.Offset, "NULL")
}

func (v versionSQL) live(of string) string {
	if !v.has(of, v.b.Table.Deleted) {
		return "TRUE"
	}
	return "(" + of + "." + v.quote(v.b.Table.Deleted) + " IS NULL)"
}

// either is a column of the tombstone in a tombstone, and one of the document in a document.
func (v versionSQL) either(of, tombstone, document, none string) string {
	if v.has(of, document) {
		none = of + "." + v.quote(document)
	}
	if !v.has(of, v.b.Table.Deleted) {
		return none
	}
	return "CASE WHEN " + of + "." + v.quote(v.b.Table.Deleted) + " IS NOT NULL THEN " + of + "." + v.quote(tombstone) + " ELSE " + none + " END"
}

func (v versionSQL) has(of, column string) bool {
	return column != "" && (of == "held" || v.b.Rows.Schema().HasField(column))
}
