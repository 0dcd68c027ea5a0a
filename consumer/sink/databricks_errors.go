package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	dbsqlerr "github.com/databricks/databricks-sql-go/errors"
	"golang.org/x/oauth2"
)

// databricksRefused tells an answer of the warehouse, that a statement has failed, from a reply that was lost on its way.
func databricksRefused(err error) bool {
	return errors.Is(err, dbsqlerr.ExecutionError) && !errors.Is(err, dbsqlerr.RequestError) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// databricksConflict tells that a statement gave way to another one (Databricks, "Error conditions": DELTA_CONCURRENT_..., and the
// classes of Delta Lake), or came upon what another one has just made.
func databricksConflict(err error) bool {
	said := err.Error()
	return databricksRefused(err) && slices.ContainsFunc([]string{
		"DELTA_CONCURRENT_", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED", "ConcurrentAppendException", "ConcurrentDeleteReadException",
		"ConcurrentDeleteDeleteException", "ConcurrentTransactionException", "ConcurrentWriteException", "MetadataChangedException", "ProtocolChangedException",
		"TABLE_OR_VIEW_ALREADY_EXISTS", "SCHEMA_ALREADY_EXISTS", "DELTA_TABLE_ALREADY_EXISTS", "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION", "FIELD_ALREADY_EXISTS", "DELTA_SCHEMA_CHANGED_SINCE_ANALYSIS",
	}, func(words string) bool { return strings.Contains(said, words) })
}

// answers makes an error of an answer that is no success: the driver keeps the status of it only, and never closes its body.
type answers struct{ *http.Transport }

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.Transport.RoundTrip(r)
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	said := cmp.Or(resp.Header.Get("X-Thriftserver-Error-Message"), resp.Header.Get("X-Databricks-Error-Or-Redirect-Message"))
	if said == "" {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // what is there of it
		said = string(body)
	}
	return nil, &answerError{resp.StatusCode, strings.Join(strings.Fields(said), " ")}
}

// answerError is an answer of the workspace that is no success.
type answerError struct {
	code int
	said string
}

func (e *answerError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.code, http.StatusText(e.code), e.said), ": ")
}

// databricksAway tells errors that pass when the warehouse or the way to it comes back. A host that does not exist, and what an answer
// says about the request, stay so.
func databricksAway(err error) bool {
	var dns *net.DNSError
	var answer *answerError
	var token *oauth2.RetrieveError
	switch said := err.Error(); {
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.As(err, &answer):
		return answer.code == http.StatusTooManyRequests || answer.code >= 500
	case errors.As(err, &token):
		return token.Response.StatusCode == http.StatusTooManyRequests || token.Response.StatusCode >= 500
	default:
		return errors.Is(err, dbsqlerr.RequestError) || strings.Contains(said, "TEMPORARILY_UNAVAILABLE") || strings.Contains(said, "CLUSTER_START")
	}
}

// sqlState is in a message, where the driver has none of its own.
var sqlState = regexp.MustCompile(`SQLSTATE:? (\w{5})`)

// explain says what an error of the warehouse, or of the way to it, means and what to do about it; one about values is a
// *RejectedError.
func (d *databricks) explain(err error) error {
	var rejected *RejectedError
	if err == nil || errors.As(err, &rejected) {
		return err
	}
	var execution dbsqlerr.DBExecutionError
	if errors.As(err, &execution) && databricksRefused(err) {
		state := execution.SqlState()
		if found := sqlState.FindStringSubmatch(err.Error()); len(state) != 5 && found != nil {
			state = found[1]
		}
		// Data exception, integrity constraint violation; but not INVALID_PARAMETER_VALUE, which is about the statement.
		if len(state) == 5 && (state[:2] == "22" || state[:2] == "23") && state != "22023" {
			return &RejectedError{Err: err}
		}
	}
	if a := d.advice(err); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

func (d *databricks) advice(err error) string {
	said := err.Error()
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
	}
	catalog := databricksDialect.quoted(d.catalog)
	if d.catalog == "" {
		catalog = "CATALOG"
	}
	schema := catalog + "." + databricksDialect.quoted(d.schema)
	who := "`PRINCIPAL`"
	if d.user != "token" {
		who = databricksDialect.quoted(d.user)
	}
	var status int
	var answer *answerError
	if errors.As(err, &answer) {
		status = answer.code
	}
	var dns *net.DNSError
	var dial *net.OpError
	var moved *transferError
	switch {
	case status == 401, status == 403 && !has("PERMISSION_DENIED"), has("invalid_client"):
		return "the credential in WAREHOUSE_URL is wrong, has expired, or may not use this warehouse: make a new token, or a secret for the service principal, and give it CAN USE in the warehouse's permissions"
	case status == 404, has("ENDPOINT_NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"):
		return "there is no such SQL warehouse: WAREHOUSE_URL takes the host and the HTTP path from its Connection details"
	case has("PERMISSION_DENIED", "INSUFFICIENT_PERMISSIONS", "INSUFFICIENT_PRIVILEGES", "does not have") && has("PERMISSION", "PRIVILEGE", "privilege", "permission"):
		return fmt.Sprintf("an administrator can: CREATE SCHEMA IF NOT EXISTS %s; GRANT USE CATALOG ON CATALOG %s TO %s; GRANT USE SCHEMA, CREATE TABLE, CREATE VOLUME, SELECT, MODIFY, READ VOLUME, WRITE VOLUME ON SCHEMA %[1]s TO %[3]s", schema, catalog, who)
	case has("TABLE_OR_VIEW_NOT_FOUND") && has("_tilestream_"):
		return "one of Tilestream's own tables was dropped: the next start makes it again, and loads again what the ledger no longer has"
	case has("NO_SUCH_CATALOG", "CATALOG_NOT_FOUND"):
		return "check catalog in WAREHOUSE_URL"
	case has("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", "QuotaExceeded"):
		return "a quota of the account is used up: an administrator can raise it; loading goes on by itself then"
	case status == 429, status == 503, has("TEMPORARILY_UNAVAILABLE"):
		return "the SQL warehouse is starting, stopped or overloaded: see its state in the workspace, and who may start it"
	case has("UNSUPPORTED_FEATURE", "UC_NOT_ENABLED", "PARSE_SYNTAX_ERROR") && has("VOLUME"):
		return "this workspace has no volumes: it takes Unity Catalog"
	case errors.As(err, &moved) && moved.code == 403:
		return "the storage below the volume has refused an address that the warehouse signed: check that its firewall lets this machine in"
	case errors.As(err, &moved) && moved.code == 507:
		return "the storage below the volume is full"
	case errors.As(err, &dns), errors.As(err, &dial) && dial.Op == "dial":
		return "check the host in WAREHOUSE_URL, and the way to it"
	}
	return ""
}
