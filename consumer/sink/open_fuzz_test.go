package sink

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzWarehouseURL opens whatever somebody may have put into WAREHOUSE_URL. Neither what logs show of it nor an error holds the
// password. Local warehouses are left out: they make files.
func FuzzWarehouseURL(f *testing.F) {
	for _, s := range []string{
		"", "postgres://", "postgres://u:pAssword@h:5432/db?sslmode=disable", "postgresql://u:p%40ss@[::1]/db", "postgres://u:pAssword@h:port/db",
		"postgres://h/db?password=pAssword&sslmode=nonsense", "postgres://u:pAss/word@h/db", "snowflake://u:pAssword@account/db", "u:pAssword@h",
		"postgres://u:pAssword@h/db?sslkey=%zz", "POSTGRES://u:pAssword@h/db", "postgres:u:pAssword@h", "postgres://u:pAssword@h1,h2:1/db?target_session_attrs=x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		secret := ""
		if u, err := url.Parse(raw); err == nil {
			if u.Scheme == "duckdb" || u.Scheme == "file" {
				return
			}
			secret, _ = u.User.Password()
		}
		said := Redacted(raw)
		to, err := Open(t.Context(), raw, "tiledesk")
		if err != nil {
			said += " " + err.Error()
		} else if err := to.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		// A short password may be a part of any word.
		if rest := strings.Replace(raw, secret, "", 1); len(secret) > 5 && !strings.Contains(rest, secret) && strings.Contains(said, secret) {
			t.Errorf("the password %q of %q shows in %q", secret, raw, said)
		}
	})
}
