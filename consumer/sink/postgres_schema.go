package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pgDialect is PostgreSQL's: names are cut at 63 bytes by the server (NAMEDATALEN - 1), and some columns every table has already
// (PostgreSQL manual, 5.6 System Columns). Types are named as format_type does.
var pgDialect = &dialect{
	longest: 63,
	reserved: func(name string) bool {
		return slices.Contains([]string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "oid"}, name)
	},
	mark: `"`,
	types: []string{
		kindBool: "boolean", kindInt32: "integer", kindInt64: "bigint", kindFloat64: "double precision",
		kindTimestamp: "timestamp with time zone", kindText: "text", kindJSON: "jsonb",
	},
	kinds: map[string]kind{
		"CHARACTER VARYING": kindText,
		// as the driver names them
		"BOOL": kindBool, "INT4": kindInt32, "INT8": kindInt64, "FLOAT8": kindFloat64, "TIMESTAMPTZ": kindTimestamp, "TEXT": kindText, "VARCHAR": kindText, "JSONB": kindJSON,
	},
	first: "CAST('-infinity' AS TIMESTAMP WITH TIME ZONE)",
}

// lock lets one consumer at a time change the schema, until the transaction ends: IF NOT EXISTS alone fails where two
// create the same thing at once.
func (p *postgres) lock(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('tilestream'), hashtext($1))`, p.schema)
	return err
}

// setup makes the schema and the system tables where they are missing. It looks first: CREATE ... IF NOT EXISTS wants
// the right to create even where there is nothing to do.
func (p *postgres) setup(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := p.lock(ctx, tx); err != nil {
			return err
		}
		var schema, ledger, loads bool
		if err := tx.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL, to_regclass($2) IS NOT NULL, to_regclass($3) IS NOT NULL`,
			pgx.Identifier{p.schema}.Sanitize(), p.table(ledgerTable), p.table(loadsTable)).Scan(&schema, &ledger, &loads); err != nil {
			return err
		}
		for _, s := range []struct {
			exists bool
			sql    string
		}{
			{schema, `CREATE SCHEMA ` + pgx.Identifier{p.schema}.Sanitize()},
			{ledger, `CREATE TABLE ` + p.table(ledgerTable) + ` (cluster text, consumer_group text, topic text, partition integer,
				next_offset bigint NOT NULL, updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
				PRIMARY KEY (cluster, consumer_group, topic, partition))`},
			{loads, `CREATE TABLE ` + p.table(loadsTable) + ` (load_id text NOT NULL, table_name text NOT NULL, rows bigint NOT NULL,
				inserted bigint NOT NULL, updated bigint NOT NULL, unchanged bigint NOT NULL, bytes bigint NOT NULL,
				ranges jsonb NOT NULL, started_at timestamptz NOT NULL, finished_at timestamptz NOT NULL)`},
		} {
			if s.exists {
				continue
			}
			if _, err := tx.Exec(ctx, s.sql); err != nil {
				return fmt.Errorf("create the system tables in schema %s: %w", p.schema, err)
			}
		}
		return nil
	})
}

func (p *postgres) Prepare(ctx context.Context, t Table) error {
	fits := fingerprint(t)
	p.mu.Lock()
	done := p.prepared[t.Name] == fits
	p.mu.Unlock()
	if done {
		return nil
	}
	if err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error { return p.prepare(ctx, tx, t) }); err != nil {
		return fmt.Errorf("prepare table %s: %w", t.Name, p.advise(err))
	}
	p.mu.Lock()
	p.prepared[t.Name] = fits
	p.mu.Unlock()
	return nil
}

// fingerprint is equal for tables that Prepare treats alike.
func fingerprint(t Table) string {
	return strings.Join([]string{t.Key, t.Version, t.Offset, t.Deleted, t.DeletedOffset, strconv.FormatBool(t.HardDelete), string(t.Mode), t.Schema.String()}, "\n")
}

