package e2e

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tilestream/producer/tiledesk/tiledesktest"
	"tilestream/schemas"
)

// program builds the program of the repository's root, once for all tests.
func program(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tilestream")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "tilestream").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// sample serves a made-up support desk whose clock the test moves.
func sample(t testing.TB, start time.Time) (s source, clock *atomic.Int64, desk *tiledesktest.Server) {
	t.Helper()
	clock = &atomic.Int64{}
	clock.Store(start.UnixMilli())
	desk = tiledesktest.NewSample(1, start, tiledesktest.Options{Clock: func() time.Time { return time.UnixMilli(clock.Load()) }})
	web := httptest.NewServer(desk)
	t.Cleanup(web.Close)
	return source{web.URL, desk.ID, desk.Owner.Token}, clock, desk
}

// TestKilledAnywhere kills the whole program at random moments while the source goes on changing: the embedded Kafka, both
// halves and the warehouse die together, without a word. A last run, left alone, ends with a warehouse equal to the source.
func TestKilledAnywhere(t *testing.T) {
	start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	s, clock, desk := sample(t, start)
	dir := t.TempDir()
	bin := program(t)
	run := func(ctx context.Context) (string, error) {
		cmd := exec.CommandContext(ctx, bin, "-once") // a context that ends kills with SIGKILL
		cmd.Env = append(os.Environ(), "DATA_DIR="+dir, "TILEDESK_URL="+s.url, "TILEDESK_PROJECT_ID="+s.project,
			"TILEDESK_TOKEN="+s.token, "TILEDESK_REQUESTS_PER_MINUTE=1000000", "BATCH_ROWS=500", "BATCH_AGE=50ms")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		return out.String(), err
	}
	const kills = 10
	for killed, tries := 0, 0; killed < kills; tries++ {
		if tries == 10*kills {
			t.Fatalf("only %d of %d runs lived long enough to be killed", killed, tries)
		}
		desk.Heal()
		desk.Fail(tiledesktest.Fault{Delay: time.Duration(rand.IntN(20)) * time.Millisecond}) // spreads the work over time
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+rand.IntN(1500))*time.Millisecond)
		out, err := run(ctx)
		switch {
		case ctx.Err() != nil:
			killed++
		case err != nil:
			t.Fatalf("%v\n%s", err, out)
		}
		cancel()
		clock.Add((time.Minute + time.Duration(rand.IntN(600))*time.Second).Milliseconds())
	}
	desk.Heal()
	out, err := run(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("after %d kills the last run said:\n%s", kills, out[strings.Index(out, "table"):])
	w := openDuckDB(t, filepath.Join(dir, "tilestream.duckdb"))
	w.compare(t, s, schemas.Resources...)
	w.ledgerIsData(t, schemas.Resources...)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}

	if out, err = run(t.Context()); err != nil || !strings.Contains(out, "0 load packages") {
		t.Errorf("a run with nothing new: %v\n%s", err, out)
	}
}
