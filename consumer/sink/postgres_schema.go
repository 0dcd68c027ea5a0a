package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	unnest: func(column string) unnested {
		return unnested{" CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(" + column + ") WHEN 'array' THEN " + column + " END) WITH ORDINALITY AS e(value, n)", "e.n - 1", "e.value",
			"CASE WHEN jsonb_typeof(e.value) NOT IN ('object', 'array') THEN e.value #>> '{}' END"}
	},
	say: &phrases{
		epoch: "CAST(EXTRACT(EPOCH FROM %s) * 1000 AS bigint)", day: "CAST(%s AT TIME ZONE 'UTC' AS date)", hour: "date_trunc('hour', %s AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'", list: `string_agg(%[1]s, ', ' ORDER BY %[1]s COLLATE "C")`, collate: ` COLLATE "default"`,
		field: func(json string, path ...string) string {
			return "(" + json + " #>> '{" + strings.Join(path, ",") + "}')"
		},
	},
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
		var schema, ledger, loads, format bool
		if err := tx.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL, to_regclass($2) IS NOT NULL, to_regclass($3) IS NOT NULL, to_regclass($4) IS NOT NULL`,
			pgx.Identifier{p.schema}.Sanitize(), p.table(ledgerTable), p.table(loadsTable), p.table(formatTable)).Scan(&schema, &ledger, &loads, &format); err != nil {
			return err
		}
		if format {
			if err := checkDataset(p.schema, tx.QueryRow(ctx, asksFormat(p.table(formatTable))).Scan); err != nil {
				return err
			}
		}
		made := makesFormat(p.table(formatTable), "bigint", "")
		for _, s := range []struct {
			exists bool
			sql    string
		}{
			{schema, `CREATE SCHEMA ` + pgx.Identifier{p.schema}.Sanitize()},
			{ledger || format, made[0]}, // a ledger without one is of the first format
			{ledger || format, made[1]},
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

func (p *postgres) Plan(ctx context.Context, t Table) (changes []Change, err error) {
	err = pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		changes, err = p.changes(ctx, tx, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("plan table %s: %w", t.Name, p.advise(err))
	}
	return changes, nil
}

// prepare makes the changes and writes them down, in one transaction.
func (p *postgres) prepare(ctx context.Context, tx pgx.Tx, t Table) error {
	if err := p.lock(ctx, tx); err != nil {
		return err
	}
	changes, err := p.changes(ctx, tx, t)
	if err != nil {
		return err
	}
	sql := statements(changes)
	if record := pgDialect.record(p.schema, t, changes, time.Now()); record != "" {
		have, err := p.columns(ctx, tx, schemasTable)
		if err != nil {
			return err
		}
		if len(have) == 0 { // looked at first: see setup
			sql = append(sql, pgDialect.schemas(p.schema))
		}
		sql = append(sql, record)
	}
	for _, s := range sql {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// changes is what has to be done before the table fits.
func (p *postgres) changes(ctx context.Context, tx pgx.Tx, t Table) ([]Change, error) {
	have, err := p.columns(ctx, tx, t.Name)
	if err != nil {
		return nil, err
	}
	kept, err := p.mode(ctx, tx, t, len(have) > 0)
	if err != nil {
		return nil, err
	}
	t = withValidity(t)
	var changes []Change
	var columns, docs []string
	unbound := false
	for _, f := range t.Schema.Fields() {
		want, err := kindOf(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		name, typ := p.quote(f.Name), pgDialect.types[want]
		comment := ""
		if doc, ok := f.Metadata.GetValue("doc"); ok {
			comment = `COMMENT ON COLUMN ` + p.table(t.Name) + `.` + name + ` IS ` + pgDialect.literal(doc)
		}
		from, known := have[pgDialect.name(f.Name)]
		switch {
		case len(have) == 0:
			columns = append(columns, name+" "+typ+p.keyed(t, f.Name))
			docs = append(docs, comment)
		case known:
			wider, err := p.widenColumn(ctx, tx, t.Name, f.Name, from, want)
			if err != nil {
				return nil, err
			}
			if len(wider) > 0 && slices.Contains(reportTables, t.Name) && !unbound {
				unbound = true
				views, err := p.unbound(ctx, tx)
				if err != nil {
					return nil, err
				}
				changes = append(changes, views...)
			}
			changes = append(changes, wider...)
		default:
			changes = append(changes, Change{adds(f.Name, typ), some(`ALTER TABLE `+p.table(t.Name)+` ADD COLUMN `+name+` `+typ, comment)})
		}
	}
	switch {
	case len(columns) > 0:
		index := ""
		if t.Mode != Upsert {
			index = `CREATE INDEX ON ` + p.table(t.Name) + ` (` + p.quote(t.Key) + `)`
		}
		create := `CREATE TABLE ` + p.table(t.Name) + " (\n\t" + strings.Join(columns, ",\n\t") + "\n)"
		changes = append(changes, Change{creates(t.Name, len(columns)), some(append(append(kept, create, index), docs...)...)})
	case t.Mode == Upsert:
		if err := p.checkKey(ctx, tx, t); err != nil {
			return nil, err
		}
	}
	if t.HardDelete {
		if deleted, err := p.columns(ctx, tx, deletedTable); err != nil {
			return nil, err
		} else if len(deleted) == 0 {
			changes = append(changes, Change{"", []string{`CREATE TABLE IF NOT EXISTS ` + p.table(deletedTable) + ` (table_name text, key text COLLATE "C",
				deleted_at timestamptz NOT NULL, deleted_offset bigint NOT NULL, PRIMARY KEY (table_name, key))`}})
		}
	}
	views, err := pgDialect.views(t, p.schema, func(name string) (bool, error) {
		have, err := p.columns(ctx, tx, name)
		return len(have) > 0, err
	})
	return append(changes, views...), err
}

// keyed is what makes the key's column one. It compares by bytes: faster than by the rules of a language, and an upgrade of the system's
// collations cannot break its index.
func (p *postgres) keyed(t Table, column string) string {
	switch {
	case column != t.Key:
		return ""
	case t.Mode == Upsert:
		return ` COLLATE "C" NOT NULL PRIMARY KEY`
	}
	return ` COLLATE "C" NOT NULL`
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

// widenColumn returns the change that makes a column of an existing table wide enough, or none.
func (p *postgres) widenColumn(ctx context.Context, tx pgx.Tx, table, column, have string, want kind) ([]Change, error) {
	name := p.quote(column)
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
	if from == kindFloat64 {
		using += ` + 0` // zero has no sign
	}
	if from == kindTimestamp {
		using = `to_char(` + name + ` AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
	}
	if to == kindJSON {
		using = `to_jsonb(` + using + `)`
	}
	alter := fmt.Sprintf(`ALTER TABLE %s ALTER COLUMN %s TYPE %s USING (%s)::%[3]s`, p.table(table), name, pgDialect.types[to], using)
	return []Change{{widens(column, pgDialect.types[from], pgDialect.types[to]), []string{alter}}}, nil
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
