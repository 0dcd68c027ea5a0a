package sink

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"
)

// pgMerge writes the SQL that merges the stage into a table.
type pgMerge struct {
	*postgres
	b     Batch
	names []string // columns of the stage, quoted
}

// statements merge the stage, in this order; each returns how many rows it has inserted and updated. have are the
// columns of the table.
func (m pgMerge) statements(have []string, tombs bool) []string {
	if m.b.Table.Mode != Upsert {
		return m.versions()
	}
	sql := []string{m.documents(have)}
	switch {
	case !tombs:
	case m.b.Table.HardDelete:
		sql = []string{m.remember(), m.documents(have), m.remove()}
	default:
		sql = append(sql, m.tombstones())
	}
	if again := m.again(); m.b.Again && again != "" {
		sql = append(sql, again)
	}
	return sql
}

// versions merge the stage into a table that keeps every version.
func (m pgMerge) versions() []string {
	v := versionSQL{pgDialect, m.b, m.table(m.b.Table.Name), pgStage, m.names}
	counted := func(sql, counts string) string {
		return `WITH changed AS (` + sql + ` RETURNING 1) SELECT ` + counts + ` FROM changed`
	}
	sql := []string{counted(v.insert(), "count(*), 0")}
	if again := v.again(); m.b.Again && again != "" {
		sql = append(sql, counted(again, "0, count(*)"))
	}
	if m.b.Table.Mode == History {
		sql = append(sql, counted(v.mend(), "0, count(*) * 0"))
	}
	return sql
}

// documents inserts the stage's documents and replaces what is older than they are. A replaced row loses the values of
// columns that the batch lacks, as if it were deleted and inserted; it stays deleted where the tombstone is newer still.
func (m pgMerge) documents(have []string) string {
	t := m.b.Table
	var set []string
	for _, name := range have {
		q := pgx.Identifier{name}.Sanitize()
		from := "DEFAULT"
		switch {
		case t.Deleted != "" && (name == pgDialect.name(t.Deleted) || name == pgDialect.name(t.DeletedOffset)):
			from = "CASE WHEN " + m.tombstone("held") + " > " + m.document("EXCLUDED") + " THEN held." + q + " END"
		case slices.ContainsFunc(m.b.Rows.Schema().Fields(), func(f arrow.Field) bool { return pgDialect.name(f.Name) == name }):
			from = "EXCLUDED." + q
		}
		set = append(set, q+" = "+from)
	}
	where := "TRUE"
	if m.marks() {
		where = "fresh." + m.quote(t.Deleted) + " IS NULL"
	}
	if t.HardDelete {
		where += ` AND NOT EXISTS (SELECT FROM ` + m.table(deletedTable) + ` gone WHERE gone.table_name = ` + pgDialect.literal(pgDialect.name(t.Name)) + `
			AND gone.key = fresh.` + m.quote(t.Key) + ` AND ` + m.gone() + ` > ` + m.document("fresh") + `)`
	}
	return m.upsert(m.names, where, set, m.document("EXCLUDED")+" > "+m.document("held"))
}

// tombstones marks rows as deleted that are older than the stage's tombstones. One without a row becomes a row without a
// document.
func (m pgMerge) tombstones() string {
	t := m.b.Table
	document := []string{m.quote(t.Offset)}
	if t.Version != "" {
		document = append(document, m.quote(t.Version))
	}
	var set []string
	for _, name := range deletion(m.b) {
		set = append(set, m.quote(name)+" = EXCLUDED."+m.quote(name))
	}
	columns := slices.DeleteFunc(slices.Clone(m.names), func(q string) bool { return slices.Contains(document, q) })
	fresh := m.tombstone("EXCLUDED")
	return m.upsert(columns, "fresh."+m.quote(t.Deleted)+" IS NOT NULL", set, fresh+" > "+m.document("held")+" AND "+fresh+" > "+m.tombstone("held"))
}

