package sink

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"tilestream/internal/e2e"
)

// TestPostgresAdvice meets what a user meets whose administrator has forgotten something, and follows the advice.
func TestPostgresAdvice(t *testing.T) {
	admin := e2e.Service(t, "TEST_POSTGRES_URL")
	db, err := pgx.Connect(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	run := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{`DROP SCHEMA IF EXISTS advised CASCADE`, `DROP ROLE IF EXISTS "the loader"`, `CREATE ROLE "the loader" LOGIN PASSWORD 'pAssword'`} {
		run(sql)
	}
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	open := func(password, database, wants string) {
		t.Helper()
		mine := *u
		mine.User, mine.Path = url.UserPassword("the loader", password), "/"+database
		to, err := Open(t.Context(), mine.String(), "advised")
		if err == nil {
			err = to.Close()
		}
		switch {
		case wants == "" && err != nil:
			t.Errorf("after the advice was followed: %v", err)
		case wants != "" && (err == nil || !strings.Contains(err.Error(), wants)):
			t.Errorf("%v, want %q in it", err, wants)
		case err != nil && strings.Contains(err.Error(), password):
			t.Errorf("the password shows in %v", err)
		}
	}
	database := strings.TrimPrefix(u.Path, "/")
	open("not this one", database, "check user and password in WAREHOUSE_URL")
	open("pAssword", "no such database", `CREATE DATABASE "no such database" OWNER "the loader"`)
	create := `CREATE SCHEMA "advised" AUTHORIZATION "the loader"`
	open("pAssword", database, create)
	run(`CREATE SCHEMA advised`)
	grant := `GRANT USAGE, CREATE ON SCHEMA "advised" TO "the loader"`
	open("pAssword", database, grant)
	run(grant)
	open("pAssword", database, "")
	u.Host = "127.0.0.1:1"
	open("pAssword", database, "check host and port in WAREHOUSE_URL")
	for _, sql := range []string{`DROP SCHEMA advised CASCADE`, fmt.Sprintf(`DROP OWNED BY %q`, "the loader"), `DROP ROLE "the loader"`} {
		run(sql)
	}
}

// TestValueStates: what no row has brought about must not be looked for among the rows, until each of them is a dead letter.
func TestValueStates(t *testing.T) {
	for state, want := range map[string]bool{
		"22001": true, "22003": true, "22P02": true, "22P05": true, "23502": true, "23514": true, "54000": true, "54001": true,
		"22023": false, "54011": false, "42601": false, "53100": false, "57014": false, "": false,
	} {
		if got := valueState(state); got != want {
			t.Errorf("%s is about values: %v, want %v", state, got, want)
		}
	}
}
