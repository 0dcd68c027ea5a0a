package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

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
		"tilestream_tiledesk_request_seconds", "tilestream_ledger_offset", "tilestream_newest_loaded_timestamp_seconds", "tilestream_caught_up_timestamp_seconds", "tilestream_memory_limit_bytes",
		"tilestream_tiledesk_read_bytes_total", "tilestream_fetched_records_total", "tilestream_fetched_bytes_total", "tilestream_changed_to_loaded_seconds", "tilestream_build_info"} {
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
