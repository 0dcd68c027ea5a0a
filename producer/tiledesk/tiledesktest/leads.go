package tiledesktest

import (
	"encoding/json"
	"net/http"
	"slices"
)

// leadFields are the members of a lead that the API writes.
var leadFields = []string{"fullname", "email", "phone", "company", "note", "attributes", "tags", "status", "properties"}

func (s *Server) createLead(c *call) answer {
	var in struct {
		LeadID     string          `json:"lead_id"`
		Fullname   string          `json:"fullname"`
		Email      string          `json:"email"`
		Phone      *string         `json:"phone"`
		Company    string          `json:"company"`
		Attributes json.RawMessage `json:"attributes"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return plain(http.StatusBadRequest)
	}
	if in.LeadID == "" {
		in.LeadID = s.newUUID()
	}
	now := stamp(s.now())
	r := c.project.put("leads", encode(lead{
		Tags: []string{}, Status: 100, ID: s.newID(), LeadID: in.LeadID, Fullname: in.Fullname, Email: in.Email, Phone: in.Phone,
		Company: in.Company, Attributes: in.Attributes, ProjectID: c.project.ID, CreatedBy: c.who.id, CreatedAt: now, UpdatedAt: now,
	}))
	return ok(r.raw)
}

// changeLead changes a lead. That changes all its requests too: they hold a copy, and get a new updatedAt
// (services/updateLeadQueued.js).
func (s *Server) changeLead(c *call) answer {
	r, refused := c.lead()
	if r == nil {
		return refused
	}
	body, err := compact(c.body)
	if err != nil {
		return plain(http.StatusBadRequest)
	}
	var changes []field
	for k, v := range fields(body) {
		if slices.Contains(leadFields, k) {
			changes = append(changes, field{k, v})
		}
	}
	return ok(c.project.amend(r, s.after(r), changes...).raw)
}

// amend writes a lead, and the copies of it in its requests a moment later.
func (p *Project) amend(r *record, at int64, changes ...field) *record {
	r = p.change("leads", r, append(changes, field{"updatedAt", instant(at)})...)
	for _, q := range slices.Clone(p.store["requests"].byLead[r.id]) {
		then := max(at+1, q.updated+1)
		copied := with(r.raw, field{"createdAt", instant(then)}, field{"updatedAt", instant(then)})
		p.change("requests", q, field{"snapshot", with(object(get(q.raw, "snapshot")), field{"lead", copied})}, field{"updatedAt", instant(then)})
	}
	return r
}

// deleteLead hides a lead: status 1000. Its requests stay as they are.
func (s *Server) deleteLead(c *call) answer {
	r, refused := c.lead()
	if r == nil {
		return refused
	}
	return ok(c.project.change("leads", r, field{"status", []byte("1000")}, field{"updatedAt", instant(s.after(r))}).raw)
}

// eraseLead takes a lead away.
func (s *Server) eraseLead(c *call) answer {
	r, refused := c.lead()
	if r == nil {
		return refused
	}
	c.project.store["leads"].remove(r)
	return ok([]byte(`{"n":1,"ok":1,"deletedCount":1}`))
}
