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

var validAt = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}

// withValidity is the table as a warehouse of tables keeps it in its mode.
func withValidity(t Table) Table {
	if t.Mode == History {
		t.Schema = arrow.NewSchema(append(t.Schema.Fields(), arrow.Field{Name: validFrom, Type: validAt, Nullable: true}, arrow.Field{Name: validTo, Type: validAt, Nullable: true}), nil)
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
	*dialect
	b       Batch
	table   string // quoted, as all names
	source  string // of the batch's rows
	columns []string
}

// insert adds versions that are not held.
func (v versionSQL) insert() string {
	return v.dialect.insert(v.table, v.columns, v.source, v.same(), v.quote(v.b.Table.Key))
}

// again gives versions that are held the values that the batch has now; "" where it has none.
func (v versionSQL) again() string {
	set, differ := v.refill(v.b)
	if len(differ) == 0 {
		return ""
	}
	return v.update(v.table, set, v.source, v.same(), "("+strings.Join(differ, " OR ")+")")
}

// mend sets from when and until when the versions of the batch's keys held. The order of versions is that of their beginnings, so
// none ends before it begins. A version that ends now names the load that ended it, as a row does that is deleted now.
func (v versionSQL) mend() string {
	key, from, to := v.quote(v.b.Table.Key), v.quote(validFrom), v.quote(validTo)
	set := []string{from + " = fresh.began", to + " = fresh.ended"}
	marks := ""
	for i, name := range loadMarks(v.b) {
		marks += fmt.Sprintf(", (SELECT max(%s) FROM %s AS staged) AS mark_%d", v.quote(name), v.source, i)
		set = append(set, fmt.Sprintf("%s = fresh.mark_%d", v.quote(name), i))
	}
	told := fmt.Sprintf(`(
	SELECT id, placed, place, live, began, lead(began) OVER (PARTITION BY id ORDER BY placed, place, live) AS ended%s FROM (
		SELECT held.%s AS id, %s AS placed, %s AS place, %s AS live, greatest(%[3]s, %[6]s) AS began
		FROM %[7]s AS held WHERE held.%[2]s IN (SELECT staged.%[2]s FROM %[8]s AS staged)) AS versions)`,
		marks, key, v.time("held"), v.offset("held"), v.live("held"), v.beginning(), v.table, v.source)
	return v.update(v.table, set, told,
		fmt.Sprintf("held.%s = fresh.id AND %s = fresh.placed AND %s = fresh.place AND %s = fresh.live", key, v.time("held"), v.offset("held"), v.live("held")),
		fmt.Sprintf("(%s OR %s)", v.differ(validAt, "held."+from, "fresh.began"), v.differ(validAt, "held."+to, "fresh.ended")))
}

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
		return v.earliest()
	}
	return "COALESCE(" + v.either(of, t.Deleted, t.Version, "NULL") + ", " + v.earliest() + ")"
}

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
