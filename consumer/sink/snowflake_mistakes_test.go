package sink

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The numbers, states and words of errors are those that accounts have been seen to answer with.
var (
	snowflakeNoQuota   = snowflakeRefusal{snowflakeQuota, "22000", "Warehouse 'LOADING' cannot be resumed because resource monitor 'LIMIT' has exceeded its quota."}
	snowflakeNoWork    = snowflakeRefusal{606, "57P03", "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."}
	snowflakeUnpaid    = snowflakeRefusal{666, "57014", "Your account is suspended due to lack of payment method."}
	snowflakeNoSchema  = snowflakeRefusal{3001, "42501", "SQL access control error:\nInsufficient privileges to operate on schema 'TILEDESK'"}
	snowflakeNotMine   = snowflakeRefusal{3041, "42710", "SQL compilation error:\nSchema 'TILEDESK' already exists, but current role has no privileges on it."}
	snowflakeNoBase    = snowflakeRefusal{90105, "22000", "Cannot perform CREATE SCHEMA. This session does not have a current database. Call 'USE DATABASE', or use a qualified name."}
	snowflakeNoStage   = snowflakeRefusal{3001, "42501", "SQL access control error:\nInsufficient privileges to operate on stage '_TILESTREAM_STAGE'"}
	snowflakeStageGone = snowflakeRefusal{2003, "02000", "SQL compilation error:\nStage 'WAREHOUSE_DB.TILEDESK._TILESTREAM_STAGE' does not exist or not authorized."}
	snowflakeTableGone = snowflakeRefusal{2003, "42S02", "SQL compilation error:\nObject 'WAREHOUSE_DB.TILEDESK.THINGS' does not exist or not authorized."}
	snowflakeNoLedger  = snowflakeRefusal{2003, "42S02", "SQL compilation error:\nObject 'WAREHOUSE_DB.TILEDESK._TILESTREAM_LEDGER' does not exist or not authorized."}
	snowflakeBadValue  = snowflakeRefusal{100038, "22018", "Numeric value 'x' is not recognized"}
	snowflakeWaited    = snowflakeRefusal{625, "57014", "Statement '1' has locked table '_TILESTREAM_LOCK' in transaction 2 and this lock has not yet been released."}
)

// What stands in the way when a consumer starts is one error that says what came back and what to do.
func TestSnowflakeMistakes(t *testing.T) {
	t.Parallel()
	const schemaGrant = `CREATE SCHEMA IF NOT EXISTS WAREHOUSE_DB.TILEDESK; GRANT USAGE ON DATABASE WAREHOUSE_DB TO ROLE TILESTREAM; GRANT USAGE, CREATE TABLE, CREATE VIEW, CREATE STAGE ON SCHEMA WAREHOUSE_DB.TILEDESK TO ROLE TILESTREAM`
	for name, c := range map[string]struct {
		signIn *snowflakeRefusal
		at     string // statements that are refused, by how they begin
		refuse snowflakeRefusal
		down   int
		want   []string
		away   bool
	}{
		"wrong password":        {signIn: &snowflakeRefusal{number: 390100, said: "Incorrect username or password was specified."}, want: []string{"390100", "Incorrect username", "check the user"}},
		"kept out":              {signIn: &snowflakeRefusal{number: 390422, said: "Incoming request with IP/Token 192.0.2.1 is not allowed to access Snowflake."}, want: []string{"192.0.2.1", "network policy"}},
		"no such role":          {signIn: &snowflakeRefusal{number: 390189, said: "Role 'TILESTREAM' specified in the connect string does not exist or not authorized."}, want: []string{`GRANT ROLE TILESTREAM TO USER loader`}},
		"no such warehouse":     {signIn: &snowflakeRefusal{number: 390201, said: "The requested warehouse does not exist or not authorized."}, want: []string{`GRANT USAGE ON WAREHOUSE LOADING TO ROLE TILESTREAM`}},
		"no such database":      {signIn: &snowflakeRefusal{number: 390201, said: "The requested database does not exist or not authorized."}, want: []string{`GRANT USAGE ON DATABASE WAREHOUSE_DB TO ROLE TILESTREAM`}},
		"no database chosen":    {at: "CREATE", refuse: snowflakeNoBase, want: []string{`GRANT USAGE ON DATABASE WAREHOUSE_DB`}},
		"no grant on schema":    {at: "CREATE", refuse: snowflakeNoSchema, want: []string{"create the system tables", "Insufficient privileges", schemaGrant}},
		"schema of another":     {at: "CREATE", refuse: snowflakeNotMine, want: []string{"no privileges on it", schemaGrant}},
		"no right to a stage":   {at: "CREATE STAGE", refuse: snowflakeNoSchema, want: []string{"create the stage", "CREATE STAGE ON SCHEMA"}},
		"no warehouse":          {at: "INSERT", refuse: snowflakeNoWork, want: []string{"?warehouse=", "SET AUTO_RESUME = TRUE", `GRANT USAGE ON WAREHOUSE LOADING TO ROLE TILESTREAM`}},
		"quota used up":         {at: "SELECT", refuse: snowflakeNoQuota, want: []string{"has exceeded its quota", "raise the resource monitor's"}, away: true},
		"account not paid":      {at: "SELECT", refuse: snowflakeUnpaid, want: []string{"lack of payment", "its owner has to pay"}},
		"no such account":       {down: 404, want: []string{"404", "check the account in WAREHOUSE_URL"}},
		"account takes nobody":  {down: 403, want: []string{"403", "check the account in WAREHOUSE_URL"}},
		"account is down":       {down: 503, want: []string{"503", "the way to it"}, away: true},
		"account is overloaded": {down: 429, want: []string{"429", "the way to it"}, away: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSnowflakeDouble(t)
			d.signIn, d.down = c.signIn, c.down
			d.refuse = refuseFrom(c.at, &c.refuse)
			_, err := d.open(t, d.url(url.UserPassword("loader", "s3cret")))
			wantSaid(t, err, c.want, c.away)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		d := &snowflakeDouble{host: "127.0.0.1:1"}
		_, err := d.open(t, d.url(url.UserPassword("loader", "s3cret")))
		wantSaid(t, err, []string{"connection refused", "the way to it"}, true)
	})
}

