package e2e

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// described are the metrics of this program, a line of Markdown each, by name.
func described(t *testing.T) map[string]string {
	t.Helper()
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		prometheus.DefaultRegisterer.(*prometheus.Registry).Describe(descs)
	}()
	// Desc shows what it is in its String alone.
	parts := regexp.MustCompile(`fqName: "(tilestream_\w+)", help: "([^"]*)", unit: "", constLabels: \{\}, variableLabels: \{([\w,]*)\}`)
	out := map[string]string{}
	for d := range descs {
		if m := parts.FindStringSubmatch(d.String()); m != nil {
			out[m[1]] = fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), m[2])
		}
	}
	if len(out) < 10 {
		t.Fatalf("found %v", out)
	}
	return out
}

// TestMetricsPage holds docs/metrics.md against the code, and the board and the alerts against the metrics that there are.
func TestMetricsPage(t *testing.T) {
	have := described(t)
	const page, begin, end = "../../docs/metrics.md", "<!-- metrics -->\n", "<!-- /metrics -->"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(b), begin)
	table, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("%s has no part between %q and %q", page, begin, end)
	}
	var want strings.Builder
	want.WriteString("| metric | labels | |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(have)) {
		want.WriteString(have[name])
	}
	if table != want.String() {
		if !*update {
			t.Errorf("%s differs from the code: go test ./internal/e2e -run TestMetricsPage -update writes it", page)
		} else if err := os.WriteFile(page, []byte(head+begin+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shown := map[string]bool{}
	for _, path := range []string{"../../docs/monitoring/alerts.yml", "../../docs/monitoring/board.json"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\btilestream_\w+`).FindAllString(string(b), -1) {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				if base, ok := strings.CutSuffix(name, part); ok && have[base] != "" {
					name = base
				}
			}
			if shown[name] = true; have[name] == "" {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
	for name := range have {
		if !shown[name] {
			t.Errorf("%s is on no board and in no alert", name)
		}
	}
}

// streaming starts the program on its sample data, and returns where it listens once all of that is loaded. It ends with the test.
func streaming(t *testing.T) (at string) {
	t.Helper()
	return streamingIn(t, filepath.Join(t.TempDir(), "data"))
}

// streamingIn is streaming with its data in a directory, and with settings.
func streamingIn(t *testing.T, dir string, env ...string) (at string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t))
	cmd.Env = append(append(os.Environ(), "DATA_DIR="+dir, "HTTP_ADDR=127.0.0.1:0", "LOG_FORMAT=json"), env...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	read := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("the program ended with %v", err)
		}
	})
	go func() {
		defer close(read)
		defer close(said)
		found := false
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if m := regexp.MustCompile(`"listening","url":"http://([^"]+)"`).FindStringSubmatch(lines.Text()); m != nil && !found {
				found = true
				said <- m[1]
			}
		}
	}()
	at, ok := <-said
	if !ok {
		t.Fatal("the program ended before it served")
	}
	waited := time.Now()
	for ; ; time.Sleep(300 * time.Millisecond) {
		families := scrape(t, "http://"+at+"/metrics")
		published, loaded, lag := sum(families, "tilestream_published_records_total"), sum(families, "tilestream_loaded_rows_total"), sum(families, "tilestream_lag_records")
		if published > 3000 && loaded >= published && lag == 0 {
			return at
		}
		if time.Since(waited) > 2*time.Minute {
			t.Fatalf("published %v, loaded %v, lag %v", published, loaded, lag)
		}
	}
}

// sum adds up a metric's values, or its observations.
func sum(families map[string]*dto.MetricFamily, name string) (sum float64) {
	for _, m := range families[name].GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}

// TestMetrics streams the sample data and reads what Prometheus would.
func TestMetrics(t *testing.T) {
	families := scrape(t, "http://"+streaming(t)+"/metrics")
	for _, name := range []string{"tilestream_extracted_to_loaded_seconds", "tilestream_load_seconds", "tilestream_batch_rows", "tilestream_transaction_seconds",
		"tilestream_tiledesk_request_seconds", "tilestream_ledger_offset", "tilestream_newest_loaded_timestamp_seconds", "tilestream_caught_up_timestamp_seconds", "tilestream_memory_limit_bytes"} {
		if n := sum(families, name); n <= 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	if n := sum(families, "tilestream_dead_letters_total"); n != 0 {
		t.Errorf("%v dead letters", n)
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if !strings.HasPrefix(name, "tilestream_") {
			continue
		}
		if problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{families[name]}).Lint(); err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", name, problems, err)
		}
	}
}

// get asks a running program.
func get(t *testing.T, url string) (body string, resp *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp
}

func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	body, resp := get(t, url)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, resp.Status, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}
