//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// merge inserts the batch's documents and replaces what is older than they are, then marks or removes what its tombstones
// say is gone.
func (d *duckDB) merge(ctx context.Context, tx *sql.Tx, b Batch, docs, tombs []int) (Stats, error) {
	m := duckMerge{duckDB: d, tx: tx, b: b}
	if err := m.fit(ctx, slices.Concat(docs, tombs)); err != nil {
		return Stats{}, err
	}
	var stats Stats
	steps := []func(context.Context) (Stats, error){
		func(ctx context.Context) (Stats, error) { return m.documents(ctx, docs) },
	}
	if b.Table.Mode != Upsert {
		steps = m.versions(docs)
	} else if len(tombs) > 0 && b.Table.HardDelete {
		steps = []func(context.Context) (Stats, error){
			func(ctx context.Context) (Stats, error) { return m.remember(ctx, tombs) },
			steps[0],
			func(ctx context.Context) (Stats, error) { return m.remove(ctx, tombs) },
		}
	} else if len(tombs) > 0 {
		steps = append(steps, func(ctx context.Context) (Stats, error) { return m.tombstones(ctx, tombs) })
	}
	if b.Again && b.Table.Mode == Upsert {
		steps = append(steps, func(ctx context.Context) (Stats, error) { return m.again(ctx, docs) })
	}
	for _, step := range steps {
		done, err := step(ctx)
		if err != nil {
			return Stats{}, err
		}
		stats.Inserted += done.Inserted
		stats.Updated += done.Updated
	}
	stats.Unchanged = b.Rows.NumRows() - stats.Inserted - stats.Updated
	return stats, nil
}

// versions are the steps of a merge into a table that keeps every version.
func (m *duckMerge) versions(rows []int) []func(context.Context) (Stats, error) {
	step := func(statement func(versionSQL) string, stats func(changed int64) Stats) func(context.Context) (Stats, error) {
		return func(ctx context.Context) (Stats, error) {
			changed, err := m.run(ctx, rows, func(source string) string {
				return statement(versionSQL{duckDialect, m.b, m.table(m.b.Table.Name), source, m.names})
			})
			return stats(changed), err
		}
	}
	steps := []func(context.Context) (Stats, error){step(versionSQL.insert, func(n int64) Stats { return Stats{Inserted: n} })}
	if m.b.Again {
		steps = append(steps, step(versionSQL.again, func(n int64) Stats { return Stats{Updated: n} }))
	}
	if m.b.Table.Mode == History {
		steps = append(steps, step(versionSQL.mend, func(int64) Stats { return Stats{} }))
	}
	return steps
}

// duckMerge is a merge on its way.
type duckMerge struct {
	*duckDB
	tx       *sql.Tx
	b        Batch
	have     map[string]string // the table's columns by lower-case name
	columns  []duckColumn
	names    []string // quoted, as the columns
	selected []string // the columns as the table has them
}

// fit makes columns of the batch that the table takes.
func (m *duckMerge) fit(ctx context.Context, rows []int) (err error) {
	if m.have, err = m.duckDB.columns(ctx, m.tx, m.b.Table.Name); err != nil {
		return err
	}
	if len(m.have) == 0 {
		return fmt.Errorf("there is no table %s: it was not prepared", m.table(m.b.Table.Name))
	}
	for i, f := range m.b.Rows.Schema().Fields() {
		typ, ok := m.have[strings.ToLower(f.Name)]
		if !ok {
			return fmt.Errorf("table %s has no column %s: the table was not prepared for this schema", m.table(m.b.Table.Name), f.Name)
		}
		k, err := duckDialect.kind(f.Name, typ)
		if err != nil {
			return err
		}
		a, err := fit(f.Name, m.b.Rows.Column(i), k)
		if err != nil {
			return err
		}
		c, err := newDuckColumn(i, f.Name, a, rows)
		if err != nil {
			return err
		}
		if f.Name == m.b.Table.Key {
			c.same = false // even of one row: there must be something to join
		}
		q, from := duckQuote(f.Name), c.info.Name
		if k == kindJSON {
			from += "::JSON" // the cast checks it
		}
		m.columns = append(m.columns, c)
		m.names = append(m.names, q)
		m.selected = append(m.selected, from+" AS "+q)
	}
	return nil
}

