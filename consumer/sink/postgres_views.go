package sink

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// reporting waits five seconds at most for who reads a view that is to be replaced: until then everybody else who reads it waits too.
func (p *postgres) reporting(ctx context.Context, do func(ctx context.Context, d *dialect, dataset string, conn querier) error) error {
	db := stdlib.OpenDBFromPool(p.pool)
	defer db.Close() // the pool stays open
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return p.advise(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing is left to do where it has ended
	_, err = tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtext('tilestream'), hashtext($1)), set_config('lock_timeout', '5s', true)`, p.schema)
	if err == nil {
		err = do(ctx, pgDialect, p.schema, tx)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return p.advise(err)
	}
	return nil
}

// unbound is the changes that let go of a table's columns those report views that are there: a column that a view shows cannot change its type.
func (p *postgres) unbound(ctx context.Context, tx pgx.Tx) (changes []Change, err error) {
	for _, r := range reports {
		emptied, names := pgDialect.emptied(p.schema, r)
		have, err := p.columns(ctx, tx, r.name)
		if err != nil {
			return nil, err
		}
		if len(have) != len(names) || slices.ContainsFunc(names, func(name string) bool { return have[name] == "" }) {
			continue // somebody else's, or none
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'v' AND pg_has_role(relowner, 'MEMBER'))`, p.table(r.name)).Scan(&there); err != nil {
			return nil, err
		}
		if there {
			changes = append(changes, emptied)
		}
	}
	return changes, nil
}