func wantSaid(t *testing.T, err error, want []string, away bool) {
	t.Helper()
	if err == nil || errors.Is(err, errAway) != away {
		t.Fatalf("Open: %v, want an error, away %v", err, away)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("Open: %v, want %q in it", err, w)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

// refuseFrom refuses statements that begin so.
func refuseFrom(at string, with *snowflakeRefusal) func(string) *snowflakeRefusal {
	return func(sql string) *snowflakeRefusal {
		if at != "" && strings.HasPrefix(sql, at) {
			return with
		}
		return nil
	}
}

// What stands in the way of a batch undoes it, and takes no record for a bad one that is none.
func TestSnowflakeRefusedWrites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at       string
		refuse   snowflakeRefusal
		want     string
		rejected bool
	}{
		"no right to the stage": {"PUT", snowflakeNoStage, `GRANT READ, WRITE ON STAGE WAREHOUSE_DB.TILEDESK._TILESTREAM_STAGE TO ROLE TILESTREAM`, false},
		"stage dropped":         {"PUT", snowflakeStageGone, "the next start makes it", false},
		"no right to tables":    {"CREATE TRANSIENT", snowflakeNoSchema, "GRANT USAGE, CREATE TABLE, CREATE VIEW, CREATE STAGE ON SCHEMA", false},
		"no warehouse":          {"COPY", snowflakeNoWork, "AUTO_RESUME = TRUE", false},
		"quota used up":         {"COPY", snowflakeNoQuota, "raise the resource monitor's", false},
		"quota used up later":   {"UPDATE", snowflakeNoQuota, "raise the resource monitor's", false},
		"table dropped":         {"MERGE", snowflakeTableGone, "it does not exist, or the role may not see it", false},
		"ledger dropped":        {"INSERT", snowflakeNoLedger, "Tilestream's own tables", false},
		"not paid":              {"COMMIT", snowflakeUnpaid, "its owner has to pay", false},
		"bad value":             {"COPY", snowflakeBadValue, "Numeric value 'x' is not recognized", true},
		"bad value later":       {"MERGE", snowflakeBadValue, "Numeric value 'x' is not recognized", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSnowflakeDouble(t)
			s, err := d.open(t, d.url(url.UserPassword("loader", "s3cret")))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			table := crashingTable("things")
			if err := s.Prepare(t.Context(), table); err != nil {
				t.Fatal(err)
			}
			d.mu.Lock()
			d.refuse, d.statements = refuseFrom(c.at, &c.refuse), nil
			d.mu.Unlock()
			_, err = s.Write(t.Context(), crashCase{name: "things"}.batch(table, 0))
			var rejected *RejectedError
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &rejected) != c.rejected {
				t.Errorf("Write: %v, want %q in it, rejected %v", err, c.want, c.rejected)
			}
			wantUndone(t, d.ran())
		})
	}
}

// ran are the statements that came, by their first words.
func (d *snowflakeDouble) ran() (words []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sql := range d.statements {
		first, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
		words = append(words, first)
	}
	return words
}

// wantUndone wants a transaction that was begun to be rolled back, and a table of the stage to be dropped.
func wantUndone(t *testing.T, ran []string) {
	t.Helper()
	if slices.Contains(ran, "BEGIN") && !slices.Contains(ran, "ROLLBACK") {
		t.Errorf("nothing was rolled back: %v", ran)
	}
	if slices.Contains(ran, "COPY") && ran[len(ran)-1] != "DROP" {
		t.Errorf("the stage was not dropped: %v", ran)
	}
}

// TestSnowflakeProtocol is what a batch sends, where another writer holds the lock for too long at first: all of the transaction comes again,
// and the batch is staged once.
func TestSnowflakeProtocol(t *testing.T) {
	t.Parallel()
	d := newSnowflakeDouble(t)
	s, err := d.open(t, d.url(url.UserPassword("loader", "s3cret")))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	table := crashingTable("things")
	table.HardDelete = false
	if err := s.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	waits := 2
	d.mu.Lock()
	d.statements = nil
	d.refuse = func(sql string) *snowflakeRefusal {
		if strings.HasPrefix(sql, "UPDATE") && waits > 0 {
			waits--
			return &snowflakeWaited
		}
		return nil
	}
	d.mu.Unlock()
	stats, err := s.Write(t.Context(), crashCase{name: "things"}.batch(table, 0))
	if err != nil {
		t.Fatal(err)
	}
	// Two steps, of documents and of deletions, of which the double says the same.
	if want := (Stats{Inserted: 6, Updated: 2}); stats != want {
		t.Errorf("Write: %+v, want %+v", stats, want)
	}
	want := strings.Fields("SELECT PUT CREATE COPY BEGIN UPDATE ROLLBACK BEGIN UPDATE ROLLBACK BEGIN UPDATE SELECT MERGE MERGE SELECT DELETE INSERT INSERT COMMIT DROP")
	if diff := cmp.Diff(want, d.ran()); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
}
