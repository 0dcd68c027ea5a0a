package broker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"tilestream/internal/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T, env map[string]string) Config {
	t.Helper()
	var c Config
	if err := ops.Load(t.Context(), envconfig.MapLookuper(env), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWrongSettings(t *testing.T) {
	const b = "KAFKA_BROKERS"
	tests := []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{}, "KAFKA_BROKERS is not set"},
		{map[string]string{b: "localhost"}, `KAFKA_BROKERS: "localhost" is not host:port`},
		{map[string]string{b: "h:1", "KAFKA_TLS_CA": "x"}, "KAFKA_TLS is not"},
		{map[string]string{b: "h:1", "KAFKA_TLS": "true", "KAFKA_TLS_CA": "pAssword"}, "KAFKA_TLS_CA holds no certificate"},
		{map[string]string{b: "h:1", "KAFKA_TLS": "true", "KAFKA_TLS_CERT": "x"}, "KAFKA_TLS_CERT is set, KAFKA_TLS_KEY is not"},
		{map[string]string{b: "h:1", "KAFKA_TLS": "true", "KAFKA_TLS_KEY": "pAssword"}, "KAFKA_TLS_KEY is set, KAFKA_TLS_CERT is not"},
		{map[string]string{b: "h:1", "KAFKA_TLS": "true", "KAFKA_TLS_CERT": "x", "KAFKA_TLS_KEY": "pAssword"}, "do not make a pair"},
		{map[string]string{b: "h:1", "KAFKA_SASL_USERNAME": "u"}, "KAFKA_SASL_MECHANISM is not set"},
		{map[string]string{b: "h:1", "KAFKA_SASL_MECHANISM": "GSSAPI"}, "it takes PLAIN, SCRAM-SHA-256"},
		{map[string]string{b: "h:1", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_PASSWORD": "pAssword"}, "takes KAFKA_SASL_USERNAME and"},
		{map[string]string{b: "h:1", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}, "KAFKA_SASL_TOKEN_FILE"},
		{map[string]string{b: "h:1", "KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_OAUTH_CLIENT_SECRET": "pAssword"}, "set all three"},
		{map[string]string{b: "h:1", "KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_OAUTH_CLIENT_ID": "x", "KAFKA_SASL_TOKEN": "pAssword"}, "both set"},
	}
	for _, test := range tests {
		_, err := load(t, test.env).NewClient()
		wantUsage(t, err, test.want)
	}
}

func TestWrongRegistrySettings(t *testing.T) {
	const u = "SCHEMA_REGISTRY_URL"
	tests := []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{}, "SCHEMA_REGISTRY_URL is not set"},
		{map[string]string{u: "localhost:8081"}, "it takes http://host:port"},
		{map[string]string{u: "ftp://user:pAssword@h"}, `SCHEMA_REGISTRY_URL="ftp://****@h"`},
		{map[string]string{u: "http://user:pAssword@h:bad"}, `SCHEMA_REGISTRY_URL="http://****@h:bad"`},
		{map[string]string{u: "http://user:pAs/%zzsword@h"}, "it takes http://host:port"},
		{map[string]string{u: "http://h", "SCHEMA_REGISTRY_PASSWORD": "pAssword"}, "SCHEMA_REGISTRY_USERNAME is not"},
		{map[string]string{u: "http://h", "SCHEMA_REGISTRY_TLS_CA": "x"}, "does not start with https://"},
		{map[string]string{u: "https://h", "SCHEMA_REGISTRY_TLS_CA": "x"}, "SCHEMA_REGISTRY_TLS_CA holds no certificate"},
	}
	for _, test := range tests {
		_, err := load(t, test.env).NewRegistry()
		wantUsage(t, err, test.want)
	}
}

func wantUsage(t *testing.T, err error, want string) {
	t.Helper()
	var usage *ops.UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want a usage error with %q", err, want)
	}
	if err != nil && strings.Contains(err.Error(), "pAs") {
		t.Errorf("the error shows a secret: %v", err)
	}
}

