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
