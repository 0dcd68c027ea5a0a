package tiledesk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tilestream/internal/e2e"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// realProject is the project of a real Tiledesk server.
func realProject(t *testing.T) Project {
	return Project{
		ID: e2e.Service(t, "TEST_TILEDESK_PROJECT_ID"), URL: e2e.Alone(t, "TEST_TILEDESK_URL"), RequestsPerMinute: 60_000,
		Credential: Credential{Token: ops.Secret(e2e.Service(t, "TEST_TILEDESK_TOKEN"))},
	}
}

// tell changes something on the real server, as its owner.
func tell(t *testing.T, p Project, method, path, body string) (map[string]any, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+"/"+p.ID+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "JWT "+bare(p.Credential.Token.Reveal()))
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	var out map[string]any
	if err != nil || resp.StatusCode != 200 || json.Unmarshal(b, &out) != nil {
		t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, b, err)
	}
	return out, resp.Header
}

// Every credential that a project can have reads what its role may, the same each way, and nothing twice.
func TestRealCredentials(t *testing.T) {
	p := realProject(t)
	sub, header := tell(t, p, "POST", "/subscriptions", fmt.Sprintf(`{"event":"message.create","target":"http://127.0.0.1:1/%d"}`, time.Now().UnixNano()))
	id := sub["_id"].(string)
	defer tell(t, p, "DELETE", "/subscriptions/"+id, "")
	all := map[string]map[string]Doc{} // by resource, as the owner sees them
	for _, by := range []struct {
		way     string
		cred    Credential
		through bool // messages come through the requests
	}{
		{"token", p.Credential, false},
		{"sign-in", Credential{Email: e2e.Service(t, "TEST_TILEDESK_EMAIL"), Password: ops.Secret(e2e.Service(t, "TEST_TILEDESK_PASSWORD"))}, false},
		{"subscription", Credential{SubscriptionID: id, SubscriptionSecret: ops.Secret(header.Get("x-hook-secret"))}, true},
		{"agent", Credential{Token: ops.Secret(e2e.Service(t, "TEST_TILEDESK_AGENT_TOKEN"))}, true},
	} {
		project := p
		project.Credential = by.cred
		c := New(project, quiet())
		for _, r := range schemas.Resources {
			if by.way == "subscription" && r.Name == "canned_responses" {
				if err := pollError(t, c, r.Name); !IsSkippable(err) {
					t.Errorf("%s: %s: got %v, want an error to skip", by.way, r.Name, err)
				}
				continue
			}
			docs, cur := pull(t, c, r, Cursor{})
			t.Logf("%s: %d %s", by.way, len(docs), r.Name)
			if all[r.Name] == nil {
				all[r.Name] = docs
			}
			for id := range all[r.Name] {
				// An agent sees its own requests only; bots hidden from agents are not listed for it.
				if _, ok := docs[id]; !ok && by.way != "agent" {
					t.Errorf("%s: %s %s is missing", by.way, r.Name, id)
				}
			}
			nothingTwice(t, c, r, docs, cur)
		}
		if c.Dialect() != "v3" || c.noMessages.Load() != by.through {
			t.Errorf("%s: dialect %q, messages through requests %t", by.way, c.Dialect(), c.noMessages.Load())
		}
	}
}

// nothingTwice polls once more. Other tests may write to the server meanwhile, so something may come, but not what came before.
func nothingTwice(t *testing.T, c *Client, r schemas.Resource, before map[string]Doc, from Cursor) {
	t.Helper()
	again, _ := pull(t, c, r, from)
	for id, d := range again {
		if was, ok := before[id]; ok && hash(was.JSON) == hash(d.JSON) {
			t.Errorf("%s %s came again unchanged", r.Name, id)
		}
	}
}

// What happens on the real server comes with the next poll: a new conversation, its close, the server's own last word, a
// changed lead.
func TestRealChanges(t *testing.T) {
	p := realProject(t)
	for _, through := range []bool{false, true} {
		c := New(p, quiet())
		c.noMessages.Store(through)
		cursors := map[string]Cursor{}
		poll := func(resource string) (all string) {
			docs, cur := pull(t, c, row(resource, 0), cursors[resource])
			cursors[resource] = cur
			for _, d := range docs {
				all += string(d.JSON) + "\n"
			}
			return all
		}
		watched := []string{"messages", "requests", "conversations", "leads"}
		for _, r := range watched {
			poll(r)
		}
		mark := fmt.Sprintf("room1-%d", time.Now().UnixNano())
		request := "support-group-" + p.ID + "-" + strings.ReplaceAll(mark, "-", "")
		tell(t, p, "POST", "/requests/"+request+"/messages", fmt.Sprintf(`{"text":"%s one"}`, mark))
		tell(t, p, "POST", "/requests/"+request+"/messages", fmt.Sprintf(`{"text":"%s two"}`, mark))
		for _, r := range []string{"requests", "conversations"} {
			if got := poll(r); !strings.Contains(got, request) {
				t.Errorf("through %t: %s lack the new request", through, r)
			}
		}
		got := poll("messages")
		if strings.Count(got, mark+" one") != 1 || strings.Count(got, mark+" two") != 1 {
			t.Errorf("through %t: the messages of the new request are missing:\n%s", through, got)
		}
		tell(t, p, "PUT", "/requests/"+request+"/close", `{}`)
		lead, _ := tell(t, p, "POST", "/leads", fmt.Sprintf(`{"fullname":%q,"email":"x@example.com"}`, mark))
		tell(t, p, "PUT", "/leads/"+lead["_id"].(string), fmt.Sprintf(`{"fullname":"%s changed"}`, mark))
		time.Sleep(500 * time.Millisecond) // the server writes its last word after it has answered
		if got := poll("leads"); !strings.Contains(got, mark+" changed") {
			t.Errorf("leads lack the changed one")
		}
		got = poll("messages")
		if !strings.Contains(got, request) || strings.Contains(got, mark+" one") {
			t.Errorf("through %t: want the server's own message alone:\n%s", through, got)
		}
		for _, r := range []string{"requests", "conversations"} {
			if got := poll(r); !strings.Contains(got, request) {
				t.Errorf("through %t: %s lack the closed request", through, r)
			}
		}
		for _, r := range watched {
			if got := poll(r); strings.Contains(got, mark) {
				t.Errorf("through %t: %s come again:\n%s", through, r, bytes.TrimSpace([]byte(got)))
			}
		}
	}
}
