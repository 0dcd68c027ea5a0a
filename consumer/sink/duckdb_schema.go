//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"tilestream/internal/ops"
)

// setup makes the schema and the system tables where they are missing.
func (d *duckDB) setup(ctx context.Context, tx *sql.Tx) error {
	var file string
	if err := tx.QueryRowContext(ctx, `SELECT current_database()`).Scan(&file); err != nil {
		return err
	}
	if strings.EqualFold(file, d.schema) {
		return ops.Usagef("DuckDB cannot tell the dataset %s from the file, which it calls %s too: give the file in WAREHOUSE_URL another name, or set WAREHOUSE_DATASET", d.schema, file)
	}
	format := d.table(formatTable)
	for _, s := range append([]string{`CREATE SCHEMA IF NOT EXISTS ` + duckQuote(d.schema)}, makesFormat(format, "BIGINT", "")...) {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	if err := checkDataset(d.schema, tx.QueryRowContext(ctx, asksFormat(format)).Scan); err != nil {
		return err
	}
	for _, s := range []string{
		`CREATE TABLE IF NOT EXISTS ` + d.table(ledgerTable) + ` (cluster VARCHAR, consumer_group VARCHAR, topic VARCHAR, "partition" INTEGER,
			next_offset BIGINT NOT NULL, updated_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (cluster, consumer_group, topic, "partition"))`,
		`CREATE TABLE IF NOT EXISTS ` + d.table(loadsTable) + ` (load_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, "rows" BIGINT NOT NULL,
			inserted BIGINT NOT NULL, updated BIGINT NOT NULL, unchanged BIGINT NOT NULL, bytes BIGINT NOT NULL,
			ranges JSON NOT NULL, started_at TIMESTAMPTZ NOT NULL, finished_at TIMESTAMPTZ NOT NULL)`,
	} {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (d *duckDB) Prepare(ctx context.Context, t Table) error {
	fits := fingerprint(t)
	d.mu.Lock()
	done := d.prepared[t.Name] == fits
	d.mu.Unlock()
	if done {
		return nil
	}
	if err := d.file.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return d.prepare(ctx, tx, t) }); err != nil {
		return fmt.Errorf("prepare table %s: %w", t.Name, err)
	}
	d.mu.Lock()
	d.prepared[t.Name] = fits
	d.mu.Unlock()
	return nil
}

func (d *duckDB) Plan(ctx context.Context, t Table) (changes []Change, err error) {
	err = d.file.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		changes, err = d.changes(ctx, tx, t)
		return err
	})
	return changes, err
}

