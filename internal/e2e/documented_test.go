package e2e

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/local"
	"tilestream/producer/tiledesk/tiledesktest"
	"tilestream/schemas"
)

// TestDocumentedAPI reads a server that speaks the API as it is written up, found out by asking, through the embedded Kafka:
// what its pages list is in the warehouse, once, with equal values.
func TestDocumentedAPI(t *testing.T) {
	kafka, err := local.StartKafka(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Close() })
	for _, first := range []int{0, 1} {
		t.Run(fmt.Sprint("pages from ", first), func(t *testing.T) {
			start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
			desk := tiledesktest.NewSample(1, start, tiledesktest.Options{Documented: true, FirstPage: first, Clock: func() time.Time { return start }})
			web := httptest.NewServer(desk)
			t.Cleanup(web.Close)
			file := filepath.Join(t.TempDir(), "documented.duckdb")
			p := newPipeline(t, map[string]string{
				"TILEDESK_URL": web.URL, "TILEDESK_PROJECT_ID": desk.ID, "TILEDESK_TOKEN": desk.Owner.Token, "TILEDESK_REQUESTS_PER_MINUTE": "1000000",
				"TILEDESK_RESOURCES": "messages,requests,bots,members,conversations",
				"KAFKA_BROKERS":      kafka.Brokers[0], "SCHEMA_REGISTRY_URL": kafka.RegistryURL, "KAFKA_TOPIC_PREFIX": unique("documented"),
				"WAREHOUSE_URL": "duckdb://" + file,
			})
			p.sync(t)
			w := openDuckDB(t, file)
			for _, r := range schemas.Resources {
				if r.Documented {
					w.matches(t, r.Name, documentedList(t, web.URL, desk, first, r.Name))
				}
			}
			if err := w.db.Close(); err != nil {
				t.Fatal(err)
			}
			if got := p.sync(t); got != (sink.Stats{}) {
				t.Errorf("a second sync loaded %+v", got)
			}
		})
	}
}

// documentedList asks for every page of a resource.
func documentedList(t *testing.T, url string, desk *tiledesktest.Server, first int, name string) map[string]document {
	t.Helper()
	out := map[string]document{}
	for page := first; ; page++ {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/projects/%s/%s?page=%d&perPage=100", url, desk.ID, name, page), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+desk.Owner.Token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var envelope map[string]json.RawMessage
		err = json.NewDecoder(resp.Body).Decode(&envelope)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var list []document
		decode(t, envelope[name], &list)
		if len(list) == 0 {
			return out
		}
		for _, d := range list {
			out[d["_id"].(string)] = d
		}
	}
}
