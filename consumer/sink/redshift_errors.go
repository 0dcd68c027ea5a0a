package sink

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// redshiftConflict tells that a transaction gave way to another one, or came upon what another one has just made.
func redshiftConflict(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code { // PostgreSQL manual, Appendix A
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	case "42P06", "42P07", "42701": // duplicate_schema, duplicate_table, duplicate_column: IF NOT EXISTS does not lock
		return true
	case "23505": // unique_violation
		return strings.HasPrefix(pg.ConstraintName, "pg_")
	}
	return pg.Message == "1023" || strings.Contains(pg.Message+pg.Detail, "Serializable isolation violation") || // as the guide shows it
		strings.Contains(pg.Message, "concurrent transaction") // that dropped or altered a table
}

// explain says what an error of the cluster, or of the way to it, means and what to do about it; one about values is a *RejectedError.
func (r *redshift) explain(err error) error {
	var rejected *RejectedError
	if errors.As(err, &rejected) {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if pg.Detail != "" { // COPY says there what it means
			err = fmt.Errorf("%w (%s)", err, strings.Join(strings.Fields(pg.Detail), " "))
		}
		if aboutValues(pg) {
			return &RejectedError{Err: err}
		}
	}
	if a := r.advice(err, pg); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

// aboutValues knows errors that a row brings about: by SQLSTATE where Redshift gives one, and else, as it does in COPY and JSON_PARSE,
// by its words.
func aboutValues(pg *pgconn.PgError) bool {
	if valueState(pg.Code) && pg.Code != "23505" { // nothing is unique there but names
		return true
	}
	said := strings.ToLower(pg.Message + " " + pg.Detail)
	for _, words := range []string{"json parsing error", "invalid or unsupported utf8", "length of the data column", "too long for type", "string length exceeds", "exceeds the maximum size of super"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

func (r *redshift) advice(err error, pg *pgconn.PgError) string {
	user, schema := redshiftDialect.quoted(r.config.User), redshiftDialect.quoted(r.schema)
	database := redshiftDialect.quoted(r.config.Database)
	if pg == nil {
		var dns *net.DNSError
		switch {
		case errors.As(err, &dns):
			return "check the host in WAREHOUSE_URL"
		case strings.Contains(err.Error(), "server refused TLS"):
			return "the server has no TLS: add sslmode=disable to WAREHOUSE_URL, where the network is yours"
		case strings.Contains(err.Error(), "x509: "):
			return "the host in WAREHOUSE_URL is not the one in the server's certificate: through a tunnel, add sslmode=require"
		case strings.Contains(err.Error(), "dial error"):
			return "check host and port in WAREHOUSE_URL, that the cluster is not paused, and that its security group lets this machine in"
		}
		return ""
	}
	said := pg.Message + " " + pg.Detail
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(strings.ToLower(said), w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("not authorized to get credentials of role", "not authorized to assume iam role"):
		return fmt.Sprintf("attach the role of iam_role=%s to the cluster or workgroup, let redshift.amazonaws.com assume it, and, where ASSUMEROLE was revoked from PUBLIC, an administrator can: GRANT ASSUMEROLE ON %[1]s TO %s FOR COPY", r.role, user)
	case has("s3serviceexception:access denied", "access denied (status code: 403", "access denied,status 403"):
		return fmt.Sprintf("allow the role of iam_role=%s s3:GetObject on arn:aws:s3:::%s/*, and s3:ListBucket and s3:GetBucketLocation on arn:aws:s3:::%[2]s", r.role, r.bucket)
	case has("status 301", "specified endpoint", "permanentredirect"):
		return "the stage's bucket has to be in the cluster's region: COPY takes Parquet from nowhere else"
	case has("disk space quota in schema"):
		return fmt.Sprintf("the schema is full; an administrator can: ALTER SCHEMA %s QUOTA UNLIMITED", schema)
	case pg.Code == "53100" || has("disk full"):
		return "the cluster's disks are full: resize it, or remove what is not needed and VACUUM"
	case pg.Code == "42501": // insufficient_privilege
		switch {
		case has("temporary tables"):
			return fmt.Sprintf("an administrator can: GRANT TEMP ON DATABASE %s TO %s", database, user)
		case has("for database"):
			return fmt.Sprintf("the schema is not there and the user may not create it; an administrator can: CREATE SCHEMA %s AUTHORIZATION %s", schema, user)
		case has("must be owner"):
			return fmt.Sprintf("columns are added by the owner of a table; an administrator can: ALTER TABLE ... OWNER TO %s", user)
		}
		return fmt.Sprintf("an administrator can: GRANT USAGE, CREATE ON SCHEMA %s TO %s; GRANT ALL ON ALL TABLES IN SCHEMA %[1]s TO %[2]s", schema, user)
	case pg.Code == "28P01" || pg.Code == "28000": // invalid_password, invalid_authorization_specification
		return "check user and password in WAREHOUSE_URL; a temporary one (IAM) lasts an hour at most"
	case pg.Code == "3D000": // invalid_catalog_name
		return "check the database in WAREHOUSE_URL"
	case pg.Code == "42P01" || pg.Code == "3F000": // undefined_table, invalid_schema_name
		return "it was dropped since this process has started: start it again, and it is made anew; what it held comes back with consumer replay -from beginning"
	case pg.Code == "53300": // too_many_connections
		return "the cluster has no connection left: close others, or let fewer consumers run"
	case pg.Code == "57P01" || pg.Code == "57P03": // admin_shutdown, cannot_connect_now
		return "the cluster restarts or is paused: resume it; loading goes on then"
	case pg.Code == "57014" && has("query cancelled by wlm", "abort"): // query_canceled
		return "a rule of workload management has ended the statement: give the user a queue that lets it run"
	}
	return ""
}
