package tiledesktest

import (
	"encoding/json"
	"net/http"
	"slices"
)

const (
	touch  = 3  // ms between a message and the updatedAt it gives its request; seen: 3 to 4
	notice = 16 // ms between a request's last updatedAt and the "Chat closed" that is stored after it; seen: 10 to 16
)

// newMessage is the body of POST requests/{id}/messages.
type newMessage struct {
	Text         string          `json:"text"`
	Type         string          `json:"type"`
	Metadata     json.RawMessage `json:"metadata"`
	Attributes   json.RawMessage `json:"attributes"`
	Language     string          `json:"language"`
	SourcePage   string          `json:"sourcePage"`
	UserAgent    string          `json:"userAgent"`
	Subject      string          `json:"subject"`
	DepartmentID string          `json:"departmentid"`
	Channel      *channel        `json:"channel"`
}

// postMessage stores a message. The first one to a request makes the request, and a lead of its sender. Every later one
// becomes the request's last_message and moves its updatedAt to just after the message, closed or not.
func (s *Server) postMessage(c *call) answer {
	var in newMessage
	if json.Unmarshal(c.body, &in) != nil {
		return plain(http.StatusBadRequest)
	}
	p, now, id := c.project, s.now(), c.PathValue("request")
	sender := p.members[c.who.id]
	if sender == nil {
		return refuse(http.StatusForbidden, `{"success":false,"msg":"Unauthorized. Project_user not found with user id  : `+c.who.id+`"}`)
	}
	m := message{
		SenderFullname: sender.fullname, Type: "text", ChannelType: "group", ID: s.newID(), Sender: c.who.id, Recipient: id, Text: in.Text,
		ProjectID: p.ID, CreatedBy: c.who.id, Metadata: in.Metadata, Attributes: in.Attributes, Language: in.Language,
		Channel: channel{"chat21"}, CreatedAt: stamp(now), UpdatedAt: stamp(now),
	}
	if in.Type != "" {
		m.Type = in.Type
	}
	if in.Channel != nil {
		m.Channel = *in.Channel
	}
	raw := encode(m)
	r := p.store["requests"].first(id)
	if visible, hidden := p.pending[id]; hidden {
		s.later(visible, func() { p.follow(p.store["requests"].first(id), raw, now) })
		return ok(raw)
	}
	if r != nil {
		return ok(with(raw, field{"request", p.render(nil, p.follow(r, raw, now), true)}))
	}
	r = p.open(id, c.who.id, sender, in, m.Channel, now)
	visible := now + s.opt.Late.Milliseconds()
	p.pending[id] = visible
	s.later(visible, func() {
		delete(p.pending, id)
		p.put("requests", r.raw).candidates = r.candidates
		p.put("messages", raw)
	})
	return ok(with(raw, field{"request", p.render(nil, r, true)}))
}

// follow stores a message of a request that there is, and what it changes there.
func (p *Project) follow(r *record, message []byte, at int64) *record {
	p.put("messages", message)
	last := with(object(get(r.raw, "attributes")), field{"last_message", message})
	return p.change("requests", r, field{"attributes", last}, field{"updatedAt", instant(max(at+touch, r.updated+1))})
}

// after is now, or just after the document's last change where that is still to come: updatedAt only grows.
func (s *Server) after(r *record) int64 { return max(s.now(), r.updated+1) }

func object(value []byte) []byte {
	if len(value) == 0 || value[0] != '{' {
		return []byte("{}")
	}
	return value
}

