package tiledesktest

import (
	"net/http"
	"strings"
)

// createSubscription makes a webhook that never calls: what counts is its secret, which signs tokens. All subscriptions of a
// server share it, as on the real one.
func (s *Server) createSubscription(c *call) answer {
	now := stamp(s.now())
	id, secret := s.newID(), uuid(s.secret+" of all subscriptions")
	c.project.subs[id] = secret
	doc := encode(struct {
		ID        string `json:"_id"`
		Target    string `json:"target"`
		Event     string `json:"event"`
		ProjectID string `json:"id_project"`
		CreatedBy string `json:"createdBy"`
		CreatedAt string `json:"createdAt"`
		UpdatedAt string `json:"updatedAt"`
		V         int    `json:"__v"`
	}{id, text(c.body, "target"), text(c.body, "event"), c.project.ID, c.who.id, now, now, 0})
	c.project.put("subscriptions", doc)
	a := ok(with(doc, field{"secret", quote(secret)}))
	a.header = http.Header{"X-Hook-Secret": {secret}}
	return a
}

func (s *Server) deleteSubscription(c *call) answer {
	subs := c.project.store["subscriptions"]
	r := subs.byID[c.PathValue("subscription")]
	if r == nil {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Object not found."}`)
	}
	delete(c.project.subs, r.id)
	subs.remove(r)
	return ok(r.raw)
}

func (s *Server) createBot(c *call) answer {
	now := stamp(s.now())
	name := text(c.body, "name")
	b := bot{
		Type: "internal", Secret: s.newUUID(), Language: "en", IntentsEngine: "none", Tags: []string{}, Trained: true, CertifiedTags: []string{},
		ID: s.newID(), Name: name, Slug: strings.ToLower(strings.ReplaceAll(name, " ", "-")), Description: text(c.body, "description"),
		ProjectID: c.project.ID, CreatedBy: c.who.id, CreatedAt: now, UpdatedAt: now,
	}
	if t := text(c.body, "type"); t != "" {
		b.Type = t
	}
	if l := text(c.body, "language"); l != "" {
		b.Language = l
	}
	shown := encode(b)
	b.Secret = ""
	c.project.put("bots", encode(b))
	return ok(shown)
}

// deleteBot marks a bot as trashed: no list shows it again.
func (s *Server) deleteBot(c *call) answer {
	r := c.project.store["bots"].byID[c.PathValue("bot")]
	if r == nil {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Object not found."}`)
	}
	c.project.change("bots", r, field{"trashed", []byte("true")}, field{"updatedAt", instant(s.now())})
	return ok(encode(map[string]any{"success": true, "message": "Chatbot with id " + r.id + " deleted successfully"}))
}
