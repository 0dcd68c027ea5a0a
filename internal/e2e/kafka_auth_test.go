package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// TestKafkaSecurity signs in to an Apache Kafka in every way there is a setting for, and gets each of them wrong.
// TEST_KAFKA_LIBS names the directory with Kafka's jars; the test starts its own broker.
func TestKafkaSecurity(t *testing.T) {
	k := startSecureKafka(t, Service(t, "TEST_KAFKA_LIBS"))
	tls := func(port string, more ...string) []string {
		return append([]string{"KAFKA_BROKERS", k.addr(port), "KAFKA_TLS", "true", "KAFKA_TLS_CA", k.ca.pem}, more...)
	}
	login := func(mechanism, user, password string) []string {
		return tls("SASL", "KAFKA_SASL_MECHANISM", mechanism, "KAFKA_SASL_USERNAME", user, "KAFKA_SASL_PASSWORD", password)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "tilestream" || secret != "s3cret" || r.FormValue("scope") != "kafka" {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, unsecuredToken("alice"))
	}))
	t.Cleanup(issuer.Close)
	clientCredentials := func(secret string) []string {
		return tls("SASL", "KAFKA_SASL_MECHANISM", "OAUTHBEARER", "KAFKA_SASL_OAUTH_TOKEN_URL", issuer.URL,
			"KAFKA_SASL_OAUTH_CLIENT_ID", "tilestream", "KAFKA_SASL_OAUTH_CLIENT_SECRET", secret, "KAFKA_SASL_OAUTH_SCOPE", "kafka")
	}
	stranger := newAuthority(t, "stranger")

	tests := []struct {
		name string
		env  []string
		want string // part of the error; "" for none
	}{
		{"no security", []string{"KAFKA_BROKERS", k.addr("PLAIN")}, ""},
		{"TLS", tls("TLS"), ""},
		{"mutual TLS", tls("MTLS", "KAFKA_TLS_CERT", k.client.pem, "KAFKA_TLS_KEY", k.client.key), ""},
		{"PLAIN", login("PLAIN", "alice", "alice-secret"), ""},
		{"SCRAM-SHA-256", login("SCRAM-SHA-256", "alice", "alice-256"), ""},
		{"SCRAM-SHA-512", login("scram-sha-512", "alice", "alice-512"), ""},
		{"OAUTHBEARER with a token", tls("SASL", "KAFKA_SASL_MECHANISM", "OAUTHBEARER", "KAFKA_SASL_TOKEN", unsecuredToken("alice")), ""},
		{"OAUTHBEARER with client credentials", clientCredentials("s3cret"), ""},
		{"server name", append(tls("TLS"), "KAFKA_TLS_SERVER_NAME", "localhost"), ""},

		{"wrong PLAIN password", login("PLAIN", "alice", "wr0ng"), "KAFKA_SASL_PASSWORD"},
		{"wrong SCRAM password", login("SCRAM-SHA-512", "alice", "wr0ng"), "KAFKA_SASL_PASSWORD"},
		{"wrong token", tls("SASL", "KAFKA_SASL_MECHANISM", "OAUTHBEARER", "KAFKA_SASL_TOKEN", "wr0ng"), "KAFKA_SASL_TOKEN"},
		{"wrong client secret", clientCredentials("wr0ng"), "KAFKA_SASL_OAUTH_TOKEN_URL"},
		{"no sign-in where one is needed", tls("SASL"), "KAFKA_SASL_MECHANISM"},
		{"wrong authority", []string{"KAFKA_BROKERS", k.addr("TLS"), "KAFKA_TLS", "true", "KAFKA_TLS_CA", stranger.pem}, "KAFKA_TLS_CA"},
		{"wrong server name", append(tls("TLS"), "KAFKA_TLS_SERVER_NAME", "elsewhere.example"), "KAFKA_TLS_SERVER_NAME"},
		{"expired server certificate", tls("EXPIRED"), "renewed"},
		{"no client certificate where one is needed", tls("MTLS"), "KAFKA_TLS_CERT"},
		{"client certificate of a stranger", tls("MTLS", "KAFKA_TLS_CERT", stranger.issue(t, "client", 24*time.Hour).pem,
			"KAFKA_TLS_KEY", stranger.issued.key), "KAFKA_TLS_CERT"},
		{"TLS where there is none", tls("PLAIN"), "KAFKA_TLS"},
		{"no TLS where there is", []string{"KAFKA_BROKERS", k.addr("TLS")}, "KAFKA_TLS"},
		{"nobody there", []string{"KAFKA_BROKERS", "127.0.0.1:1"}, "KAFKA_BROKERS"},
		{"no rights", login("PLAIN", "bob", "bob-secret"), "the ACLs DESCRIBE, DESCRIBE_CONFIGS and CREATE on topic tiledesk."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			err := k.roundTrip(t, test.env...)
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Fatalf("got %v, want an error that names %s", err, test.want)
			case test.want != "" && strings.Contains(err.Error(), "wr0ng"):
				t.Fatalf("the error shows a secret: %v", err)
			}
			t.Logf("%v in %v", err, time.Since(start).Round(time.Millisecond))
		})
	}
	t.Run("a token file is read again", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "token")
		writeFile(t, file, "old")
		cl := k.newClient(t, tls("SASL", "KAFKA_SASL_MECHANISM", "OAUTHBEARER", "KAFKA_SASL_TOKEN_FILE", file)...)
		if err := cl.Ping(t.Context()); err == nil {
			t.Fatal("signed in with a wrong token")
		}
		writeFile(t, file, unsecuredToken("alice")+"\n")
		if err := cl.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// secureKafka is one broker with a port for each kind of security.
