package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
	"github.com/testcontainers/testcontainers-go/wait"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// startKafka, startRegistry and startPostgres run containers that end with the test, and return their addresses.
func startKafka(t *testing.T) string {
	t.Helper()
	c, err := kafka.Run(t.Context(), "confluentinc/confluent-local:7.5.0", kafka.WithClusterID("tilestream"))
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	brokers, err := c.Brokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return brokers[0]
}

func startRegistry(t *testing.T) string {
	t.Helper()
	const subjects = "/apis/ccompat/v7/subjects"
	c, err := testcontainers.Run(t.Context(), "apicurio/apicurio-registry:3.0.9",
		testcontainers.WithExposedPorts("8080/tcp"),
		testcontainers.WithWaitStrategyAndDeadline(3*time.Minute, wait.ForHTTP(subjects).WithPort("8080/tcp").
			WithStatusCodeMatcher(func(status int) bool { return status == http.StatusOK })))
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := c.PortEndpoint(t.Context(), "8080/tcp", "http")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(endpoint, "/apis/ccompat/v7")
}

func startPostgres(t *testing.T) string {
	t.Helper()
	c, err := postgres.Run(t.Context(), "postgres:17", postgres.BasicWaitStrategies())
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		t.Fatal(err)
	}
	url, err := c.ConnectionString(t.Context(), "sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// TestContainers runs the pipeline on a real Kafka, registry and PostgreSQL: a backfill, a sync that finds nothing, and one
// that finds what has arrived meanwhile.
func TestContainers(t *testing.T) {
	Service(t, "TEST_DOCKER")
	s, clock, _ := sample(t, time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	database := startPostgres(t)
	p := newPipeline(t, map[string]string{
		"TILEDESK_URL":                 s.url,
		"TILEDESK_PROJECT_ID":          s.project,
		"TILEDESK_TOKEN":               s.token,
		"TILEDESK_REQUESTS_PER_MINUTE": "1000000",
		"KAFKA_BROKERS":                startKafka(t),
		"SCHEMA_REGISTRY_URL":          startRegistry(t),
		"WAREHOUSE_URL":                database,
	})
	w := openPostgres(t, database, "tiledesk")
	p.sync(t)
	w.compare(t, s, schemas.Resources...)
	if got := p.sync(t); got != (sink.Stats{}) {
		t.Errorf("a sync with nothing new loaded %+v", got)
	}
	clock.Add((30 * time.Minute).Milliseconds())
	if got := p.sync(t); got.Inserted == 0 || got.Updated == 0 {
		t.Errorf("half an hour later, a sync loaded %+v", got)
	}
	w.compare(t, s, schemas.Resources...)
	w.ledgerIsData(t, schemas.Resources...)
}
