package sink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	sf "github.com/snowflakedb/gosnowflake"
)

// snowflakeConflict tells that a statement gave way to others: too many wait for a lock, one waited too long, or two wait for each other
// (Snowflake, error codes 000625, 000626 and 000635).
func snowflakeConflict(err error) bool {
	var e *sf.SnowflakeError
	return errors.As(err, &e) && (e.Number == 625 || e.Number == 626 || e.Number == 635)
}

// snowflakeAway tells errors that pass when the account, or the way to it, comes back, or when its credits do.
func snowflakeAway(err error) bool {
	var e *sf.SnowflakeError
	if errors.As(err, &e) {
		return e.Number == sf.ErrCodeServiceUnavailable || e.Number == snowflakeQuota
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	var at *url.Error
	var op *net.OpError
	// The driver's words where it has asked again and again, and always got a status that says to.
	return errors.As(err, &at) || errors.As(err, &op) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "HTTP Status: ")
}

// snowflakeQuota is the number of "Warehouse ... cannot be resumed because resource monitor ... has exceeded its quota".
const snowflakeQuota = 90073

// snowflakeRefused tells that a value was refused. Errors of execution have numbers from 100000 to 100999; the class of the SQLSTATE
// alone does not tell, since 22000 is also what comes back where the quota is used up (090073), or there is no database (090105).
func snowflakeRefused(e *sf.SnowflakeError) bool {
	return e.Number/1000 == 100 && len(e.SQLState) == 5 && (e.SQLState[:2] == "22" || e.SQLState[:2] == "23")
}

// explain says what an error of the account means and what to do about it; one about values is a *RejectedError.
func (f *snowflake) explain(err error) error {
	var rejected *RejectedError
	if err == nil || errors.As(err, &rejected) {
		return err
	}
	var e *sf.SnowflakeError
	if errors.As(err, &e) && snowflakeRefused(e) {
		return &RejectedError{Err: err}
	}
	if a := f.advice(err, e); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

func (f *snowflake) advice(err error, e *sf.SnowflakeError) string {
	role, database := "ROLE "+snowflakeName(f.cfg.Role), snowflakeName(f.cfg.Database)
	schema := database + "." + snowflakeName(f.schema)
	useDatabase := "GRANT USAGE ON DATABASE " + database + " TO " + role
	useWarehouse := "GRANT USAGE ON WAREHOUSE " + snowflakeName(f.cfg.Warehouse) + " TO " + role
	number, state := 0, ""
	if e != nil {
		number, state = e.Number, e.SQLState
	}
	said := err.Error()
	has := func(words string) bool { return strings.Contains(said, words) }
	switch {
	case number == 390422:
		return "a network policy of the account keeps this machine out: an administrator can add its address to the policy"
	case number == sf.ErrRoleNotExist || number == 390186:
		return "grant the role to the user: GRANT " + role + " TO USER " + snowflakeName(f.cfg.User)
	case number == sf.ErrObjectNotExistOrAuthorized && has("warehouse"):
		return "check warehouse in WAREHOUSE_URL, or " + useWarehouse
	case number == sf.ErrObjectNotExistOrAuthorized, number == 90105, number == 90106:
		return "there is no database " + f.cfg.Database + ", or no right to use it: " + useDatabase
	case number/10000 == 39:
		return "the account has refused the sign-in: check the user in WAREHOUSE_URL, and that its password, token or public key (ALTER USER ... SET RSA_PUBLIC_KEY) is right and has not expired"
	case number == sf.ErrFailedToAuth || number == sf.ErrCodeFailedToConnect:
		return "there is no such account, or it takes nobody from here: check the account in WAREHOUSE_URL, ORGANIZATION-ACCOUNT"
	case number == 606 || state == "57P03":
		return "no warehouse is at work: name one in WAREHOUSE_URL, ?warehouse=..., that resumes by itself (ALTER WAREHOUSE ... SET AUTO_RESUME = TRUE), and " + useWarehouse
	case number == snowflakeQuota:
		return "the quota of credits is used up: raise the resource monitor's; loading goes on by itself then"
	case number == 666:
		return "the account is suspended: its owner has to pay, or to end the trial; loading goes on by itself then"
	case strings.Contains(strings.ToUpper(said), strings.ToUpper(snowflakeStage)) && (number == 3001 || number == 2003):
		return "somebody else has made the stage, or dropped it: GRANT READ, WRITE ON STAGE " + schema + "." + snowflakeDialect.name(snowflakeStage) + " TO " + role + "; the next start makes it where there is none"
	case number == 3001 || number == 3041 || state == "42501":
		return fmt.Sprintf("an administrator can: CREATE SCHEMA IF NOT EXISTS %s; %s; GRANT USAGE, CREATE TABLE, CREATE VIEW, CREATE STAGE ON SCHEMA %[1]s TO %[3]s", schema, useDatabase, role)
	case number == 2003 && strings.Contains(strings.ToUpper(said), "_TILESTREAM_"):
		return "one of Tilestream's own tables was dropped: the next start makes it again, and loads again what the ledger no longer has"
	case number == 2003 || number == 2043:
		return "it does not exist, or the role may not see it"
	case snowflakeAway(err):
		return "check the account in WAREHOUSE_URL, ORGANIZATION-ACCOUNT, and the way to it"
	}
	return ""
}

var snowflakePlain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*$`)

// snowflakeName is a name as somebody writes it in a GRANT: without quotes, where that means the same name as in WAREHOUSE_URL.
func snowflakeName(name string) string {
	if name == "" {
		return "..."
	}
	if snowflakePlain.MatchString(name) {
		return name
	}
	return snowflakeDialect.quoted(name)
}
