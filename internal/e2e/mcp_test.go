package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"tilestream/producer/tiledesk/tiledesktest"
	"tilestream/schemas"
)

// TestMCP has agents ask a program that streams the sample data: over HTTP, on standard input through the consumer's command, and from
// Python. The last of them asks a DuckDB file that somebody has open.
func TestMCP(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	at := streamingIn(t, dir, "MCP_ALLOW_WRITES=true")
	consumer := filepath.Join(t.TempDir(), "consumer")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", consumer, "tilestream/consumer").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	endpoint := "http://" + at + "/mcp"
	stdio := func(t *testing.T, env ...string) mcp.Transport {
		cmd := exec.Command(consumer, "mcp") // it ends with its session
		cmd.Env = append(os.Environ(), append([]string{"DATA_DIR=" + dir}, env...)...)
		return &mcp.CommandTransport{Command: cmd} // whose stderr goes nowhere: what is read on stdout is the protocol or an error
	}
	source := sampleOf(t, dir)

	t.Run("http", func(t *testing.T) {
		longestYesterday(t, agentOf(t, &mcp.StreamableClientTransport{Endpoint: endpoint}), source)
	})
	t.Run("stdio", func(t *testing.T) {
		a := agentOf(t, stdio(t, "HTTP_ADDR="+at))
		longestYesterday(t, a, source)
		var status struct {
			OK     bool
			Topics []struct{ Ledger int64 }
		}
		a.call("status", nil, &status)
		if !status.OK || len(status.Topics) < 10 {
			t.Errorf("status is %+v", status)
		}
		var report struct {
			Holds   string
			Columns []struct{ Name, Type string }
		}
		a.call("describe", map[string]any{"table": "tiledesk.report_conversations"}, &report)
		if len(report.Columns) < 20 || report.Holds == "" {
			t.Errorf("the view is %+v", report)
		}
		var peeked struct {
			Records []struct{ Row map[string]any }
		}
		a.call("peek", map[string]any{"topic": "tiledesk.messages", "limit": 3}, &peeked)
		if len(peeked.Records) != 3 || peeked.Records[0].Row["_id"] == nil {
			t.Errorf("peek is %+v", peeked)
		}
		var letters struct{ Waiting *int }
		a.call("dead_letters", nil, &letters)
		if letters.Waiting == nil || *letters.Waiting != 0 {
			t.Errorf("dead letters: %v", letters.Waiting)
		}
		a.refused("query", map[string]any{"sql": "SELECT * FROM duckdb_settings()"}, "is refused")
	})
	t.Run("stdio, and nobody to ask", func(t *testing.T) {
		agentOf(t, stdio(t, "HTTP_ADDR=off")).refused("query", map[string]any{"sql": "SELECT 1"}, "HTTP_ADDR has to be its address")
	})
	t.Run("stdio, another warehouse", func(t *testing.T) { // the consumer that answers is not its own
		agentOf(t, stdio(t, "HTTP_ADDR="+at, "DATA_DIR="+t.TempDir())).refused("query", map[string]any{"sql": "SELECT 1"}, "nothing has been loaded yet")
	})
	t.Run("writes", func(t *testing.T) {
		a := agentOf(t, &mcp.StreamableClientTransport{Endpoint: endpoint})
		var tools []string
		for tool, err := range a.session.Tools(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			if h := tool.Annotations; !h.ReadOnlyHint {
				tools = append(tools, fmt.Sprint(tool.Name, " ", *h.DestructiveHint))
			}
		}
		if !slices.Equal(tools, []string{"replay true", "replay_dead_letters false"}) {
			t.Errorf("tools that write: %v", tools)
		}
		var letters struct {
			Loaded int
			Again  int `json:"refused_again"`
		}
		a.call("replay_dead_letters", nil, &letters)
		var replayed struct{ Rows, Unchanged, Updated, Inserted int }
		a.call("replay", map[string]any{"topic": "departments", "from": "beginning"}, &replayed)
		if replayed.Rows == 0 || replayed.Unchanged != replayed.Rows || letters.Loaded+letters.Again > 0 {
			t.Errorf("replayed %+v, %+v", replayed, letters)
		}
		a.refused("replay", map[string]any{"topic": "departments", "from": "yesterday"}, "yesterday")
		a.refused("replay", map[string]any{"topic": "elsewhere", "from": "beginning"}, "unknown resource")
		for _, ours := range scrape(t, "http://"+at+"/metrics")["tilestream_lag_records"].GetMetric() {
			if ours.GetLabel()[0].GetValue() == "messages" {
				return // live loading still shows its own
			}
		}
		t.Error("the metrics are the replay's")
	})
	t.Run("another site", func(t *testing.T) {
		for _, header := range []http.Header{{"Origin": {"https://evil.example"}}, {"Host": {"evil.example"}}} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header, req.Host = header, header.Get("Host")
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Accept", "application/json, text/event-stream")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _ = resp.Body.Close(); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%v: %s", header, resp.Status)
			}
		}
	})
	t.Run("python", func(t *testing.T) {
		const reading = `"dead_letters", "describe", "loads", "peek", "query", `
		for tools, server := range map[string][]string{reading + `"replay", "replay_dead_letters", "status", "tables"`: {endpoint}, reading + `"status", "tables"`: {consumer, "mcp"}} {
			cmd := exec.CommandContext(t.Context(), Service(t, "TEST_PYTHON"), append([]string{"testdata/agent.py", "SELECT count(DISTINCT _id) - count(*) AS n FROM tiledesk.messages"}, server...)...)
			cmd.Env = append(os.Environ(), "DATA_DIR="+dir, "HTTP_ADDR="+at)
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %v\n%s", server, err, said.String())
			}
			one := `{"tools": [` + tools + `], "rows": [[0]], "refused": true}`
			if got := strings.TrimSpace(string(out)); got != "["+one+", "+one+"]" {
				t.Errorf("%v: %s", server, got)
			}
		}
	})
}

