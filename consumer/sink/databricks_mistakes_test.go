package sink

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

const databricksNoGrant = "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have permission CREATE on SCHEMA `main`.`tiledesk`. SQLSTATE: 42501"

// What stands in the way when a consumer starts is one error that says what came back and what to do. The words are those of Databricks'
// documentation ("Error conditions").
func TestDatabricksMistakes(t *testing.T) {
	t.Parallel()
	const grant = "CREATE SCHEMA IF NOT EXISTS `main`.`tiledesk`; GRANT USE CATALOG ON CATALOG `main` TO `PRINCIPAL`; GRANT USE SCHEMA, CREATE TABLE, CREATE VOLUME, SELECT, MODIFY, READ VOLUME, WRITE VOLUME ON SCHEMA `main`.`tiledesk` TO `PRINCIPAL`"
	for name, c := range map[string]struct {
		at, state, said string // statements with these words are refused
		want            string
		away            bool
	}{
		"no grant on schema":   {"CREATE", "42501", databricksNoGrant, grant, false},
		"no grant on catalog":  {"CREATE", "", "PERMISSION_DENIED: User does not have USE CATALOG on Catalog 'main'.", grant, false},
		"no such catalog":      {"DESCRIBE", "42704", "[NO_SUCH_CATALOG_EXCEPTION] Catalog 'main' was not found. SQLSTATE: 42704", "check catalog in WAREHOUSE_URL", false},
		"quota used up":        {"CREATE TABLE", "", "QUOTA_EXCEEDED: Cannot create 1 Table(s) in Schema 1 (estimated count: 10000, limit: 10000).", "a quota of the account is used up", false},
		"warehouse overloaded": {"DESCRIBE", "", "TEMPORARILY_UNAVAILABLE: The service at /sql is temporarily unavailable.", "starting, stopped or overloaded", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabricksDouble(t, func(statement string) (string, string) {
				if strings.Contains(statement, c.at) {
					return c.state, c.said
				}
				return "", ""
			})
			_, err := Open(t.Context(), "databricks://token:s3cret@"+d.host+"/sql/1.0/warehouses/1?catalog=main&volume=/Volumes/main/a/b", "tiledesk")
			if err == nil || !strings.Contains(err.Error(), c.said) || !strings.Contains(err.Error(), c.want) || errors.Is(err, errAway) != c.away || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Open: %v, want %q in it, away %v", err, c.want, c.away)
			}
		})
	}
}

// TestDatabricksErrors is about what statements end with: which say that a value was refused, which that another statement came first.
func TestDatabricksErrors(t *testing.T) {
	t.Parallel()
	var state, said string
	double := newDatabricksDouble(t, func(statement string) (string, string) {
		if strings.Contains(statement, "MERGE") {
			return state, said
		}
		return "", ""
	})
	u, err := url.Parse("databricks://principal:s3cret@" + double.host + "/sql/1.0/warehouses/1?catalog=main")
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDatabricks(u, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	d.user = "token" // else it asks for one
	db, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	d.user = "principal"
	t.Cleanup(func() { _ = errors.Join(db.Close(), d.close()) })
	for _, c := range []struct {
		state, said, want  string
		rejected, conflict bool
	}{
		{"42501", databricksNoGrant, "ON SCHEMA `main`.`tiledesk` TO `principal`", false, false},
		{"42P01", "[TABLE_OR_VIEW_NOT_FOUND] The table or view `tiledesk`.`_tilestream_ledger` cannot be found. SQLSTATE: 42P01", "Tilestream's own tables", false, false},
		{"22018", "[CAST_INVALID_INPUT] The value 'x' of the type \"STRING\" cannot be cast to \"INT\". SQLSTATE: 22018", "", true, false},
		{"", "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint short (length(text) < 5) violated by row. SQLSTATE: 23001", "", true, false},
		{"22023", "[INVALID_PARAMETER_VALUE.PATTERN] The value of parameter(s) `regexp` in `regexp_extract` is invalid. SQLSTATE: 22023", "", false, false},
		{"2D521", "[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Transaction conflict detected. SQLSTATE: 2D521", "", false, true},
		{"2D521", "[DELTA_METADATA_CHANGED] MetadataChangedException: The metadata of the Delta table has been changed by a concurrent update. SQLSTATE: 2D521", "", false, true},
		{"", "QUOTA_EXCEEDED: limit 10000", "loading goes on by itself then", false, false},
		{"57KD0", "[RESOURCE_EXHAUSTED] too much at once. SQLSTATE: 57KD0", "loading goes on by itself then", false, false},
		{"42601", "[PARSE_SYNTAX_ERROR] Syntax error at or near 'x'. SQLSTATE: 42601", "", false, false},
	} {
		state, said = c.state, c.said
		_, err := db.ExecContext(t.Context(), "MERGE")
		if err == nil || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: the driver says %v", c.said, err)
			continue
		}
		var rejected *RejectedError
		explained := d.explain(err)
		if !strings.Contains(explained.Error(), c.want) || c.want == "" && !c.rejected && explained != err || errors.As(explained, &rejected) != c.rejected {
			t.Errorf("%s: %v, want %q in it, rejected %v", c.said, explained, c.want, c.rejected)
		}
		if databricksConflict(err) != c.conflict {
			t.Errorf("%s: conflict %v", c.said, !c.conflict)
		}
	}
}
