package sink

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// stagedMerge writes the statements that merge a stage into a table, for any dialect.
type stagedMerge struct {
	*dialect
	b           Batch
	dataset     string
	source      string            // of the batch's rows, with the table's names
	have        map[string]string // the table's columns
	docs, tombs bool              // what the batch holds
}

// statement is one step of a merge.
type statement struct {
	sql       string
	uncounted bool // its rows are no rows of the table, or were counted before
}

// statements merge the batch, in this order.
func (m stagedMerge) statements() (steps []statement) {
	add := func(uncounted bool, sql ...string) {
		for _, s := range sql {
			if s != "" {
				steps = append(steps, statement{s, uncounted})
			}
		}
	}
	t := m.b.Table
	if t.Mode != Upsert {
		v := m.versions()
		add(false, v.insert())
		if m.b.Again {
			add(false, v.again())
		}
		if t.Mode == History {
			add(true, v.mend())
		}
		return steps
	}
	if m.tombs && t.HardDelete {
		add(true, m.remember()...)
	}
	if m.docs {
		add(false, m.documents()...)
	}
	switch {
	case m.tombs && t.HardDelete:
		add(false, m.remove())
	case m.tombs:
		add(false, m.tombstones()...)
	}
	if m.b.Again && m.docs {
		add(false, m.again())
	}
	return steps
}

func (m stagedMerge) versions() versionSQL {
	return versionSQL{dialect: m.dialect, b: m.b, table: m.target(), source: m.source, columns: m.columns()}
}

func (m stagedMerge) target() string { return m.table(m.dataset, m.b.Table.Name) }

// columns are the batch's, quoted.
func (m stagedMerge) columns() (quoted []string) {
	for _, f := range m.b.Rows.Schema().Fields() {
		quoted = append(quoted, m.quote(f.Name))
	}
	return quoted
}

// documents inserts the batch's documents and replaces what is older than they are. A replaced row loses the values of columns
// that the batch lacks, as if it were deleted and inserted; it stays deleted where the tombstone is newer still.
func (m stagedMerge) documents() []string {
	t := m.b.Table
	sets := map[string]string{}
	for name := range m.have {
		sets[name] = m.quoted(name) + " = NULL"
	}
	for _, f := range m.b.Rows.Schema().Fields() {
		sets[m.name(f.Name)] = m.quote(f.Name) + " = fresh." + m.quote(f.Name)
	}
	for _, name := range []string{t.Deleted, t.DeletedOffset} {
		if _, ok := m.have[m.name(name)]; ok && name != "" {
			q := m.quote(name)
			sets[m.name(name)] = fmt.Sprintf("%s = CASE WHEN %s THEN held.%[1]s END", q, m.tombstone("held").after(m.document("fresh")))
		}
	}
	delete(sets, m.name(t.Key)) // it is the same
	var set []string
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		set = append(set, sets[name])
	}
	source := m.source
	if m.marks() {
		source = "(SELECT * FROM " + source + " AS staged WHERE " + m.quote(t.Deleted) + " IS NULL)"
	}
	if t.HardDelete {
		source = fmt.Sprintf("(SELECT fresh.* FROM %s AS fresh LEFT JOIN %s AS gone ON gone.table_name = %s AND gone.deleted_key = fresh.%s\nWHERE gone.deleted_key IS NULL OR NOT %s)",
			source, m.table(m.dataset, deletedTable), m.literal(m.name(t.Name)), m.quote(t.Key), m.gone().after(m.document("fresh")))
	}
	return m.upsert(m.target(), m.columns(), set, source, m.sameKey(), m.quote(t.Key), m.document("fresh").after(m.document("held")))
}

// tombstones marks rows as deleted that are older than the batch's tombstones. One without a row becomes a row without a
// document.
func (m stagedMerge) tombstones() []string {
	t := m.b.Table
	var set []string
	for _, name := range deletion(m.b) {
		set = append(set, m.quote(name)+" = fresh."+m.quote(name))
	}
	columns := slices.DeleteFunc(m.columns(), func(q string) bool {
		return q == m.quote(t.Offset) || t.Version != "" && q == m.quote(t.Version)
	})
	fresh := m.tombstone("fresh")
	return m.upsert(m.target(), columns, set, m.buried(), m.sameKey(), m.quote(t.Key), fresh.after(m.document("held"))+" AND "+fresh.after(m.tombstone("held")))
}

