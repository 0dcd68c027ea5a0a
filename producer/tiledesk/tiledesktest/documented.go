package tiledesktest

import (
	"math"
	"net/http"
	"strconv"
	"strings"
)

// documentedLists maps the documented API's resources to collections.
var documentedLists = map[string]string{
	"messages": "messages", "requests": "requests", "conversations": "requests", "bots": "bots", "members": "project_users",
}

// documented answers the API as it is written up: /projects/{id}/{resource}, x-project-id with x-auth-token or a Bearer
// token, page and perPage. No such server is known; errors are in the shape of the v3 ones.
func (s *Server) documented(r *http.Request) answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) != 3 || parts[0] != "projects" || r.Method != http.MethodGet || documentedLists[parts[2]] == "" {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Not found."}`)
	}
	p := s.projects[parts[1]]
	if p == nil {
		return refuse(http.StatusNotFound, `{"success":false,"msg":"Project not found."}`)
	}
	token := r.Header.Get("x-auth-token")
	if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		token = bearer
	} else if r.Header.Get("x-project-id") != p.ID {
		token = ""
	}
	who, valid := s.verify(strings.TrimPrefix(token, "JWT "))
	if !valid {
		return refuse(http.StatusUnauthorized, `{"success":false,"msg":"Unauthorized."}`)
	}
	m := p.members[who.id]
	if m == nil || parts[2] == "messages" && m.role != "owner" {
		return refuse(http.StatusForbidden, `{"success":false,"msg":"you dont have the required role."}`)
	}
	return s.documentedPage(r, p, parts[2])
}

// documentedPage is one page, newest first: 20 documents unless perPage says otherwise, at most 100.
func (s *Server) documentedPage(r *http.Request, p *Project, resource string) answer {
	perPage, number := parseInt(r.URL.Query().Get("perPage"))
	if !number || perPage < 1 {
		perPage = 20
	}
	perPage = min(perPage, 100)
	n, number := parseInt(r.URL.Query().Get("page"))
	if !number || n < s.opt.FirstPage {
		n = s.opt.FirstPage
	}
	collection := documentedLists[resource]
	pass := map[string]func(*record) bool{
		"members": func(r *record) bool { return string(get(r.raw, "roleType")) == "1" },
		"bots":    func(r *record) bool { return string(get(r.raw, "trashed")) != "true" },
	}[resource]
	skip := min(n-s.opt.FirstPage, math.MaxInt32/perPage) * perPage
	records, total := pick(p.store[collection].byCreated, true, page{skip: skip, take: perPage}, pass)
	list := array(records, func(out []byte, r *record) []byte {
		return append(out, p.show(collection, r, resource != "conversations")...)
	})
	body := append([]byte(`{"`+resource+`":`), list...)
	body = append(strconv.AppendInt(append(body, `,"total":`...), int64(total), 10), `,"page":`...)
	body = append(strconv.AppendInt(append(strconv.AppendInt(body, int64(n), 10), `,"perPage":`...), int64(perPage), 10), '}')
	return ok(body)
}
