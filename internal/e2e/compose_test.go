package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tilestream/schemas"
)

// TestCompose brings the compose stack up as the README does: data arrives in PostgreSQL with no other step, keeps
// arriving, and restarting both halves adds nothing twice.
func TestCompose(t *testing.T) {
	Service(t, "TEST_DOCKER")
	postgres := fmt.Sprint(freePort(t))
	stack := compose{name: unique("tilestream"), env: []string{
		"POSTGRES_PORT=" + postgres, fmt.Sprint("KAFKA_PORT=", freePort(t)), fmt.Sprint("REGISTRY_PORT=", freePort(t)),
	}}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log(stack.run(ctx, "logs", "--tail", "60"))
		}
		if out, err := stack.run(ctx, "down", "--volumes", "--timeout", "20"); err != nil {
			t.Errorf("compose down: %v\n%s", err, out)
		}
	})
	stack.must(t, "config", "--quiet")
	stack.must(t, "up", "--build", "--detach", "--wait")

	w := openPostgres(t, "postgres://tilestream:tilestream@127.0.0.1:"+postgres+"/warehouse?sslmode=disable", "tiledesk")
	eventually(t, "every table has rows", func() bool {
		for _, r := range schemas.Resources {
			if count(t, w.db, r.Name) == 0 {
				return false
			}
		}
		return count(t, w.db, "messages") > 1000
	})
	stack.must(t, "restart", "producer", "consumer")
	before := count(t, w.db, "messages")
	eventually(t, "messages keep arriving", func() bool { return count(t, w.db, "messages") > before })
	for _, r := range schemas.Resources {
		rows := w.rows(t, r.Name) // fails on an _id that is there twice
		t.Logf("%-16s %d rows", r.Name, len(rows))
	}
}

// compose is one project of docker compose.
type compose struct {
	name string
	env  []string
}

func (c compose) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose", "--project-name", c.name, "--project-directory", "../.."}, args...)...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c compose) must(t *testing.T, args ...string) {
	t.Helper()
	if out, err := c.run(t.Context(), args...); err != nil {
		t.Fatalf("compose %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// count returns the rows of a table; 0 as long as there is none.
func count(t testing.TB, db *sql.DB, table string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT count(*) FROM tiledesk.%q`, table)).Scan(&n); err != nil {
		return 0
	}
	return n
}

// eventually waits for a condition. The limit is generous: it only ends a test that would never end.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
