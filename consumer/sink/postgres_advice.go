package sink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// advise adds to an error of the server, or of the way to it, what to do about it. Others come back as they are.
func (p *postgres) advise(err error) error {
	if a := p.advice(err); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

func (p *postgres) advice(err error) string {
	cfg := p.pool.Config().ConnConfig
	user, schema := pgx.Identifier{cfg.User}.Sanitize(), pgx.Identifier{p.schema}.Sanitize()
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code { // PostgreSQL manual, Appendix A
		case "42501": // insufficient_privilege
			switch {
			case strings.Contains(pg.Message, "for database"):
				return fmt.Sprintf("the schema is not there and the user may not create it; an administrator can: CREATE SCHEMA %s AUTHORIZATION %s", schema, user)
			case strings.Contains(pg.Message, "must be owner"):
				return fmt.Sprintf("columns are added by the owner of a table; an administrator can: ALTER TABLE ... OWNER TO %s", user)
			}
			return fmt.Sprintf("an administrator can: GRANT USAGE, CREATE ON SCHEMA %s TO %s; GRANT ALL ON ALL TABLES IN SCHEMA %[1]s TO %[2]s", schema, user)
		case "0A000": // feature_not_supported
			if strings.Contains(pg.Message, "used by a view") {
				return "a view of yours shows the column, and PostgreSQL changes no type below one (" + pg.Detail + "): drop that view, and make it again once the consumer has gone on"
			}
		case "28P01", "28000": // invalid_password, invalid_authorization_specification
			return "check user and password in WAREHOUSE_URL, and pg_hba.conf of the server"
		case "3D000": // invalid_catalog_name
			return fmt.Sprintf("check the database in WAREHOUSE_URL; an administrator can: CREATE DATABASE %s OWNER %s", pgx.Identifier{cfg.Database}.Sanitize(), user)
		case "53300": // too_many_connections
			return "raise max_connections of the server, or set pool_max_conns in WAREHOUSE_URL"
		case "25006": // read_only_sql_transaction
			return "this is a replica, or read-only: WAREHOUSE_URL has to name the server that takes writes"
		}
		return ""
	}
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case strings.Contains(err.Error(), "server refused TLS"):
		return "the server has no TLS: add ?sslmode=disable to WAREHOUSE_URL, where the network is yours"
	case errors.As(err, &dns):
		return "check the host in WAREHOUSE_URL"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "check host and port in WAREHOUSE_URL, and that the server runs"
	}
	return ""
}

// away tells errors that pass when the server or the network comes back: whatever the server has not said itself, and of what it
// says, that it starts, stops, or has no room (PostgreSQL manual, Appendix A). A name that does not exist and a TLS that the two
// sides do not agree on stay so.
func away(err error) bool {
	var (
		pg          *pgconn.PgError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       *net.OpError
	)
	switch {
	case errors.As(err, &pg):
		switch pg.Code {
		case "57P01", "57P02", "57P03", "53300", "40001", "40P01": // admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections, serialization_failure, deadlock_detected
			return true
		}
		return strings.HasPrefix(pg.Code, "08") // connection exception
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.As(err, &certificate), errors.As(err, &alert) && alert.Op == "remote error", strings.Contains(err.Error(), "server refused TLS"):
		return false
	}
	return true
}