// open makes a request and, where the sender has none, a lead. The lead is stored; the request is not.
func (p *Project) open(id, senderID string, sender *member, in newMessage, ch channel, now int64) *record {
	l := p.store["leads"].first(senderID)
	if l == nil {
		doc := lead{
			Tags: []string{}, Status: 100, ID: p.server.newID(), LeadID: senderID, Fullname: sender.fullname, Email: sender.email,
			Attributes: in.Attributes, ProjectID: p.ID, CreatedBy: "system", CreatedAt: stamp(now), UpdatedAt: stamp(now),
		}
		if sender.phone != "" {
			doc.Phone = &sender.phone
		}
		l = p.put("leads", encode(doc))
	}
	d := p.store["departments"].byID[in.DepartmentID]
	if d == nil {
		for _, each := range p.store["departments"].byCreated {
			if string(get(each.raw, "default")) == "true" {
				d = each
			}
		}
	}
	requester := p.store["project_users"].byID[sender.id].raw
	candidates := p.agents()
	p.tickets++
	doc := request{
		Status: 100, Participants: []string{}, Priority: "medium", Followers: []string{}, ParticipantsAgents: []string{}, ParticipantsBots: []string{},
		ID: p.server.newID(), RequestID: id, Requester: sender.id, Lead: l.id, FirstText: in.Text, Subject: in.Subject,
		SourcePage: in.SourcePage, Language: in.Language, UserAgent: in.UserAgent, Attributes: in.Attributes,
		ProjectID: p.ID, CreatedBy: senderID, Channel: ch, Tags: json.RawMessage("[]"), Notes: json.RawMessage("[]"), CreatedAt: stamp(now),
		Snapshot:        snapshot{AvailableAgents: len(candidates), Requester: flat(requester), Lead: json.RawMessage(l.raw)},
		Contact:         contact{Email: text(l.raw, "email"), Phone: text(l.raw, "phone")},
		ChannelOutbound: ch, SmartAssignment: true, UpdatedAt: stamp(now + touch), TicketID: p.tickets,
	}
	if d != nil {
		doc.Department, doc.Snapshot.Department = d.id, json.RawMessage(d.raw)
		if text(d.raw, "routing") == "assigned" && len(candidates) > 0 {
			agent := candidates[p.tickets%len(candidates)]
			doc.Status, doc.Participants, doc.ParticipantsAgents = 200, []string{agent}, []string{agent}
			doc.AssignedAt = stamp(now)
			p.busy(agent, 1, now)
		}
	}
	r := p.store["requests"].index(encode(doc))
	r.candidates = candidates
	return r
}

// flat is a project user as a snapshot holds it: the person is an id.
func flat(projectUser []byte) json.RawMessage {
	if u := get(projectUser, "id_user"); u != nil {
		return with(projectUser, field{"id_user", get(u, "_id")})
	}
	return projectUser
}

// closeRequest closes a request; the notice of it is stored only after the request's last change.
func (s *Server) closeRequest(c *call) answer {
	p := c.project
	r := p.store["requests"].first(c.PathValue("request"))
	if r == nil {
		return refuse(http.StatusInternalServerError, `{"success":false,"error":"Error closing request"}`)
	}
	if r.status == 1000 {
		return ok(p.render(nil, r, true))
	}
	now := s.after(r)
	r = p.close(r, c.who.id, now)
	s.later(now+notice, func() { p.put("messages", p.closed(s.newID(), r, now+notice)) })
	return ok(p.render(nil, r, true))
}

func (p *Project) close(r *record, by string, at int64) *record {
	for _, agent := range list(get(r.raw, "participantsAgents")) {
		p.busy(agent, -1, at)
	}
	return p.change("requests", r,
		field{"status", []byte("1000")}, field{"transcript", quote(p.transcript(r.key))}, field{"duration", number(at - r.created)},
		field{"closed_by", quote(by)}, field{"closed_at", instant(at)}, field{"updatedAt", instant(at)})
}

// closed is the server's own message at the end of a request.
func (p *Project) closed(id string, r *record, at int64) []byte {
	return encode(message{
		SenderFullname: "Bot", Type: "text", ChannelType: "group", ID: id, Sender: "system", Recipient: r.key, Text: "Chat closed",
		ProjectID: p.ID, CreatedBy: "system", Metadata: get(r.raw, "language"),
		Attributes: json.RawMessage(`{"subtype":"info/support","updateconversation":false,"messagelabel":{"key":"CHAT_CLOSED"}}`),
		Channel:    channel{text(get(r.raw, "channel"), "name")}, CreatedAt: stamp(at), UpdatedAt: stamp(at),
	})
}

