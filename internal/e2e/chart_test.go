package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const chart = "../../docs/helm/tilestream"

// setting is how a name of a setting looks.
var setting = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b`)

// TestChartSettings holds every setting that the chart and its page name against the README's table.
func TestChartSettings(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(chart + "/*.yaml")
	templates, err2 := filepath.Glob(chart + "/templates/*")
	if err != nil || err2 != nil || len(files) == 0 || len(templates) == 0 {
		t.Fatalf("%v %v: %v, %v", files, templates, err, err2)
	}
	named := 0
	for _, file := range slices.Concat(files, templates, []string{"../../docs/kubernetes.md"}) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range setting.FindAllString(string(text), -1) {
			named++
			if !bytes.Contains(readme, []byte("| `"+name+"` |")) {
				t.Errorf("%s names %s, which is no setting of the README", file, name)
			}
		}
	}
	if named < 10 {
		t.Errorf("%d settings are named: is this still how they look?", named)
	}
}

// TestChart lints and renders the chart, and decodes what comes out as what Kubernetes takes.
func TestChart(t *testing.T) {
	helm := Service(t, "TEST_HELM")
	reads := filepath.Join(t.TempDir(), "reads")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", reads, ".")
	build.Dir = "testdata/kubernetes"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(t *testing.T, stdin, name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
		}
		return string(out)
	}
	for _, c := range []struct {
		name        string
		set         string
		have, lacks []string
		kinds       int
	}{
		{"as it comes", "", []string{"image: tilestream-producer:0.1.0", "replicas: 1", "runAsNonRoot: true", "readOnlyRootFilesystem: true", "maxUnavailable: 1"},
			[]string{"envFrom", "kind: Secret", "KAFKA_BROKERS", "kind: Horizontal", "imagePullSecrets"}, 7},
		{"with a secret of its own", `secret.values.WAREHOUSE_URL=postgres://u:p%40@h/db,settings.KAFKA_BROKERS=k:9092,image.registry=r.example.com/team,image.tag=v1,image.pullSecrets[0].name=pull`,
			[]string{"secretRef: {name: trial-tilestream}", `WAREHOUSE_URL: "postgres://u:p%40@h/db"`, `{name: KAFKA_BROKERS, value: "k:9092"}`, "image: r.example.com/team/tilestream-consumer:v1", "- name: pull", "tilestream/secret:"}, nil, 8},
		{"with a secret that exists", "secret.existing=mine,consumer.data.claim=disk,producer.settings.TILEDESK_PROJECT_ID=7",
			[]string{"secretRef: {name: mine}", "claimName: disk", `{name: TILEDESK_PROJECT_ID, value: "7"}`}, []string{"kind: Secret"}, 7},
		{"scaled by lag", "consumer.autoscaling.enabled=true", []string{"name: tilestream_lag_records", `averageValue: "100000"`}, nil, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{chart}
			if c.set != "" {
				args = append(args, "--set", c.set)
			}
			run(t, "", helm, append([]string{"lint", "--strict"}, args...)...)
			got := run(t, "", helm, append([]string{"template", "trial", "--kube-version", "1.25.0"}, args...)...)
			for _, want := range c.have {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in\n%s", want, got)
				}
			}
			for _, not := range c.lacks {
				if strings.Contains(got, not) {
					t.Errorf("%q is in\n%s", not, got)
				}
			}
			if kinds := strings.Fields(strings.ReplaceAll(run(t, got, reads), " ", ":")); len(kinds) != c.kinds {
				t.Errorf("%d manifests, want %d: %v", len(kinds), c.kinds, kinds)
			}
			if n := strings.Count(got, "replicas: "); n != 2 && !(c.name == "scaled by lag" && n == 1) {
				t.Errorf("%d halves have a number of replicas", n)
			}
		})
	}
}