type secureKafka struct {
	ca, client *certificate
	ports      map[string]int
}

func (k *secureKafka) addr(port string) string { return fmt.Sprintf("127.0.0.1:%d", k.ports[port]) }

// load reads settings the way the programs do.
func (k *secureKafka) load(t *testing.T, env ...string) broker.Config {
	t.Helper()
	m := map[string]string{}
	for i := 0; i < len(env); i += 2 {
		m[env[i]] = env[i+1]
	}
	var cfg broker.Config
	if err := ops.Load(t.Context(), envconfig.MapLookuper(m), &cfg); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func (k *secureKafka) newClient(t *testing.T, env ...string) *kgo.Client {
	t.Helper()
	cl, err := k.load(t, env...).NewClient()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// roundTrip creates a topic, publishes to it in a transaction and reads it back.
func (k *secureKafka) roundTrip(t *testing.T, env ...string) error {
	t.Helper()
	cfg := k.load(t, env...)
	cfg.Partitions = 1
	topic := cfg.DataTopic(fmt.Sprintf("tiledesk.t%d", time.Now().UnixNano()))
	cl, err := cfg.NewClient(kgo.TransactionalID(topic.Name), kgo.ConsumeTopics(topic.Name))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := broker.Ensure(ctx, cl, slog.New(slog.NewTextHandler(t.Output(), nil)), topic); err != nil {
		return err
	}
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic.Name, Key: []byte("k"), Value: []byte("hello")}).FirstErr(); err != nil {
		return err
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	fs := cl.PollFetches(ctx)
	if err := fs.Err(); err != nil {
		return err
	}
	if rs := fs.Records(); len(rs) != 1 || string(rs[0].Value) != "hello" {
		return fmt.Errorf("read %d records", len(rs))
	}
	return nil
}

// startSecureKafka runs a KRaft node from Kafka's jars until the test ends.
func startSecureKafka(t *testing.T, libs string) *secureKafka {
	t.Helper()
	dir := t.TempDir()
	ca := newAuthority(t, "authority")
	k := &secureKafka{ca: ca, ports: map[string]int{}}
	for _, name := range []string{"PLAIN", "TLS", "MTLS", "SASL", "EXPIRED", "CONTROLLER"} {
		k.ports[name] = freePort(t)
	}
	writeFile(t, filepath.Join(dir, "ca.pem"), ca.pem)
	for name, life := range map[string]time.Duration{"server": 24 * time.Hour, "expired": -time.Hour} {
		c := ca.issue(t, name, life)
		writeFile(t, filepath.Join(dir, name+".pem"), c.key+c.pem)
	}
	k.client = ca.issue(t, "client", 24*time.Hour)

	var listeners []string
	for name, port := range k.ports {
		listeners = append(listeners, fmt.Sprintf("%s://127.0.0.1:%d", name, port))
	}
	properties := filepath.Join(dir, "server.properties")
	writeFile(t, properties, strings.NewReplacer("DIR", dir, "LISTENERS", strings.Join(listeners, ","),
		"VOTER", fmt.Sprintf("1@127.0.0.1:%d", k.ports["CONTROLLER"])).Replace(secureProperties))

	cp := filepath.Join(libs, "*")
	format := exec.Command("java", "-cp", cp, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", properties,
		"--add-scram", "SCRAM-SHA-256=[name=alice,password=alice-256]", "--add-scram", "SCRAM-SHA-512=[name=alice,password=alice-512]")
	format.Dir = dir
	if out, err := format.CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	var log bytes.Buffer
	server := exec.Command("java", "-Xmx512m", "-cp", cp, "kafka.Kafka", properties)
	server.Dir, server.Stdout, server.Stderr = dir, &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-ended
	})

	cl := k.newClient(t, "KAFKA_BROKERS", k.addr("PLAIN"))
	for deadline := time.Now().Add(2 * time.Minute); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := kadm.NewClient(cl).BrokerMetadata(ctx)
		cancel()
		if err == nil {
			return k
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("kafka ended: %v\n%s", err, log.String())
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("kafka does not start: %v", err)
		}
	}
}

const secureProperties = `
process.roles=broker,controller
node.id=1
controller.quorum.voters=VOTER
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
listeners=LISTENERS
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,TLS:SSL,MTLS:SSL,EXPIRED:SSL,SASL:SASL_SSL
log.dirs=DIR/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:alice;User:CN=client
ssl.keystore.type=PEM
ssl.keystore.location=DIR/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=DIR/ca.pem
listener.name.mtls.ssl.client.auth=required
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location=DIR/expired.pem
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-secret" user_bob="bob-secret";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="alice";
`

// unsecuredToken is a bearer token without a signature (RFC 7519, 6), which Kafka takes where no keys are configured.
func unsecuredToken(subject string) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	now := time.Now().Unix()
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, subject, now-60, now+3600)) + "."
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