// documents replaces rows that are older. A replaced row loses the values of columns that the batch lacks, as if it were
// deleted and inserted; it stays deleted where the tombstone is newer still.
func (m *duckMerge) documents(ctx context.Context, rows []int) (Stats, error) {
	t := m.b.Table
	sets := map[string]string{} // lower-case name -> assignment
	for name := range m.have {
		sets[name] = duckQuote(name) + " = NULL"
	}
	for _, q := range m.names {
		sets[strings.ToLower(unquoted(q))] = q + " = fresh." + q
	}
	if t.Deleted != "" {
		for _, name := range []string{t.Deleted, t.DeletedOffset} {
			if _, ok := m.have[strings.ToLower(name)]; ok {
				sets[strings.ToLower(name)] = fmt.Sprintf("%s = CASE WHEN %s > %s THEN held.%[1]s END", duckQuote(name), m.tombstone("held"), m.document("fresh"))
			}
		}
	}
	var set []string
	for _, name := range sortedKeys(sets) {
		set = append(set, sets[name])
	}
	where := ""
	if t.HardDelete {
		where = `WHERE NOT EXISTS (FROM ` + m.table(deletedTable) + ` gone WHERE gone.table_name = ` + duckLiteral(t.Name) + `
			AND gone.key = fresh.` + duckQuote(t.Key) + ` AND ` + m.gone() + ` > ` + m.document("fresh") + `)`
	}
	return m.upsert(ctx, rows, m.names, where, set, m.document("fresh")+" > "+m.document("held"))
}

// tombstones marks rows as deleted that are older. One without a row becomes a row without a document.
func (m *duckMerge) tombstones(ctx context.Context, rows []int) (Stats, error) {
	t := m.b.Table
	var set []string
	for _, name := range deletion(m.b) {
		set = append(set, duckQuote(name)+" = fresh."+duckQuote(name))
	}
	columns := slices.DeleteFunc(slices.Clone(m.names), func(q string) bool { return q == duckQuote(t.Offset) || q == duckQuote(t.Version) })
	fresh := m.tombstone("fresh")
	return m.upsert(ctx, rows, columns, "", set, fresh+" > "+m.document("held")+" AND "+fresh+" > "+m.tombstone("held"))
}

// again gives rows that are held in the same version the values that the batch has now. What the batch lacks, and whether the
// row is deleted, stays.
func (m *duckMerge) again(ctx context.Context, rows []int) (Stats, error) {
	set, differ := duckDialect.refill(m.b)
	if len(differ) == 0 {
		return Stats{}, nil
	}
	changed, err := m.run(ctx, rows, func(source string) string {
		return fmt.Sprintf(`MERGE INTO %s AS held USING %s AS fresh ON held.%s = fresh.%[3]s
			WHEN MATCHED AND %s = %s AND (%s) THEN UPDATE SET %s`,
			m.table(m.b.Table.Name), source, duckQuote(m.b.Table.Key), m.document("fresh"), m.document("held"), strings.Join(differ, " OR "), strings.Join(set, ", "))
	})
	return Stats{Updated: changed}, err
}

// upsert inserts the rows, or updates those that are held. How many it has inserted is told by counting the table, which reads none of it:
// RETURNING would keep a copy of all rows, a third of the merge.
func (m *duckMerge) upsert(ctx context.Context, rows []int, columns []string, from string, set []string, where string) (Stats, error) {
	key := duckQuote(m.b.Table.Key)
	values := make([]string, len(columns))
	for i, q := range columns {
		values[i] = "fresh." + q
	}
	before, err := m.count(ctx)
	if err != nil {
		return Stats{}, err
	}
	changed, err := m.run(ctx, rows, func(source string) string {
		return fmt.Sprintf(`MERGE INTO %s AS held USING (FROM %s AS fresh %s) AS fresh ON held.%s = fresh.%[4]s
			WHEN MATCHED AND %[5]s THEN UPDATE SET %s WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)`,
			m.table(m.b.Table.Name), source, from, key, where, strings.Join(set, ", "), strings.Join(columns, ", "), strings.Join(values, ", "))
	})
	if err != nil {
		return Stats{}, err
	}
	after, err := m.count(ctx)
	return Stats{Inserted: after - before, Updated: changed - (after - before)}, err
}

// count returns how many rows the table has.
func (m *duckMerge) count(ctx context.Context) (rows int64, err error) {
	if err := m.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+m.table(m.b.Table.Name)).Scan(&rows); err != nil {
		return 0, fmt.Errorf("count the rows: %w", err)
	}
	return rows, nil
}

