package sink

import (
	"context"
	"database/sql"
	"net/url"

	"github.com/jackc/pgx/v5/stdlib"
)

// readPostgres reads in transactions that the server keeps from writing. It is said of each transaction, not of the
// connection, since poolers refuse settings of a connection.
func readPostgres(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	cfg, err := postgresConfig(u, "tilestream-reader")
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*cfg.ConnConfig)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // nothing was opened
		return nil, err
	}
	return &Reader{db: db, dataset: pgDialect.name(dataset), close: db.Close, dialect: pgDialect,
		how: reading{begin: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`, hazards: pgHazards,
			single: func(context.Context, *sql.Conn, string) error { return nil }}}, nil // what is prepared, as the driver does, is one (PostgreSQL, Parse message)
}