// prepare makes the changes and writes them down, in one transaction.
func (d *duckDB) prepare(ctx context.Context, tx *sql.Tx, t Table) error {
	changes, err := d.changes(ctx, tx, t)
	if err != nil {
		return err
	}
	sql := statements(changes)
	if record := duckDialect.record(d.schema, t, changes, time.Now()); record != "" {
		sql = append(sql, duckDialect.schemas(d.schema), record)
	}
	for _, s := range sql {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// changes is what has to be done before the table fits.
func (d *duckDB) changes(ctx context.Context, tx *sql.Tx, t Table) ([]Change, error) {
	have, err := d.columns(ctx, tx, t.Name)
	if err != nil {
		return nil, err
	}
	kept, err := d.mode(ctx, tx, t, len(have) > 0)
	if err != nil {
		return nil, err
	}
	t = withValidity(t)
	var changes []Change
	var columns, docs []string
	for _, f := range t.Schema.Fields() {
		want, err := kindOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		name, typ := duckQuote(f.Name), duckDialect.types[want]
		comment := ""
		if doc, ok := f.Metadata.GetValue("doc"); ok {
			comment = `COMMENT ON COLUMN ` + d.table(t.Name) + `.` + name + ` IS ` + duckLiteral(doc)
		}
		from, known := have[strings.ToLower(f.Name)]
		switch {
		case len(have) == 0:
			if f.Name == t.Key {
				typ += " NOT NULL"
			}
			columns = append(columns, name+" "+typ)
			docs = append(docs, comment)
		case known:
			wider, err := d.widenColumn(ctx, tx, t.Name, f.Name, from, want)
			if err != nil {
				return nil, err
			}
			changes = append(changes, wider...)
		default:
			changes = append(changes, Change{adds(f.Name, typ), some(`ALTER TABLE `+d.table(t.Name)+` ADD COLUMN `+name+` `+typ, comment)})
		}
	}
	if len(columns) > 0 {
		create := `CREATE TABLE ` + d.table(t.Name) + " (\n\t" + strings.Join(columns, ",\n\t") + "\n)"
		changes = append(changes, Change{creates(t.Name, len(columns)), some(append(append(kept, create), docs...)...)})
	}
	if t.HardDelete {
		if deleted, err := d.columns(ctx, tx, deletedTable); err != nil {
			return nil, err
		} else if len(deleted) == 0 {
			changes = append(changes, Change{"", []string{`CREATE TABLE IF NOT EXISTS ` + d.table(deletedTable) + ` (table_name VARCHAR, key VARCHAR,
				deleted_at TIMESTAMPTZ NOT NULL, deleted_offset BIGINT NOT NULL, PRIMARY KEY (table_name, key))`}})
		}
	}
	views, err := duckDialect.views(t, d.schema, func(name string) (bool, error) {
		have, err := d.columns(ctx, tx, name)
		return len(have) > 0, err
	})
	return append(changes, views...), err
}

// mode checks the mode of a table that exists, and returns what keeps in mind the one of a table that is new.
func (d *duckDB) mode(ctx context.Context, tx *sql.Tx, t Table, exists bool) ([]string, error) {
	if err := checkDeletes(t); err != nil {
		return nil, err
	}
	tables, err := d.columns(ctx, tx, tablesTable)
	if err != nil {
		return nil, err
	}
	var has Mode
	name := duckLiteral(strings.ToLower(t.Name)) // DuckDB does not tell tables apart by case
	if len(tables) > 0 {
		err := tx.QueryRowContext(ctx, `SELECT write_mode FROM `+d.table(tablesTable)+` WHERE table_name = `+name).Scan(&has)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	if exists {
		return nil, checkMode(t, has)
	}
	var changes []string
	if has != Upsert {
		changes = append(changes, `DELETE FROM `+d.table(tablesTable)+` WHERE table_name = `+name) // it was dropped
	}
	if t.Mode != Upsert {
		changes = append(changes, `CREATE TABLE IF NOT EXISTS `+d.table(tablesTable)+` (table_name VARCHAR NOT NULL, write_mode VARCHAR NOT NULL)`,
			`INSERT INTO `+d.table(tablesTable)+` VALUES (`+name+`, `+duckLiteral(string(t.Mode))+`)`)
	}
	return changes, nil
}

// widenColumn returns the change that makes a column of an existing table wide enough, or none.
func (d *duckDB) widenColumn(ctx context.Context, tx *sql.Tx, table, column, have string, want kind) ([]Change, error) {
	from, err := duckDialect.kind(column, have)
	if err != nil {
		return nil, err
	}
	name, to := duckQuote(column), widen(from, want)
	if from == kindInt64 && to == kindFloat64 {
		var inexact bool
		if err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT EXISTS (FROM %s WHERE %s NOT BETWEEN -%d AND %d)`,
			d.table(table), name, exactFloat, exactFloat)).Scan(&inexact); err != nil {
			return nil, err
		}
		if inexact {
			to = kindText
		}
	}
	if from == to {
		return nil, nil
	}
	using := name
	if from == kindFloat64 && to == kindText {
		using = fmt.Sprintf(duckDialect.number, name)
	}
	if from == kindTimestamp {
		using = `strftime(` + name + ` AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')`
	}
	if to == kindJSON {
		using = `to_json(` + using + `)`
	}
	alter := fmt.Sprintf(`ALTER TABLE %s ALTER COLUMN %s SET DATA TYPE %s USING CAST(%s AS %[3]s)`, d.table(table), name, duckDialect.types[to], using)
	return []Change{{widens(column, duckDialect.types[from], duckDialect.types[to]), []string{alter}}}, nil
}

// columns returns the types of the table's columns by name in lower case, since DuckDB does not tell names apart by
// case; none where there is no such table.
func (d *duckDB) columns(ctx context.Context, tx *sql.Tx, table string) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT column_name, data_type FROM duckdb_columns()
		WHERE database_name = current_database() AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)`, d.schema, table)
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
		have[strings.ToLower(name)] = typ
	}
	return have, rows.Err()
}

func (d *duckDB) reporting(ctx context.Context, do func(ctx context.Context, d *dialect, dataset string, conn querier) error) error {
	return d.file.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return do(ctx, duckDialect, d.schema, tx) })
}
