package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// traces takes spans as an OpenTelemetry collector does.
type traces struct {
	t       *testing.T
	status  int
	mu      sync.Mutex
	service string
	all     map[string]*spans.Span // by id
}

func (c *traces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			c.t.Error(err)
			return
		}
		body = unpacked
	}
	b, err := io.ReadAll(body)
	if err != nil {
		c.t.Error(err)
	}
	var sent collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &sent); err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range sent.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				c.service = a.Value.GetStringValue()
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.all[string(s.SpanId)] = s
			}
		}
	}
	w.WriteHeader(c.status)
}

// TestTraces follows the sample data from the requests to Tiledesk to the warehouse.
func TestTraces(t *testing.T) {
	bin := program(t)
	run := func(env ...string) (log string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), bin, "-once")
		var said bytes.Buffer
		cmd.Env, cmd.Stderr = append(os.Environ(), append(env, "DATA_DIR="+filepath.Join(t.TempDir(), "data"), "LOG_FORMAT=text")...), &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, said.String())
		}
		return said.String()
	}
	receiver := func(status int) (c *traces, endpoint string) {
		c = &traces{t: t, status: status, all: map[string]*spans.Span{}}
		web := httptest.NewServer(c)
		t.Cleanup(web.Close)
		return c, "OTEL_EXPORTER_OTLP_ENDPOINT=" + web.URL
	}
	c, endpoint := receiver(http.StatusOK)
	run(endpoint)
	c.check()

	_, refuses := receiver(http.StatusBadRequest)
	if said := run(refuses); strings.Count(said, "traces cannot be sent") != 1 {
		t.Errorf("a receiver that refuses is told of otherwise than once:\n%s", said)
	}
}

// check wants every span where it belongs.
func (c *traces) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.t
	if c.service != "tilestream" {
		t.Errorf("service %q", c.service)
	}
	// What a span is below, and what it says of itself.
	known := map[string]struct {
		below string
		says  []string
	}{
		"poll":             {"", []string{"project", "resource"}},
		"tiledesk request": {"poll", []string{"project", "resource", "http.response.status_code"}},
		"publish page":     {"poll", []string{"resource", "documents", "deleted"}},
		"transaction":      {"publish page", []string{"pages", "records"}},
		"load":             {"publish page", []string{"table", "rows", "bytes", "partitions"}},
		"decode":           {"load", []string{"rows"}},
		"write":            {"load", []string{"table", "load_id"}},
	}
	count := map[string]int{}
	whole := false
	for _, s := range c.all {
		count[s.Name]++
		k, ok := known[s.Name]
		parent := c.all[string(s.ParentSpanId)]
		switch {
		case !ok:
			t.Errorf("a span %q", s.Name)
		case k.below == "" && len(s.ParentSpanId) > 0, k.below != "" && (parent == nil || parent.Name != k.below || !bytes.Equal(parent.TraceId, s.TraceId)):
			t.Errorf("%s is below %v, want %s", s.Name, parent, k.below)
		case s.Status.GetCode() == spans.Status_STATUS_CODE_ERROR:
			t.Errorf("%s failed: %v", s.Name, s.Attributes)
		}
		for _, a := range s.Attributes {
			if !slices.Contains(k.says, a.Key) || len(a.Value.GetStringValue()) > 40 {
				t.Errorf("%s says %v", s.Name, a)
			}
		}
		for _, l := range s.Links {
			if to := c.all[string(l.SpanId)]; to == nil || to.Name != "publish page" || s.Name != "load" && s.Name != "transaction" {
				t.Errorf("%s is linked to %v", s.Name, to)
			}
		}
		if s.Name == "load" {
			whole = whole || parent != nil && number(parent.Attributes, "documents")+number(parent.Attributes, "deleted") > 0
			if len(s.Links) > 32 {
				t.Errorf("%d links", len(s.Links))
			}
		}
	}
	for name := range known {
		if count[name] == 0 {
			t.Errorf("no span %q: %v", name, count)
		}
	}
	if !whole {
		t.Error("no load is below the page that it loaded")
	}
}

func number(attributes []*common.KeyValue, name string) int64 {
	for _, a := range attributes {
		if a.Key == name {
			return a.Value.GetIntValue()
		}
	}
	return 0
}