func TestRegistrySignsIn(t *testing.T) {
	var user, pass, agent string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ = r.BasicAuth()
		agent = r.UserAgent()
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer srv.Close()
	env := []map[string]string{
		{"SCHEMA_REGISTRY_URL": strings.Replace(srv.URL, "://", "://me:pAssword@", 1)},
		{"SCHEMA_REGISTRY_URL": srv.URL, "SCHEMA_REGISTRY_USERNAME": "me", "SCHEMA_REGISTRY_PASSWORD": "pAssword"},
	}
	for _, env := range env {
		user, pass, agent = "", "", ""
		c, err := load(t, env).NewRegistry()
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Subjects(t.Context()); err == nil || strings.Contains(err.Error(), "pAssword") {
			t.Errorf("got %v", err)
		}
		if user != "me" || pass != "pAssword" || agent != "tilestream" {
			t.Errorf("got user %q, agent %q", user, agent)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestTopics(t *testing.T) {
	c := load(t, nil)
	if got := c.DataTopic("tiledesk.leads"); got.Partitions != 6 || got.Configs["min.compaction.lag.ms"] != "2592000000" {
		t.Errorf("got %+v", got)
	}
	if got := c.CheckpointTopic(); got.Name != "tiledesk.checkpoints" || got.Partitions != 16 || got.Configs["cleanup.policy"] != "compact" {
		t.Errorf("got %+v", got)
	}
}

func TestEnsure(t *testing.T) {
	fake, cl := startFake(t)
	defer fake.Close()
	defer cl.Close()
	c := Config{Prefix: "tiledesk", Partitions: 3}
	data, checkpoints := c.DataTopic("tiledesk.leads"), c.CheckpointTopic()

	// Several at once, as when a fleet starts.
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- Ensure(t.Context(), cl, slog.New(slog.DiscardHandler), data, checkpoints) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	ts, err := kadm.NewClient(cl).ListTopics(t.Context(), data.Name, checkpoints.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{len(ts[data.Name].Partitions), len(ts[checkpoints.Name].Partitions)}; !cmp.Equal(got, []int{3, 16}) {
		t.Errorf("partitions %v, want 3 and 16", got)
	}
	if log := ensure(t, cl, data, checkpoints); log != "" {
		t.Errorf("topics as they should be gave %s", log)
	}
}

func TestEnsureChangesNothing(t *testing.T) {
	fake, cl := startFake(t)
	defer fake.Close()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	policy := "delete"
	if _, err := adm.CreateTopic(t.Context(), 2, 1, map[string]*string{"cleanup.policy": &policy}, "tiledesk.leads"); err != nil {
		t.Fatal(err)
	}
	log := ensure(t, cl, Config{Partitions: 3}.DataTopic("tiledesk.leads"))
	for _, want := range []string{
		"partitions=2 configured=3",
		"cleanup.policy is delete, should be compact; ",
		"--alter --entity-type topics --entity-name tiledesk.leads --add-config cleanup.policy=compact,",
		"max.message.bytes=8388608",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if log != ensure(t, cl, Config{Partitions: 3}.DataTopic("tiledesk.leads")) {
		t.Error("the second look differs: something was changed")
	}
}

func TestEnsureRefusesADangerousCheckpointTopic(t *testing.T) {
	fake, cl := startFake(t)
	defer fake.Close()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 16, 1, nil, "a.checkpoints"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.CreateTopic(t.Context(), 4, 1, nil, "b.checkpoints"); err != nil {
		t.Fatal(err)
	}
	err := Ensure(t.Context(), cl, slog.Default(), Config{Prefix: "a"}.CheckpointTopic())
	wantUsage(t, err, "topic a.checkpoints must be compacted, its cleanup.policy is delete")
	wantUsage(t, err, "--entity-name a.checkpoints --add-config cleanup.policy=compact")
	err = Ensure(t.Context(), cl, slog.Default(), Config{Prefix: "b"}.CheckpointTopic())
	wantUsage(t, err, "topic b.checkpoints has 4 partitions, it must have 16")
}

func TestEnsureEndsWithItsContext(t *testing.T) {
	cl, err := Config{Brokers: []string{"127.0.0.1:1"}}.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Ensure(ctx, cl, slog.Default(), Topic{Name: "t"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// ensure returns what was logged.
func ensure(t *testing.T, cl *kgo.Client, topics ...Topic) string {
	t.Helper()
	var log bytes.Buffer
	h := slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	if err := Ensure(t.Context(), cl, slog.New(h), topics...); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

func startFake(t *testing.T) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	cl, err := Config{Brokers: fake.ListenAddrs()}.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	return fake, cl
}