func (p *postgres) prepare(ctx context.Context, tx pgx.Tx, t Table) error {
	if err := p.lock(ctx, tx); err != nil {
		return err
	}
	have, err := p.columns(ctx, tx, t.Name)
	if err != nil {
		return err
	}
	changes, err := p.mode(ctx, tx, t, len(have) > 0)
	if err != nil {
		return err
	}
	if t = withValidity(t); len(have) == 0 {
		sql, err := p.create(t)
		if err != nil {
			return err
		}
		changes = append(changes, sql)
		if t.Mode != Upsert {
			changes = append(changes, `CREATE INDEX ON `+p.table(t.Name)+` (`+p.quote(t.Key)+`)`)
		}
	} else if t.Mode == Upsert {
		if err := p.checkKey(ctx, tx, t); err != nil {
			return err
		}
	}
	for _, f := range t.Schema.Fields() {
		want, err := kindOf(f.Type)
		if err != nil {
			return fmt.Errorf("column %s: %w", f.Name, err)
		}
		if len(have) > 0 {
			sql, err := p.fitColumn(ctx, tx, t.Name, f.Name, have[pgDialect.name(f.Name)], want)
			if err != nil {
				return err
			}
			changes = append(changes, sql...)
		}
		_, known := have[pgDialect.name(f.Name)]
		if doc, ok := f.Metadata.GetValue("doc"); ok && !known {
			changes = append(changes, `COMMENT ON COLUMN `+p.table(t.Name)+`.`+p.quote(f.Name)+` IS `+pgDialect.literal(doc))
		}
	}
	if t.HardDelete {
		changes = append(changes, `CREATE TABLE IF NOT EXISTS `+p.table(deletedTable)+` (table_name text, key text COLLATE "C",
			deleted_at timestamptz NOT NULL, deleted_offset bigint NOT NULL, PRIMARY KEY (table_name, key))`)
	}
	for _, sql := range changes {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// mode checks the mode of a table that exists, and returns what keeps in mind the one of a table that is new.
func (p *postgres) mode(ctx context.Context, tx pgx.Tx, t Table, exists bool) ([]string, error) {
	if err := checkDeletes(t); err != nil {
		return nil, err
	}
	tables, err := p.columns(ctx, tx, tablesTable)
	if err != nil {
		return nil, err
	}
	var has Mode
	if len(tables) > 0 {
		err := tx.QueryRow(ctx, `SELECT write_mode FROM `+p.table(tablesTable)+` WHERE table_name = $1`, pgDialect.name(t.Name)).Scan(&has)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return nil, err
		}
	}
	if exists {
		return nil, checkMode(t, has)
	}
	var sql []string
	if has != Upsert {
		sql = append(sql, `DELETE FROM `+p.table(tablesTable)+` WHERE table_name = `+pgDialect.literal(pgDialect.name(t.Name))) // it was dropped
	}
	if t.Mode != Upsert {
		sql = append(sql, `CREATE TABLE IF NOT EXISTS `+p.table(tablesTable)+` (table_name text PRIMARY KEY, write_mode text NOT NULL)`,
			`INSERT INTO `+p.table(tablesTable)+` VALUES (`+pgDialect.literal(pgDialect.name(t.Name))+`, `+pgDialect.literal(string(t.Mode))+`)`)
	}
	return sql, nil
}

// create returns the CREATE TABLE. The key compares by bytes: faster than by the rules of a language, and an upgrade of
// the system's collations cannot break its index.
func (p *postgres) create(t Table) (string, error) {
	var columns []string
	for _, f := range t.Schema.Fields() {
		k, err := kindOf(f.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", f.Name, err)
		}
		sql := p.quote(f.Name) + " " + pgDialect.types[k]
		if f.Name == t.Key {
			sql += ` COLLATE "C" NOT NULL`
			if t.Mode == Upsert {
				sql += ` PRIMARY KEY`
			}
		}
		columns = append(columns, sql)
	}
	return `CREATE TABLE ` + p.table(t.Name) + " (\n\t" + strings.Join(columns, ",\n\t") + "\n)", nil
}

// checkKey sees that a table that exists has what ON CONFLICT needs.
func (p *postgres) checkKey(ctx context.Context, tx pgx.Tx, t Table) error {
	var ok bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = $1::text::regclass AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = $2)`,
		p.table(t.Name), pgDialect.name(t.Key)).Scan(&ok)
	if err == nil && !ok {
		err = fmt.Errorf("table %s exists without a primary key on %s: rename it, or choose another WAREHOUSE_DATASET", p.table(t.Name), p.quote(t.Key))
	}
	return err
}

// fitColumn returns the statements that make one column of an existing table fit.
func (p *postgres) fitColumn(ctx context.Context, tx pgx.Tx, table, column, have string, want kind) ([]string, error) {
	alter := `ALTER TABLE ` + p.table(table)
	name := p.quote(column)
	if have == "" {
		return []string{alter + ` ADD COLUMN ` + name + ` ` + pgDialect.types[want]}, nil
	}
	from, err := pgDialect.kind(column, have)
	if err != nil {
		return nil, err
	}
	to := widen(from, want)
	if from == kindInt64 && to == kindFloat64 {
		var inexact bool
		if err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s WHERE %s NOT BETWEEN -%d AND %d)`,
			p.table(table), name, exactFloat, exactFloat)).Scan(&inexact); err != nil {
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
	if from == kindTimestamp {
		using = `to_char(` + name + ` AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
	}
	if to == kindJSON {
		using = `to_jsonb(` + using + `)`
	}
	return []string{fmt.Sprintf(`%s ALTER COLUMN %s TYPE %s USING (%s)::%[3]s`, alter, name, pgDialect.types[to], using)}, nil
}

// columns returns the types of the table's columns by name, without those that the server computes; none where there is
// no such table.
func (p *postgres) columns(ctx context.Context, tx pgx.Tx, table string) (map[string]string, error) {
	rows, err := tx.Query(ctx, pgColumns, p.table(table))
	if err != nil {
		return nil, err
	}
	return scanColumns(rows)
}

const pgColumns = `SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
	WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`

func scanColumns(rows pgx.Rows) (map[string]string, error) {
	have := map[string]string{}
	var name, typ string
	_, err := pgx.ForEachRow(rows, []any{&name, &typ}, func() error {
		have[name] = typ
		return nil
	})
	return have, err
}
