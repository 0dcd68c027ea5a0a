package tiledesktest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// listRequests pages newest first: 40 a page, at most 100 (routes/request.js). Without status, those that are closed,
// temporary or abandoned are left out; without preflight=true, those whose visitor has not written yet.
func (s *Server) listRequests(c *call) answer {
	dates, err := parseDates(c.q, s.opt.Clock())
	if err != nil {
		return refuse(http.StatusInternalServerError, `{"success":false,"error":`+string(quote(err.Error()))+`}`)
	}
	descending, valid := parseDirection(c.q.Get("direction"))
	if !valid {
		return refuse(http.StatusInternalServerError, `{"err":"error"}`)
	}
	requests := c.project.store["requests"]
	by := c.q.Get("sort")
	sorted, pass := requests.sorted(by), c.requestFilter()
	if dates != nil {
		var within func(*record) bool
		switch dates.field {
		case "createdAt":
			within = func(r *record) bool { return r.created >= dates.lo && r.created <= dates.hi }
			if by == "" || by == "createdAt" {
				sorted, within = between(sorted, created, dates.lo, dates.hi), nil
			}
		case "updatedAt":
			within = func(r *record) bool { return r.updated >= dates.lo && r.updated <= dates.hi }
			if by == "updatedAt" {
				sorted, within = between(sorted, updated, dates.lo, dates.hi), nil
			}
		default:
			within = func(r *record) bool {
				v := get(r.raw, dates.field)
				at := parseStamp(v)
				return v != nil && at >= dates.lo && at <= dates.hi
			}
		}
		pass = both(pass, within)
	}
	p := parsePage(c.q, 40, 100)
	records, count := pick(sorted, descending, p, pass)
	if c.q.Get("no_count") == "true" {
		count = 0
	}
	populate := c.q.Get("no_populate") != "true"
	list := array(records, func(out []byte, r *record) []byte { return c.project.render(out, r, populate) })
	return ok(envelope("requests", p, count, list))
}

func both(a, b func(*record) bool) func(*record) bool {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(r *record) bool { return a(r) && b(r) }
}

// requestFilter is nil where every request passes.
func (c *call) requestFilter() func(*record) bool {
	var pass func(*record) bool
	add := func(f func(*record) bool) { pass = both(pass, f) }

	if statuses, all := parseStatuses(c.q); !all {
		if statuses == nil {
			add(func(r *record) bool { return r.status < 1000 && r.status != 50 && r.status != 150 })
		} else {
			add(func(r *record) bool { return slices.Contains(statuses, r.status) })
		}
	}
	if c.q.Get("preflight") != "true" {
		add(func(r *record) bool { return !r.preflight })
	}
	switch {
	case c.role == "" || ranks[c.role] >= ranks["admin"]:
	case c.role == "agent":
		add(func(r *record) bool {
			return slices.Contains(r.candidates, c.who.id) || holds(get(r.raw, "participants"), c.who.id)
		})
	default:
		add(func(r *record) bool { return holds(get(r.raw, "participants"), c.who.id) })
	}
	for parameter, key := range map[string]string{"dept_id": "department", "lead": "lead", "priority": "priority"} {
		if want := c.q.Get(parameter); want != "" {
			add(func(r *record) bool { return text(r.raw, key) == want })
		}
	}
	for parameter, key := range map[string]string{"hasbot": "hasBot", "ticket_id": "ticket_id"} {
		if want := c.q.Get(parameter); want != "" {
			add(func(r *record) bool { return string(get(r.raw, key)) == want })
		}
	}
	if want := c.q.Get("participant"); want != "" {
		add(func(r *record) bool { return holds(get(r.raw, "participants"), want) })
	}
	if want := c.q.Get("tags"); want != "" {
		add(func(r *record) bool {
			return strings.Contains(string(get(r.raw, "tags")), `"tag":`+string(quote(want)))
		})
	}
	if want := c.q.Get("requester_email"); want != "" {
		add(func(r *record) bool { return text(get(get(r.raw, "snapshot"), "lead"), "email") == want })
	}
	if c.q.Get("rated") == "true" {
		add(func(r *record) bool { return get(r.raw, "rating") != nil })
	}
	if want := c.q.Get("channel"); want != "" {
		add(func(r *record) bool {
			name := text(get(r.raw, "channel"), "name")
			offline := name == "email" || name == "form"
			return want == "offline" && offline || want == "online" && !offline || want == name
		})
	}
	return pass
}

