package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// TestRealTiledesk reads a real Tiledesk server through a real Kafka and registry: everything that its API lists is in the
// warehouse once, with equal values; what changes then arrives with the next poll, and nothing else does.
func TestRealTiledesk(t *testing.T) {
	s := source{Alone(t, "TEST_TILEDESK_URL"), Service(t, "TEST_TILEDESK_PROJECT_ID"), Service(t, "TEST_TILEDESK_TOKEN")}
	ds := unique("real")
	p := newPipeline(t, map[string]string{
		"TILEDESK_URL":                 s.url,
		"TILEDESK_PROJECT_ID":          s.project,
		"TILEDESK_TOKEN":               s.token,
		"TILEDESK_REQUESTS_PER_MINUTE": "60000",
		"KAFKA_BROKERS":                Service(t, "TEST_KAFKA_BROKERS"),
		"KAFKA_TOPIC_PREFIX":           unique("real"),
		"KAFKA_TOPIC_PARTITIONS":       "2",
		"SCHEMA_REGISTRY_URL":          Service(t, "TEST_SCHEMA_REGISTRY_URL"),
		"WAREHOUSE_URL":                Service(t, "TEST_POSTGRES_URL"), "WAREHOUSE_DATASET": ds,
	})
	check := func(t *testing.T) {
		t.Helper()
		w := openPostgres(t, Service(t, "TEST_POSTGRES_URL"), ds)
		w.compare(t, s, schemas.Resources...)
		_ = w.db.Close() // the next load wants the file for itself
	}
	t.Run("backfill", func(t *testing.T) {
		p.sync(t)
		check(t)
	})
	t.Run("nothing new", func(t *testing.T) {
		if got := p.sync(t); got != (sink.Stats{}) {
			t.Errorf("a second sync loaded %+v", got)
		}
	})
	t.Run("changes", func(t *testing.T) {
		request := anyRequest(t, s)
		s.call(t, http.MethodPost, fmt.Sprintf("/%s/requests/%s/messages", s.project, request), map[string]any{"text": "Is anybody there? 🙂"}, nil)
		s.call(t, http.MethodPut, fmt.Sprintf("/%s/requests/%s/close", s.project, request), map[string]any{}, nil)
		lead := anyID(t, s, "leads")
		s.call(t, http.MethodPut, fmt.Sprintf("/%s/leads/%s", s.project, lead), map[string]any{"company": unique("Company")}, nil)
		time.Sleep(time.Second) // the server's own message on the close is stored a moment later
		if got := p.sync(t); got.Inserted < 2 || got.Updated < 2 {
			t.Errorf("loaded %+v after a message, a close and a changed lead", got)
		}
		check(t)
	})
}

// unique returns a name that no earlier run has used.
func unique(name string) string { return fmt.Sprintf("%s-%08x", name, rand.Uint32()) }

func anyRequest(t testing.TB, s source) string {
	t.Helper()
	for _, doc := range s.documents(t, resource(t, "requests")) {
		if fmt.Sprint(doc["status"]) != "1000" {
			return doc["request_id"].(string)
		}
	}
	t.Fatal("the server has no open request")
	return ""
}

func anyID(t testing.TB, s source, name string) string {
	t.Helper()
	for id := range s.documents(t, resource(t, name)) {
		return id
	}
	t.Fatalf("the server has no %s", name)
	return ""
}

func resource(t testing.TB, name string) schemas.Resource {
	t.Helper()
	rs, err := schemas.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return rs[0]
}