// agent is a client's session.
type agent struct {
	t       *testing.T
	session *mcp.ClientSession
}

func agentOf(t *testing.T, transport mcp.Transport) agent {
	t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Errorf("close the session: %v", err)
		}
	})
	return agent{t, session}
}

func (a agent) ask(tool string, arguments map[string]any) (text string, failed bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	result, err := a.session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		a.t.Fatalf("%s: %v", tool, err)
	}
	return result.Content[0].(*mcp.TextContent).Text, result.IsError
}

func (a agent) call(tool string, arguments map[string]any, into any) {
	a.t.Helper()
	text, failed := a.ask(tool, arguments)
	if failed {
		a.t.Fatalf("%s: %s", tool, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		a.t.Fatalf("%s: %v: %s", tool, err, text)
	}
}

func (a agent) refused(tool string, arguments map[string]any, why string) {
	a.t.Helper()
	if text, failed := a.ask(tool, arguments); !failed || !strings.Contains(text, why) {
		a.t.Errorf("%s %v: %v, %s", tool, arguments, failed, text)
	}
}

// sampleOf is the Tiledesk that the program in a directory brings along, asked directly.
func sampleOf(t *testing.T, dir string) source {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "sample.json"))
	if err != nil {
		t.Fatal(err)
	}
	var world struct {
		Seed  uint64
		Start time.Time
	}
	if err := json.Unmarshal(b, &world); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(tiledesktest.NewSample(world.Seed, world.Start))
	t.Cleanup(web.Close)
	return source{web.URL, tiledesktest.SampleProjectID, tiledesktest.SampleToken}
}

// longestYesterday asks which conversations waited longest yesterday, as an agent does that knows nothing but what it is told: which table
// has a row for each conversation, which column is the time that it waited. The answer is held against Tiledesk's own.
func longestYesterday(t *testing.T, a agent, s source) {
	for tool, err := range a.session.Tools(t.Context(), nil) {
		if err != nil || slices.Contains([]string{"tables", "describe", "query"}, tool.Name) && !tool.Annotations.ReadOnlyHint {
			t.Fatalf("%+v may write (%v)", tool, err)
		}
	}
	var tables struct {
		SQL    string
		Tables []struct{ Name, Holds string }
		Views  []struct{ Name string }
	}
	a.call("tables", nil, &tables)
	if len(tables.Views) != 4 {
		t.Errorf("views: %v", tables.Views)
	}
	at := slices.IndexFunc(tables.Tables, func(o struct{ Name, Holds string }) bool {
		return strings.Contains(o.Holds, "One row per conversation")
	})
	if at < 0 {
		t.Fatalf("no table of conversations in %+v", tables)
	}
	name := tables.Tables[at].Name
	var described struct {
		Columns []struct{ Name, Type, Meaning string }
	}
	a.call("describe", map[string]any{"table": name}, &described)
	find := func(meaning string) string {
		for _, c := range described.Columns {
			if strings.HasPrefix(c.Meaning, meaning) {
				return c.Name
			}
		}
		t.Fatalf("no column of %s means %q: %+v", name, meaning, described)
		return ""
	}
	id, waited, began := find("Tiledesk's public id"), find("From createdAt to first_response_at"), find("When the conversation started")
	today := time.Now().UTC().Truncate(24 * time.Hour)
	yesterday := today.Add(-24 * time.Hour)
	sql := fmt.Sprintf("SELECT %[1]s, %[2]s FROM %[4]s WHERE %[3]s >= '%[5]s' AND %[3]s < '%[6]s' AND %[2]s IS NOT NULL AND _deleted_at IS NULL ORDER BY %[2]s DESC, %[1]s",
		id, waited, began, name, yesterday.Format(time.RFC3339), today.Format(time.RFC3339))

	type wait struct {
		id string
		ms int64
	}
	requests, err := schemas.ByName("requests")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []wait
	for tried := time.Now(); ; time.Sleep(time.Second) { // some of yesterday's conversations go on, and what changes takes a moment
		got, want = nil, nil
		for _, d := range s.documents(t, requests[0]) {
			created, err := time.Parse(time.RFC3339Nano, fmt.Sprint(d["createdAt"]))
			if err != nil {
				t.Fatal(err)
			}
			n, ok := d["waiting_time"].(json.Number)
			if ms, err := n.Int64(); ok && err == nil && !created.Before(yesterday) && created.Before(today) {
				want = append(want, wait{fmt.Sprint(d["request_id"]), ms})
			}
		}
		slices.SortFunc(want, func(a, b wait) int { return cmp.Or(cmp.Compare(b.ms, a.ms), cmp.Compare(a.id, b.id)) })
		var answer struct{ Rows [][]any }
		a.call("query", map[string]any{"sql": sql}, &answer)
		for _, row := range answer.Rows {
			got = append(got, wait{row[0].(string), int64(row[1].(float64))})
		}
		if len(want) >= 5 && slices.Equal(got, want) {
			return
		}
		if time.Since(tried) > time.Minute {
			t.Fatalf("yesterday's waits: %s", gocmp.Diff(want, got, gocmp.AllowUnexported(wait{})))
		}
	}
}