// parseStatuses reads the status filter; nil is the default one, which hides what is over. What is no number is
// skipped, and if nothing is left the filter is off.
func parseStatuses(q url.Values) (statuses []int, all bool) {
	v := q.Get("status")
	if v == "" {
		return nil, false
	}
	for part := range strings.SplitSeq(v, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(part)); err == nil {
			statuses = append(statuses, n)
		}
	}
	return statuses, len(statuses) == 0
}

// holds reports whether a JSON array of strings holds the text.
func holds(array []byte, want string) bool {
	return strings.Contains(string(array), `"`+want+`"`)
}

// render appends a request as the API shows it: references populated or as ids, then the virtual fields.
func (p *Project) render(out []byte, r *record, populate bool) []byte {
	raw := r.raw
	if populate {
		out = append(out, '{')
		for k, v := range fields(raw) {
			if out[len(out)-1] != '{' {
				out = append(out, ',')
			}
			out = append(append(append(out, '"'), k...), `":`...)
			out = append(out, p.populated(k, v)...)
		}
	} else {
		out = append(out, raw[:len(raw)-1]...)
	}
	if l := get(raw, "lead"); l != nil {
		if populate && p.store["leads"].byID[unquote(l)] == nil {
			l = []byte("null") // the lead was erased
		}
		out = append(append(out, `,"requester_id":`...), l...)
	}
	if populate {
		out = append(append(out, `,"participatingAgents":`...), p.people(get(raw, "participantsAgents"))...)
		out = append(append(out, `,"participatingBots":`...), p.people(get(raw, "participantsBots"))...)
	}
	out = append(out, `,"id":"`...)
	return append(append(out, r.id...), `"}`...)
}

// populated is the document that a reference names; null where it is gone, as mongoose has it.
func (p *Project) populated(key string, value []byte) []byte {
	name := ""
	switch key {
	case "lead":
		name = "leads"
	case "requester":
		name = "project_users"
	case "department":
		name = "departments"
	}
	if name == "" || len(value) == 0 || value[0] != '"' {
		return value
	}
	if r := p.store[name].byID[unquote(value)]; r != nil {
		return r.raw
	}
	return []byte("null")
}

// people are the users or bots that the ids name; a bot's id may begin with bot_.
func (p *Project) people(ids []byte) []byte {
	var list []string
	if json.Unmarshal(ids, &list) != nil {
		return []byte("[]")
	}
	var out [][]byte
	for _, id := range list {
		if u := p.server.users[id]; u != nil {
			out = append(out, u.raw)
		} else if b := p.store["bots"].byID[strings.TrimPrefix(id, "bot_")]; b != nil {
			out = append(out, b.raw)
		}
	}
	return join(out)
}

func (s *Server) oneRequest(c *call) answer {
	r := c.project.store["requests"].first(c.PathValue("request"))
	if r == nil {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Object not found."}`)
	}
	return ok(c.project.render(nil, r, true))
}

// transcript is what a closing writes into the request: a line per message, but none of the server's own.
func (p *Project) transcript(requestID string) string {
	var lines []string
	for _, m := range p.store["messages"].byKey[requestID] {
		if text(m.raw, "sender") != "system" {
			at := time.UnixMilli(m.created).UTC().Format("02/01/2006, 15:04:05")
			lines = append(lines, at+" "+text(m.raw, "senderFullname")+": "+text(m.raw, "text"))
		}
	}
	return strings.Join(lines, "\r\n")
}