// remember keeps the newest tombstone of each key.
func (m *duckMerge) remember(ctx context.Context, rows []int) (Stats, error) {
	t := m.b.Table
	_, err := m.run(ctx, rows, func(source string) string {
		return fmt.Sprintf(`INSERT INTO %s AS held SELECT %s, %s, %s, %s FROM %s
			ON CONFLICT DO UPDATE SET deleted_at = EXCLUDED.deleted_at, deleted_offset = EXCLUDED.deleted_offset
			WHERE (EXCLUDED.deleted_at, EXCLUDED.deleted_offset) > (held.deleted_at, held.deleted_offset)`,
			m.table(deletedTable), duckLiteral(t.Name), duckQuote(t.Key), duckQuote(t.Deleted), duckQuote(t.DeletedOffset), source)
	})
	return Stats{}, err
}

// remove deletes rows that are older than a tombstone.
func (m *duckMerge) remove(ctx context.Context, rows []int) (Stats, error) {
	t := m.b.Table
	changed, err := m.run(ctx, rows, func(source string) string {
		return fmt.Sprintf(`DELETE FROM %s AS held USING %s AS gone
			WHERE gone.table_name = %s AND gone.key = held.%s AND %s > %s AND gone.key IN (SELECT %[4]s FROM %[7]s)`,
			m.table(t.Name), m.table(deletedTable), duckLiteral(t.Name), duckQuote(t.Key), m.gone(), m.document("held"), source)
	})
	return Stats{Updated: changed}, err
}

// duckSlice is how many bytes of rows a statement is shown at most. A join holds them in memory about four times over, none of
// which can be spilled, and that beside rows that wait for a checkpoint: an eighth of duckMemory.
const duckSlice = 24 << 20

// run shows rows to a statement, and returns how many rows it has changed.
func (m *duckMerge) run(ctx context.Context, rows []int, statement func(source string) string) (changed int64, err error) {
	for _, slice := range m.slices(rows) {
		source, done := m.show(slice)
		result, err := m.tx.ExecContext(ctx, statement(source))
		done()
		if err != nil {
			return 0, duckRejects(err, m.columns)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		changed += n
	}
	return changed, nil
}

// slices cuts rows into pieces of at most duckSlice bytes, or of one row.
func (m *duckMerge) slices(rows []int) (pieces [][]int) {
	from, size := 0, 0
	for i, row := range rows {
		n := 0
		for _, c := range m.columns {
			n += c.size(row)
		}
		if size += n; size > duckSlice && i > from {
			pieces = append(pieces, rows[from:i])
			from, size = i, n
		}
	}
	return append(pieces, rows[from:])
}

// show makes rows a source of SQL until done is called. What is the same in all rows is shown as one row, which joins each: putting texts into
// DuckDB's chunks is a call for each.
func (m *duckMerge) show(rows []int) (source string, done func()) {
	var from []string
	var ids []int64
	for _, part := range []*duckRows{{rows: rows}, {rows: rows[:min(1, len(rows))], same: true}} {
		for _, c := range m.columns {
			if c.same == part.same {
				part.columns = append(part.columns, c)
			}
		}
		if len(part.columns) > 0 {
			id := part.show()
			ids = append(ids, id)
			from = append(from, fmt.Sprintf("%s(%d)", rowsFunction, id))
		}
	}
	return fmt.Sprintf("(SELECT %s FROM %s)", strings.Join(m.selected, ", "), strings.Join(from, ", ")), func() {
		for _, id := range ids {
			shownRows.Delete(id)
		}
	}
}

// document is what orders the version that a row holds; rows of a batch without the version's column count as undated, and
// one that holds no document comes before all.
func (m *duckMerge) document(of string) string {
	return m.rank(of, m.b.Table.Version, m.b.Table.Offset)
}

// tombstone is what orders the deletion that a row holds.
func (m *duckMerge) tombstone(of string) string {
	if m.b.Table.Version == "" {
		return m.rank(of, "", m.b.Table.DeletedOffset)
	}
	return m.rank(of, m.b.Table.Deleted, m.b.Table.DeletedOffset)
}

func (m *duckMerge) gone() string {
	if m.b.Table.Version == "" {
		return "('-infinity'::TIMESTAMPTZ, gone.deleted_offset)"
	}
	return "(gone.deleted_at, gone.deleted_offset)"
}

func (m *duckMerge) rank(of, time, offset string) string {
	at := "NULL"
	if time != "" && (of == "held" || m.b.Rows.Schema().HasField(time)) {
		at = of + "." + duckQuote(time)
	}
	return "(COALESCE(" + at + ", '-infinity'::TIMESTAMPTZ), COALESCE(" + of + "." + duckQuote(offset) + ", -1))"
}

func unquoted(q string) string { return strings.ReplaceAll(q[1:len(q)-1], `""`, `"`) }
