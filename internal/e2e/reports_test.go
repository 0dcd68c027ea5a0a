package e2e

import (
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"tilestream/internal/local"
)

// TestReportsAgainstAnalytics asks a real Tiledesk server and the report views the same questions. Conversations there are younger than the 30 days
// that Tiledesk looks back, and in UTC.
func TestReportsAgainstAnalytics(t *testing.T) {
	s := source{Alone(t, "TEST_TILEDESK_URL"), Service(t, "TEST_TILEDESK_PROJECT_ID"), Service(t, "TEST_TILEDESK_TOKEN")}
	kafka, err := local.StartKafka(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Close() })
	file := filepath.Join(t.TempDir(), "reports.duckdb")
	p := newPipeline(t, map[string]string{
		"TILEDESK_URL": s.url, "TILEDESK_PROJECT_ID": s.project, "TILEDESK_TOKEN": s.token, "TILEDESK_REQUESTS_PER_MINUTE": "60000",
		"KAFKA_BROKERS": kafka.Brokers[0], "SCHEMA_REGISTRY_URL": kafka.RegistryURL, "KAFKA_TOPIC_PREFIX": unique("reports"), "WAREHOUSE_URL": "duckdb://" + file,
	})

	// An answer of who takes part, a close, and once more; ratings.
	agent, twice := answered(t, s)
	at := fmt.Sprintf("/%s/requests/%s", s.project, twice)
	s.call(t, http.MethodPatch, at, map[string]any{"rating": 2}, nil)
	s.call(t, http.MethodPut, at+"/close", map[string]any{}, nil)
	s.call(t, http.MethodPut, at+"/reopen", map[string]any{}, nil)
	s.call(t, http.MethodPut, at+"/close", map[string]any{}, nil)
	time.Sleep(time.Second) // the server's own messages are stored a moment later
	p.sync(t)
	w := openDuckDB(t, file)
	defer w.db.Close()

	var reopened bool
	var said, agents int
	var by string
	err = w.db.QueryRowContext(t.Context(), `SELECT reopened, messages_agent, closed_by_side, length(agents) FROM tiledesk.report_conversations WHERE request_id = ? AND status = 'closed'
		AND closed_at >= first_response_at AND first_agent_message_at IS NOT NULL AND waiting_seconds > 0 AND rating = 2`, twice).Scan(&reopened, &said, &by, &agents)
	if err != nil || !reopened || said == 0 || by != "agent" || agents == 0 {
		t.Errorf("a conversation that %s has answered and that was closed twice: reopened %v, %d messages of agents, closed by %q, %v", agent, reopened, said, by, err)
	}

	number := func(query string) float64 {
		t.Helper()
		var n sql.NullFloat64
		if err := w.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if !n.Valid {
			return math.NaN()
		}
		return n.Float64
	}
	same := func(what string, theirs, ours float64) {
		t.Helper()
		t.Logf("%s: Tiledesk says %v, the report %v", what, theirs, ours)
		if math.Abs(theirs-ours) > 1e-6*math.Abs(theirs) || math.IsNaN(theirs) != math.IsNaN(ours) {
			t.Errorf("%s: Tiledesk says %v, the report %v", what, theirs, ours)
		}
	}
	ask := func(path string) (rows []map[string]any) {
		t.Helper()
		s.call(t, http.MethodGet, "/"+s.project+"/analytics/requests/"+path, nil, &rows)
		return rows
	}
	of := func(rows []map[string]any, name string) float64 {
		if len(rows) == 0 || rows[0][name] == nil {
			return math.NaN()
		}
		return float64Of(t, rows[0][name])
	}
	same("conversations", of(ask("count"), "totalCount"), number(`SELECT count(*) FROM tiledesk.report_conversations`))
	same("conversations by volume", of(ask("count"), "totalCount"), number(`SELECT sum(opened) FROM tiledesk.report_volume_hourly`))
	same("waiting, in ms", of(ask("waiting"), "waiting_time_avg"), number(`SELECT avg(waiting_seconds) * 1000 FROM tiledesk.report_conversations`))
	same("satisfaction", of(ask("satisfaction"), "satisfaction_avg"), number(`SELECT avg(rating) FROM tiledesk.report_conversations`))
	// Tiledesk counts those that were closed and are open again, too.
	same("duration, in ms", of(ask("duration"), "duration_avg"), number(`SELECT avg(coalesce(c.duration_seconds * 1000, epoch_ms(r.closed_at) - epoch_ms(r.created_at))) FROM tiledesk.report_conversations AS c JOIN tiledesk.requests AS r USING (request_id)`))
	for _, row := range ask("aggregate/day?lastdays=30") {
		d := row["_id"].(map[string]any)
		day := fmt.Sprintf("%04v-%02v-%02v", float64Of(t, d["year"]), float64Of(t, d["month"]), float64Of(t, d["day"]))
		same("on "+day, float64Of(t, row["count"]), number(`SELECT count(*) FROM tiledesk.report_conversations WHERE CAST(opened_at AT TIME ZONE 'UTC' AS DATE) = '`+day+`'`))
	}
	for _, row := range ask("aggregate/hours") {
		hour := fmt.Sprint(row["_id"].(map[string]any)["hour"])
		same("at the hour "+hour, float64Of(t, row["count"]), number(`SELECT sum(opened) FROM tiledesk.report_volume_hourly WHERE extract(hour FROM hour AT TIME ZONE 'UTC') = `+hour))
	}
}

// answered has somebody who takes part in an open conversation answer there, as an agent.
func answered(t testing.TB, s source) (agent, request string) {
	t.Helper()
	for _, doc := range s.documents(t, resource(t, "requests")) {
		agents, _ := doc["participantsAgents"].([]any)
		if fmt.Sprint(doc["status"]) == "1000" || len(agents) == 0 {
			continue
		}
		agent, request = agents[0].(string), doc["request_id"].(string)
		s.call(t, http.MethodPost, fmt.Sprintf("/%s/requests/%s/messages", s.project, request), map[string]any{"text": "Good morning!", "sender": agent}, nil)
		return agent, request
	}
	t.Fatal("the server has no open conversation that an agent takes part in")
	return "", ""
}

func float64Of(t testing.TB, v any) float64 {
	t.Helper()
	var f float64
	if _, err := fmt.Sscan(fmt.Sprint(v), &f); err != nil {
		t.Fatalf("%v is no number: %v", v, err)
	}
	return f
}
