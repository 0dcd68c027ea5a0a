package tiledesktest

import (
	"net/http"
	"slices"
	"strings"
)

// whole serves a list that has no pages.
func (s *Server) whole(name string, pass func(*record) bool) func(*call) answer {
	return func(c *call) answer {
		all := page{take: 1<<63 - 1}
		records, _ := pick(c.project.store[name].byCreated, false, all, pass)
		return ok(array(records, asStored))
	}
}

// listMessages pages newest first: 10 a page, at most 50 (routes/messagesRoot.js).
func (s *Server) listMessages(c *call) answer {
	records, _ := pick(c.project.store["messages"].byCreated, true, parsePage(c.q, 10, 50), nil)
	if c.q.Get("populate_request") == "" {
		return ok(array(records, asStored))
	}
	return ok(array(records, func(out []byte, r *record) []byte {
		request := c.project.store["requests"].first(r.key)
		if request == nil {
			return append(out, with(r.raw, field{"request", []byte("null")})...)
		}
		return append(out, with(r.raw, field{"request", c.project.render(nil, request, false)})...)
	}))
}

// conversation is all messages of a request, oldest first; an unknown request has none.
func (s *Server) conversation(c *call) answer {
	return ok(array(c.project.store["messages"].byKey[c.PathValue("request")], asStored))
}

// listLeads pages newest first: 40 a page, any limit (routes/lead.js). A bad direction is never answered: the handler
// returns the error to nobody.
func (s *Server) listLeads(c *call) answer {
	descending, valid := parseDirection(c.q.Get("direction"))
	if !valid {
		return answer{hang: true}
	}
	p := parsePage(c.q, 40, 0)
	status := 100
	if v := c.q.Get("status"); v != "" {
		status, _ = parseInt(v)
	}
	leads := c.project.store["leads"]
	records, count := pick(leads.sorted(c.q.Get("sort")), descending, p, func(r *record) bool {
		return r.status == status &&
			(c.q.Get("email") == "" || text(r.raw, "email") == c.q.Get("email")) &&
			(c.q.Get("with_email") == "" || get(r.raw, "email") != nil) &&
			(c.q.Get("with_fullname") == "" || get(r.raw, "fullname") != nil)
	})
	return ok(envelope("leads", p, count, array(records, asStored)))
}

func (s *Server) oneLead(c *call) answer {
	r, refused := c.lead()
	if r == nil {
		return refused
	}
	return ok(r.raw)
}

func (c *call) lead() (*record, answer) {
	id := c.PathValue("lead")
	if !objectID.MatchString(id) {
		return nil, refuse(http.StatusInternalServerError, `{"success":false,"msg":"Error getting object."}`)
	}
	if r := c.project.store["leads"].byID[id]; r != nil {
		return r, answer{}
	}
	return nil, refuse(http.StatusNotFound, `{"success":false,"msg":"Object not found."}`)
}

// hiddenFromAgents are the members of a bot that an agent does not get (routes/faq_kb.js).
var hiddenFromAgents = []string{
	"webhook_enabled", "intentsEngine", "score", "url", "attributes", "trained", "certifiedTags", "createdBy", "createdAt", "updatedAt", "__v",
}

func (s *Server) listBots(c *call) answer {
	restricted := c.role == "agent"
	records, _ := pick(c.project.store["bots"].byCreated, false, page{take: 1<<63 - 1}, func(r *record) bool {
		return string(get(r.raw, "trashed")) != "true" &&
			(c.q.Get("all") == "true" || text(r.raw, "type") != "identity") &&
			(!restricted || string(get(r.raw, "agents_available")) != "false")
	})
	return ok(array(records, func(out []byte, r *record) []byte {
		if !restricted {
			return append(out, r.raw...)
		}
		var gone []field
		for _, k := range hiddenFromAgents {
			gone = append(gone, field{key: k})
		}
		return append(out, with(r.raw, gone...)...)
	}))
}

// listMembers gives the team, or those who have one of the roles asked for, such as guest (routes/project_user.js).
func (s *Server) listMembers(c *call) answer {
	roles := c.q["role"]
	records, _ := pick(c.project.store["project_users"].byCreated, false, page{take: 1<<63 - 1}, func(r *record) bool {
		if string(get(r.raw, "trashed")) == "true" {
			return false
		}
		if len(roles) > 0 {
			return slices.Contains(roles, text(r.raw, "role"))
		}
		return string(get(r.raw, "roleType")) == "1"
	})
	return ok(array(records, func(out []byte, r *record) []byte { return c.project.showMember(out, r) }))
}

func (p *Project) showMember(out []byte, r *record) []byte {
	return append(out, with(r.raw, field{"isBusy", []byte("false")})...)
}

// show renders a document as the collection's list sends it.
func (p *Project) show(collection string, r *record, populate bool) []byte {
	switch collection {
	case "requests":
		return p.render(nil, r, populate)
	case "project_users":
		return p.showMember(nil, r)
	}
	return r.raw
}

// memberships lists the caller's projects.
func (s *Server) memberships(c *call) answer {
	who, status := s.identify(c.Header)
	if status != 0 {
		return plain(status)
	}
	var out [][]byte
	for _, p := range s.projects {
		if m := p.members[who.id]; m != nil && !who.subscription {
			r := p.store["project_users"].byID[m.id]
			out = append(out, with(r.raw, field{"id_project", p.described}, field{"id_user", quote(who.id)}))
		}
	}
	slices.SortFunc(out, func(a, b []byte) int { return strings.Compare(text(a, "_id"), text(b, "_id")) })
	return ok(join(out))
}

func join(items [][]byte) []byte {
	out := []byte{'['}
	for i, v := range items {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']')
}