// buried is the batch's tombstones.
func (m stagedMerge) buried() string {
	return "(SELECT * FROM " + m.source + " AS staged WHERE " + m.quote(m.b.Table.Deleted) + " IS NOT NULL)"
}

// again gives rows that are held in the same version the values that the batch has now. What it lacks, and whether the row is
// deleted, stays.
func (m stagedMerge) again() string {
	t := m.b.Table
	set, differ := m.refill(m.b)
	if len(differ) == 0 {
		return ""
	}
	source := m.source
	if m.marks() {
		source = "(SELECT * FROM " + source + " AS staged WHERE " + m.quote(t.Deleted) + " IS NULL)"
	}
	return m.update(m.target(), set, source, m.sameKey(),
		m.document("fresh").equals(m.document("held"))+" AND ("+strings.Join(differ, " OR ")+")")
}

// remember keeps the newest tombstone of each key.
func (m stagedMerge) remember() []string {
	t := m.b.Table
	source := fmt.Sprintf("(SELECT %s AS table_name, %s AS deleted_key, %s AS deleted_at, %s AS deleted_offset FROM %s AS staged)",
		m.literal(m.name(t.Name)), m.quote(t.Key), m.quote(t.Deleted), m.quote(t.DeletedOffset), m.buried())
	held, fresh := rank{"held.deleted_at", "held.deleted_offset"}, rank{"fresh.deleted_at", "fresh.deleted_offset"}
	return m.upsert(m.table(m.dataset, deletedTable), []string{"table_name", "deleted_key", "deleted_at", "deleted_offset"},
		[]string{"deleted_at = fresh.deleted_at", "deleted_offset = fresh.deleted_offset"}, source,
		"held.table_name = fresh.table_name AND held.deleted_key = fresh.deleted_key", "deleted_key", fresh.after(held))
}

// remove deletes rows that are older than a tombstone of the batch.
func (m stagedMerge) remove() string {
	t := m.b.Table
	key := m.quote(t.Key)
	if m.only {
		return fmt.Sprintf("MERGE INTO %s AS held USING (SELECT * FROM %s AS gone WHERE table_name = %s AND deleted_key IN (SELECT %s FROM %s AS staged)) AS gone ON held.%[4]s = gone.deleted_key\nWHEN MATCHED AND %[6]s THEN DELETE",
			m.target(), m.table(m.dataset, deletedTable), m.literal(m.name(t.Name)), key, m.buried(), m.gone().after(m.document("held")))
	}
	return fmt.Sprintf("DELETE FROM %s WHERE %s IN (SELECT held.%[2]s FROM %[1]s AS held JOIN %[3]s AS gone ON gone.deleted_key = held.%[2]s\nWHERE gone.table_name = %[4]s AND %[5]s AND gone.deleted_key IN (SELECT %[2]s FROM %[6]s AS staged))",
		m.target(), key, m.table(m.dataset, deletedTable), m.literal(m.name(t.Name)), m.gone().after(m.document("held")), m.buried())
}

func (m stagedMerge) sameKey() string {
	q := m.quote(m.b.Table.Key)
	return "held." + q + " = fresh." + q
}

// document is what orders the version that a row holds; rows of a batch without the version's column count as undated, and one that
// holds no document comes before all.
func (m stagedMerge) document(of string) rank { return m.rank(of, m.b.Table.Version, m.b.Table.Offset) }

// tombstone is what orders the deletion that a row holds.
func (m stagedMerge) tombstone(of string) rank {
	if m.b.Table.Version == "" {
		return m.rank(of, "", m.b.Table.DeletedOffset)
	}
	return m.rank(of, m.b.Table.Deleted, m.b.Table.DeletedOffset)
}

func (m stagedMerge) gone() rank {
	if m.b.Table.Version == "" {
		return rank{m.earliest(), "gone.deleted_offset"}
	}
	return rank{"gone.deleted_at", "gone.deleted_offset"}
}

func (m stagedMerge) rank(of, time, offset string) rank {
	r := rank{m.earliest(), "COALESCE(" + of + "." + m.quote(offset) + ", -1)"}
	if time != "" && (of == "held" || m.b.Rows.Schema().HasField(time)) {
		r.time = "COALESCE(" + of + "." + m.quote(time) + ", " + r.time + ")"
	}
	return r
}

// marks tells whether the batch can hold tombstones.
func (m stagedMerge) marks() bool {
	return m.b.Table.Deleted != "" && m.b.Rows.Schema().HasField(m.b.Table.Deleted)
}
