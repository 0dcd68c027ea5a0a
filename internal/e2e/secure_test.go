package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"maps"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"tilestream/schemas"
)

// TestSecurePipeline runs both halves over an Apache Kafka that wants TLS and a sign-in, and a registry that wants a client
// certificate and a password.
func TestSecurePipeline(t *testing.T) {
	k := startSecureKafka(t, Service(t, "TEST_KAFKA_LIBS"))
	s, _, _ := sample(t, time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	common := map[string]string{
		"TILEDESK_URL": s.url, "TILEDESK_PROJECT_ID": s.project, "TILEDESK_TOKEN": s.token, "TILEDESK_REQUESTS_PER_MINUTE": "1000000",
		"TILEDESK_RESOURCES":     "leads,bots",
		"KAFKA_TLS":              "true",
		"KAFKA_TLS_CA":           k.ca.pem,
		"SCHEMA_REGISTRY_URL":    startSecureRegistry(t, k),
		"SCHEMA_REGISTRY_TLS_CA": k.ca.pem, "SCHEMA_REGISTRY_TLS_CERT": k.client.pem, "SCHEMA_REGISTRY_TLS_KEY": k.client.key,
		"SCHEMA_REGISTRY_USERNAME": "alice", "SCHEMA_REGISTRY_PASSWORD": "registry-secret",
	}
	sasl := func(mechanism, password string) map[string]string {
		return map[string]string{"KAFKA_BROKERS": k.addr("SASL"), "KAFKA_SASL_MECHANISM": mechanism, "KAFKA_SASL_USERNAME": "alice", "KAFKA_SASL_PASSWORD": password}
	}
	for name, how := range map[string]map[string]string{
		"mutual TLS":    {"KAFKA_BROKERS": k.addr("MTLS"), "KAFKA_TLS_CERT": k.client.pem, "KAFKA_TLS_KEY": k.client.key},
		"PLAIN":         sasl("PLAIN", "alice-secret"),
		"SCRAM-SHA-512": sasl("SCRAM-SHA-512", "alice-512"),
		"OAUTHBEARER":   {"KAFKA_BROKERS": k.addr("SASL"), "KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_TOKEN": unsecuredToken("alice")},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secure.duckdb")
			env := maps.Clone(common)
			maps.Copy(env, how)
			env["KAFKA_TOPIC_PREFIX"], env["WAREHOUSE_URL"] = unique("secure"), "duckdb://"+file
			newPipeline(t, env).sync(t)
			openDuckDB(t, file).compare(t, s, resource(t, "leads"), resource(t, "bots"))
		})
	}
	t.Run("registry without a certificate", func(t *testing.T) {
		env := maps.Clone(common)
		maps.Copy(env, sasl("PLAIN", "alice-secret"))
		delete(env, "SCHEMA_REGISTRY_TLS_CERT")
		delete(env, "SCHEMA_REGISTRY_TLS_KEY")
		p := newPipeline(t, env)
		reg, err := p.kafka.NewRegistry()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := schemas.NewCodec(reg, "x").Encode(t.Context(), resource(t, "tags"), []byte(`{"_id":"1"}`)); err == nil {
			t.Error("the registry took a client without a certificate")
		} else {
			t.Log(err)
		}
	})
}

// startSecureRegistry serves an in-process registry that wants a certificate of the broker's authority and basic authentication.
func startSecureRegistry(t *testing.T, k *secureKafka) string {
	t.Helper()
	server := k.ca.issue(t, "registry", 24*time.Hour)
	pair, err := tls.X509KeyPair([]byte(server.pem), []byte(server.key))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(k.ca.pem))
	registry := srfake.NewRegistry(srfake.WithAuth("Basic " + base64.StdEncoding.EncodeToString([]byte("alice:registry-secret"))))
	web := httptest.NewUnstartedServer(registry.Handler())
	web.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}
	web.StartTLS()
	t.Cleanup(web.Close)
	return web.URL
}
