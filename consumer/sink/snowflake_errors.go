package sink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	sf "github.com/snowflakedb/gosnowflake"
)

// snowflakeConflict tells that a statement gave way to others: too many wait for a lock, one waited too long, or two wait for each other
// (Snowflake, error codes 000625, 000626 and 000635).
func snowflakeConflict(err error) bool {
	var e *sf.SnowflakeError
	return errors.As(err, &e) && (e.Number == 625 || e.Number == 626 || e.Number == 635)
}

// snowflakeAway tells errors that pass when the account, or the way to it, comes back.
func snowflakeAway(err error) bool {
	var e *sf.SnowflakeError
	if errors.As(err, &e) {
		return e.Number == sf.ErrCodeServiceUnavailable || e.Number == sf.ErrCodeFailedToConnect
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	var at *url.Error
	var op *net.OpError
	return errors.As(err, &at) || errors.As(err, &op) || errors.Is(err, context.DeadlineExceeded)
}

// explain says what an error of the account means and what to do about it; one about values is a *RejectedError.
func (f *snowflake) explain(err error) error {
	var rejected *RejectedError
	if err == nil || errors.As(err, &rejected) {
		return err
	}
	var e *sf.SnowflakeError
	if errors.As(err, &e) && len(e.SQLState) == 5 && (e.SQLState[:2] == "22" || e.SQLState[:2] == "23") {
		return &RejectedError{Err: err}
	}
	if a := f.advice(err, e); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

func (f *snowflake) advice(err error, e *sf.SnowflakeError) string {
	role, schema := "ROLE "+snowflakeDialect.quoted(f.cfg.Role), snowflakeDialect.quoted(f.cfg.Database)+"."+snowflakeDialect.quoted(f.schema)
	if f.cfg.Role == "" {
		role = "ROLE ..."
	}
	number, state := 0, ""
	if e != nil {
		number, state = e.Number, e.SQLState
	}
	switch said := err.Error(); {
	case number == 390100 || number == 390144 || number == 390303 || number == 390318 || number == 394300:
		return "the credential in WAREHOUSE_URL is wrong or has expired: check the user, and its password, token or public key (ALTER USER ... SET RSA_PUBLIC_KEY)"
	case number == 390189 || number == 390186:
		return "grant the role to the user: GRANT " + role + " TO USER " + snowflakeDialect.quoted(f.cfg.User)
	case number == 606 || state == "57P03":
		return "no warehouse is at work: name one in WAREHOUSE_URL, ?warehouse=..., and GRANT USAGE ON WAREHOUSE ... TO " + role
	case number == 90073 || strings.Contains(said, "resource monitor"):
		return "the quota of credits is used up: raise the resource monitor's; loading goes on by itself then"
	case number == 90106, strings.Contains(said, "not have a current database"):
		return "there is no database " + f.cfg.Database + ", or no right to use it: GRANT USAGE ON DATABASE " + snowflakeDialect.quoted(f.cfg.Database) + " TO " + role
	case number == 3001 || state == "42501":
		return fmt.Sprintf("an administrator can: CREATE SCHEMA IF NOT EXISTS %s; GRANT USAGE ON DATABASE %s TO %s; GRANT USAGE, CREATE TABLE, CREATE STAGE ON SCHEMA %[1]s TO %[3]s",
			schema, snowflakeDialect.quoted(f.cfg.Database), role)
	case number == 2003 && strings.Contains(strings.ToUpper(said), "_TILESTREAM_"):
		return "one of Tilestream's own tables was dropped: the next start makes it again, and loads again what the ledger no longer has"
	case number == 2003:
		return "it does not exist, or the role may not see it"
	case snowflakeAway(err):
		return "check the account in WAREHOUSE_URL, ORGANIZATION-ACCOUNT, and the way to it"
	}
	return ""
}
