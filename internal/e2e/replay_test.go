package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tilestream/schemas"
)

// TestReplay damages a warehouse that is being loaded, and replays its topics with the program itself, which is killed at random and continued:
// in the end the warehouse equals the source. Over whole data a replay changes nothing; a side dataset holds the same.
func TestReplay(t *testing.T) {
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	s, clock, _ := sample(t, start)
	ds := unique("replay")
	env := map[string]string{
		"TILEDESK_URL": s.url, "TILEDESK_PROJECT_ID": s.project, "TILEDESK_TOKEN": s.token, "TILEDESK_REQUESTS_PER_MINUTE": "1000000",
		"KAFKA_BROKERS": Service(t, "TEST_KAFKA_BROKERS"), "KAFKA_TOPIC_PREFIX": unique("replay"), "KAFKA_TOPIC_PARTITIONS": "3",
		"SCHEMA_REGISTRY_URL": Service(t, "TEST_SCHEMA_REGISTRY_URL"),
		"WAREHOUSE_URL":       Service(t, "TEST_POSTGRES_URL"), "WAREHOUSE_DATASET": ds, "BATCH_ROWS": "200", "HTTP_ADDR": "off",
	}
	p := newPipeline(t, env)
	p.sync(t)
	for range 3 {
		clock.Add(time.Hour.Milliseconds())
		p.sync(t)
	}
	w := openPostgres(t, env["WAREHOUSE_URL"], ds)
	w.compare(t, s, schemas.Resources...)

	bin := filepath.Join(t.TempDir(), "consumer")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "tilestream/consumer").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	consumer := func(ctx context.Context, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, bin, args...) // a context that ends kills with SIGKILL
		cmd.Env = os.Environ()
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	replay := func(t *testing.T, want string, args ...string) {
		t.Helper()
		out, err := consumer(t.Context(), append([]string{"replay"}, args...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("replay %v: %v\n%s\nwant %q in it", args, err, out, want)
		}
	}
	replay(t, "(0 inserted, 0 updated, ", "-topic", "requests", "-from", "beginning")

	live, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = consumer(live) }()
	for _, r := range []string{"messages", "requests"} {
		if _, err := w.db.ExecContext(t.Context(), fmt.Sprintf(`DELETE FROM %q.%q WHERE _kafka_offset %% 3 = 1`, ds, r)); err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(200+rand.IntN(400*(n+1)))*time.Millisecond)
			_, _ = consumer(ctx, "replay", "-topic", r, "-from", "beginning")
			cancel()
		}
		replay(t, "replayed ", "-topic", r, "-from", "beginning")
	}
	stop()
	<-ended
	clock.Add(time.Hour.Milliseconds())
	p.sync(t)
	w.compare(t, s, schemas.Resources...)

	replay(t, " into "+ds+"-side: ", "-topic", "messages", "-from", "beginning", "-into", ds+"-side")
	side := openPostgres(t, env["WAREHOUSE_URL"], ds+"-side")
	side.compare(t, s, resource(t, "messages"))
}