func list(array []byte) []string {
	var out []string
	if json.Unmarshal(array, &out) != nil {
		return nil
	}
	return out
}

// reopenRequest puts a closed request back to its agents; closed_at and the rest stay (services/requestService.js).
func (s *Server) reopenRequest(c *call) answer {
	r := c.project.store["requests"].first(c.PathValue("request"))
	if r == nil {
		return refuse(http.StatusInternalServerError, `{"success":false,"error":"Error reopening request"}`)
	}
	if r.status != 100 && r.status != 200 {
		r = c.project.reopen(r, s.after(r))
	}
	return ok(c.project.render(nil, r, true))
}

func (p *Project) reopen(r *record, at int64) *record {
	status := int64(100)
	if len(list(get(r.raw, "participants"))) > 0 {
		status = 200
	}
	return p.change("requests", r, field{"status", number(status)}, field{"updatedAt", instant(at)})
}

func (s *Server) tagRequest(c *call) answer {
	var tags []struct {
		ID    string `json:"_id"`
		Tag   string `json:"tag"`
		Color string `json:"color,omitempty"`
	}
	if json.Unmarshal(c.body, &tags) != nil || len(tags) == 0 {
		return refuse(http.StatusBadRequest, `{"success":false,"message":"No tag specified"}`)
	}
	for i := range tags {
		tags[i].ID = s.newID()
	}
	return s.patch(c, "tags", func(old []byte) []byte { return extend(old, encode(tags)) })
}

func (s *Server) noteRequest(c *call) answer {
	now := stamp(s.now())
	note := encode([]map[string]string{{"_id": s.newID(), "text": text(c.body, "text"), "createdBy": c.who.id, "createdAt": now, "updatedAt": now}})
	return s.patch(c, "notes", func(old []byte) []byte { return extend(old, note) })
}

// extend appends one JSON array to another.
func extend(a, b []byte) []byte {
	if len(a) < 3 {
		return b
	}
	return slices.Concat(a[:len(a)-1], []byte{','}, b[1:])
}

func (s *Server) patch(c *call, key string, change func(old []byte) []byte) answer {
	r := c.project.store["requests"].first(c.PathValue("request"))
	if r == nil {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Request not found"}`)
	}
	r = c.project.change("requests", r, field{key, change(get(r.raw, key))}, field{"updatedAt", instant(s.after(r))})
	return ok(c.project.render(nil, r, true))
}

// patchable are the members that PATCH takes.
var patchable = []string{"rating", "rating_message", "status", "language", "priority", "subject", "first_text"}

func (s *Server) patchRequest(c *call) answer {
	r := c.project.store["requests"].first(c.PathValue("request"))
	if r == nil {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Request not found"}`)
	}
	changes := []field{{"updatedAt", instant(s.after(r))}}
	body, err := compact(c.body)
	if err != nil {
		return plain(http.StatusBadRequest)
	}
	for k, v := range fields(body) {
		if slices.Contains(patchable, k) {
			changes = append(changes, field{k, v})
		}
	}
	return ok(c.project.render(nil, c.project.change("requests", r, changes...), true))
}

// deleteRequest takes a request away with its messages.
func (s *Server) deleteRequest(c *call) answer {
	p := c.project
	r := p.store["requests"].first(c.PathValue("request"))
	if r == nil {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Object not found."}`)
	}
	shown := p.render(nil, r, true)
	p.store["requests"].remove(r)
	for _, m := range slices.Clone(p.store["messages"].byKey[r.key]) {
		p.store["messages"].remove(m)
	}
	return ok(shown)
}
