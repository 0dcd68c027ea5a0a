package tiledesktest

import (
	"strings"
	"testing"
	"time"
)

func (c *contract) messageMoves(t *testing.T) {
	id := c.newRequest(t, "moves")
	before := c.request(t, id)
	for i, who := range []string{c.guest, c.OwnerToken, c.AgentToken} {
		m := c.post(t, id, "again", who)
		said := when(t, m, "createdAt")
		c.eventually(t, "the move of updatedAt", func() bool { return when(t, c.request(t, id), "updatedAt").After(said) })
		r := c.request(t, id)
		if d := when(t, r, "updatedAt").Sub(said); d > time.Second {
			t.Errorf("updatedAt is %v after the message", d)
		}
		check(t, "status", string(get(r, "status")), string(get(before, "status")))
		check(t, "createdAt", text(r, "createdAt"), text(before, "createdAt"))
		check(t, "last message", text(get(get(r, "attributes"), "last_message"), "_id"), text(m, "_id"))
		messages := c.conversation(t, id)
		check(t, "messages", len(messages), i+2)
		check(t, "last in the conversation", text(messages[len(messages)-1], "_id"), text(m, "_id"))
		check(t, "among the newest of all", holdsID(c.list(t, "/messages?limit=50"), text(m, "_id")), true)
	}
}

func (c *contract) closing(t *testing.T) {
	id := c.newRequest(t, "closing")
	c.post(t, id, "bye", c.OwnerToken)
	r := c.want(t, 200, "PUT", "/requests/"+id+"/close", map[string]any{}).body
	check(t, "status", string(get(r, "status")), "1000")
	check(t, "closed_at", when(t, r, "closed_at").After(when(t, r, "createdAt")), true)
	if get(r, "duration") == nil || text(r, "transcript") == "" || text(r, "closed_by") == "" {
		t.Errorf("no duration, transcript or closed_by in %s", r)
	}
	c.eventually(t, "the notice of the closing", func() bool { return len(c.conversation(t, id)) == 3 })
	messages := c.conversation(t, id)
	notice, after := messages[2], c.request(t, id)
	check(t, "text", text(notice, "text"), "Chat closed")
	check(t, "sender", text(notice, "sender"), "system")
	check(t, "metadata is the request's language, as a text", text(notice, "metadata"), "it")
	if !when(t, notice, "createdAt").After(when(t, after, "updatedAt")) {
		t.Errorf("the notice of %s is not after the request's last change, %s", text(notice, "createdAt"), text(after, "updatedAt"))
	}
	if text(get(get(after, "attributes"), "last_message"), "_id") == text(notice, "_id") {
		t.Error("the notice became the request's last message")
	}

	c.want(t, 200, "PUT", "/requests/"+id+"/close", map[string]any{})
	check(t, "closed_at after closing again", text(c.request(t, id), "closed_at"), text(after, "closed_at"))

	said := when(t, c.post(t, id, "one more thing", c.guest), "createdAt")
	c.eventually(t, "the move of updatedAt", func() bool { return when(t, c.request(t, id), "updatedAt").After(said) })
	late := c.request(t, id)
	check(t, "status after a message to a closed request", string(get(late, "status")), "1000")
	check(t, "closed_at after it", text(late, "closed_at"), text(after, "closed_at"))

	reopened := c.want(t, 200, "PUT", "/requests/"+id+"/reopen", map[string]any{}).body
	check(t, "status, reopened", string(get(reopened, "status")) == "1000", false)
	check(t, "closed_at, reopened", text(reopened, "closed_at"), text(after, "closed_at"))
	if !when(t, reopened, "updatedAt").After(when(t, late, "updatedAt")) {
		t.Error("reopening does not move updatedAt")
	}
	c.want(t, 500, "PUT", "/requests/nope/close", map[string]any{})
}

func (c *contract) smallChanges(t *testing.T) {
	id := c.newRequest(t, "changes")
	c.post(t, id, "second", c.guest)
	time.Sleep(50 * time.Millisecond) // the real server moves updatedAt after its answer
	for _, x := range []struct {
		what, method, rest string
		body               any
		key, want          string
	}{
		{"a tag", "PUT", "/tag", []any{map[string]string{"tag": "vip", "color": "#00aa00"}}, "tags", `"tag":"vip"`},
		{"a note", "POST", "/notes", map[string]string{"text": "call back"}, "notes", `"text":"call back"`},
		{"a rating", "PATCH", "", map[string]any{"rating": 4, "rating_message": "good"}, "rating", "4"},
	} {
		before := c.request(t, id)
		time.Sleep(2 * time.Millisecond)
		c.want(t, 200, x.method, "/requests/"+id+x.rest, x.body)
		after := c.request(t, id)
		if !when(t, after, "updatedAt").After(when(t, before, "updatedAt")) {
			t.Errorf("%s does not move updatedAt from %s", x.what, text(before, "updatedAt"))
		}
		if got := string(get(after, x.key)); !strings.Contains(got, x.want) {
			t.Errorf("%s: %s is %s", x.what, x.key, got)
		}
	}
	check(t, "rating of an unknown request", string(c.want(t, 404, "PATCH", "/requests/nope", map[string]any{"rating": 4}).body),
		`{"success":false,"msg":"Request not found"}`)
}

func (c *contract) deletion(t *testing.T) {
	id := c.newRequest(t, "deletion")
	c.want(t, 200, "DELETE", "/requests/"+id, nil)
	c.want(t, 404, "GET", "/requests/"+id, nil)
	check(t, "messages of a deleted request", string(c.get(t, "/requests/"+id+"/messages")), "[]")
}
