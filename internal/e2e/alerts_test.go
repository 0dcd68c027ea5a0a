package e2e

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// TestAlerts holds the rules against what Prometheus takes of a file of rules, and against the labels that the metrics have: a label that
// there isn't shows as nothing, and a selector of it finds nothing.
func TestAlerts(t *testing.T) {
	b, err := os.ReadFile("../../docs/monitoring/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr string
				For         model.Duration
				Annotations struct{ Summary, Description string }
			}
		}
	}
	strict := yaml.NewDecoder(bytes.NewReader(b))
	strict.KnownFields(true)
	if err := strict.Decode(&file); err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for name, line := range described(t) {
		labels[name] = append(strings.Split(strings.Split(line, " | ")[1], ", "), "instance", "job")
	}
	named := map[string]bool{}
	for _, r := range file.Groups[0].Rules {
		if named[r.Alert] || !strings.HasPrefix(r.Alert, "Tilestream") || r.Annotations.Summary == "" || r.Annotations.Description == "" {
			t.Errorf("%+v: it needs a name of its own, a summary and what to do", r)
		}
		named[r.Alert] = true
		if strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") {
			t.Errorf("%s: %s", r.Alert, r.Expr)
		}
		shown := []string{"instance", "job"}
		for _, m := range regexp.MustCompile(`\b(tilestream_\w+?)(?:_bucket|_sum|_count)?\b(?:\{(\w+)=)?`).FindAllStringSubmatch(r.Expr, -1) {
			of := labels[m[1]]
			if of == nil {
				of = labels[m[0]]
			}
			if m[2] != "" && !slices.Contains(of, m[2]) {
				t.Errorf("%s: %s has no label %s", r.Alert, m[1], m[2])
			}
			shown = append(shown, of...)
		}
		if by := regexp.MustCompile(`\bby \(([\w, ]+)\)`).FindStringSubmatch(r.Expr); by != nil {
			shown = strings.Split(by[1], ", ")
		}
		for _, text := range []string{r.Annotations.Summary, r.Annotations.Description} {
			for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
				if !slices.Contains(shown, m[1]) {
					t.Errorf("%s shows label %s, which its expression does not have: %v", r.Alert, m[1], shown)
				}
			}
			if _, err := template.New("").Parse("{{$labels := .}}{{$value := .}}" + text); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
		}
	}
}