// again gives rows that are held in the same version the values that the stage has now; "" where the stage has none. What it
// lacks, and whether the row is deleted, stays. It cannot deadlock with another writer: documents has locked the rows in the order
// of their keys, those too that it has left as they were.
func (m pgMerge) again() string {
	t := m.b.Table
	set, differ := pgDialect.refill(m.b)
	if len(differ) == 0 {
		return ""
	}
	where := "held." + m.quote(t.Key) + " = fresh." + m.quote(t.Key) + " AND " + m.document("fresh") + " = " + m.document("held")
	if m.marks() {
		where += " AND fresh." + m.quote(t.Deleted) + " IS NULL"
	}
	return `WITH refilled AS (
		UPDATE ` + m.table(t.Name) + ` held SET ` + strings.Join(set, ", ") + ` FROM ` + pgStage + ` fresh
		WHERE ` + where + ` AND (` + strings.Join(differ, " OR ") + `)
		RETURNING 1)
	SELECT 0, count(*) FROM refilled`
}

// upsert inserts rows of the stage, or updates those that are held. A row that ON CONFLICT has updated carries the
// transaction that locked it in xmax; in one that it has inserted, xmax is 0.
func (m pgMerge) upsert(columns []string, from string, set []string, where string) string {
	list := strings.Join(columns, ", ")
	return `WITH merged AS (
		INSERT INTO ` + m.table(m.b.Table.Name) + ` AS held (` + list + `) SELECT ` + list + ` FROM ` + pgStage + ` fresh WHERE ` + from + `
		ON CONFLICT (` + m.quote(m.b.Table.Key) + `) DO UPDATE SET ` + strings.Join(set, ", ") + `
		WHERE ` + where + `
		RETURNING xmax = 0 AS inserted)
	SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged`
}

// remember keeps the newest tombstone of each key.
func (m pgMerge) remember() string {
	t := m.b.Table
	return `WITH kept AS (
		INSERT INTO ` + m.table(deletedTable) + ` AS held (table_name, key, deleted_at, deleted_offset)
		SELECT ` + pgDialect.literal(pgDialect.name(t.Name)) + `, ` + m.quote(t.Key) + `, ` + m.quote(t.Deleted) + `, ` + m.quote(t.DeletedOffset) + `
		FROM ` + pgStage + ` WHERE ` + m.quote(t.Deleted) + ` IS NOT NULL
		ON CONFLICT (table_name, key) DO UPDATE SET deleted_at = EXCLUDED.deleted_at, deleted_offset = EXCLUDED.deleted_offset
		WHERE (EXCLUDED.deleted_at, EXCLUDED.deleted_offset) > (held.deleted_at, held.deleted_offset))
	SELECT 0, 0`
}

// remove deletes rows that are older than a tombstone of the stage.
func (m pgMerge) remove() string {
	t := m.b.Table
	return `WITH removed AS (
		DELETE FROM ` + m.table(t.Name) + ` held USING ` + m.table(deletedTable) + ` gone
		WHERE gone.table_name = ` + pgDialect.literal(pgDialect.name(t.Name)) + ` AND gone.key = held.` + m.quote(t.Key) + ` AND ` + m.gone() + ` > ` + m.document("held") + `
		AND gone.key IN (SELECT ` + m.quote(t.Key) + ` FROM ` + pgStage + ` WHERE ` + m.quote(t.Deleted) + ` IS NOT NULL)
		RETURNING 1)
	SELECT 0, count(*) FROM removed`
}

// document is what orders the version that a row holds. One that holds none comes before all.
func (m pgMerge) document(of string) string { return m.rank(of, m.b.Table.Version, m.b.Table.Offset) }

// tombstone is what orders the deletion that a row holds.
func (m pgMerge) tombstone(of string) string {
	if m.b.Table.Version == "" {
		return m.rank(of, "", m.b.Table.DeletedOffset)
	}
	return m.rank(of, m.b.Table.Deleted, m.b.Table.DeletedOffset)
}

func (m pgMerge) gone() string {
	if m.b.Table.Version == "" {
		return "('-infinity'::timestamptz, gone.deleted_offset)"
	}
	return "(gone.deleted_at, gone.deleted_offset)"
}

func (m pgMerge) rank(of, time, offset string) string {
	at := "NULL::timestamptz"
	if time != "" && (of != "fresh" || m.b.Rows.Schema().HasField(time)) {
		at = of + "." + m.quote(time)
	}
	return "(COALESCE(" + at + ", '-infinity'), COALESCE(" + of + "." + m.quote(offset) + ", -1))"
}

// marks tells whether the batch can hold tombstones.
func (m pgMerge) marks() bool {
	return m.b.Table.Deleted != "" && m.b.Rows.Schema().HasField(m.b.Table.Deleted)
}
