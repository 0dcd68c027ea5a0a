package tiledesk

import (
	"log/slog"
	"os"
	"testing"

	"tilestream/internal/e2e"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// realProject is the project of a real Tiledesk server.
func realProject(t *testing.T) Project {
	return Project{
		ID: e2e.Service(t, "TEST_TILEDESK_PROJECT_ID"), URL: e2e.Service(t, "TEST_TILEDESK_URL"), RequestsPerMinute: 60_000,
		Credential: Credential{Token: ops.Secret(e2e.Service(t, "TEST_TILEDESK_TOKEN"))},
	}
}

// pull polls a resource once and returns the documents by id, with the cursor at the end. A document that comes twice fails
// the test.
func pull(t *testing.T, c *Client, r schemas.Resource, from Cursor) (map[string]Doc, Cursor) {
	t.Helper()
	docs := map[string]Doc{}
	for p, err := range c.Pages(t.Context(), r, from) {
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		for _, d := range p.Docs {
			if _, ok := docs[d.ID]; ok {
				t.Errorf("%s %s came twice in one poll", r.Name, d.ID)
			}
			docs[d.ID] = d
		}
		from = restart(t, p.Next)
	}
	return docs, from
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestRealServer(t *testing.T) {
	p := realProject(t)
	byWay := map[string]map[string]Doc{}
	for way, cred := range map[string]Credential{
		"token":  p.Credential,
		"signin": {Email: e2e.Service(t, "TEST_TILEDESK_EMAIL"), Password: ops.Secret(e2e.Service(t, "TEST_TILEDESK_PASSWORD"))},
	} {
		p.Credential = cred
		c := New(p, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		for _, r := range schemas.Resources {
			docs, cur := pull(t, c, r, Cursor{})
			t.Logf("%s %s: %d documents", way, r.Name, len(docs))
			if len(docs) == 0 && r.Name != "groups" && r.Name != "tags" && r.Name != "canned_responses" {
				t.Errorf("%s: no documents", r.Name)
			}
			nothingTwice(t, c, r, docs, cur)
			if r.Name == "messages" {
				byWay[way] = docs
			}
		}
		if c.Dialect() != "v3" {
			t.Errorf("Dialect() = %q, want v3", c.Dialect())
		}
		c.noMessages.Store(true)
		r, _ := schemas.ByName("messages")
		docs, cur := pull(t, c, r[0], Cursor{})
		for id := range byWay[way] {
			if _, ok := docs[id]; !ok {
				t.Errorf("message %s is in the list, but did not come through the requests", id)
			}
		}
		nothingTwice(t, c, r[0], docs, cur)
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
