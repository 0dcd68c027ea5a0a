package tiledesktest

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// call is one HTTP call under way.
type call struct {
	*http.Request
	q       url.Values
	project *Project
	who     principal
	role    string // in the project; "" for a subscription
	body    []byte
}

// route says who may make a call; the handler runs under the server's lock, for writing where the method writes.
type route struct {
	role         string // the least that will do; "" is open to all
	subscription bool   // a subscription's token will do
	handle       func(c *call) answer
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	in := func(pattern, role string, subscription bool, handle func(c *call) answer) {
		method, rest, _ := strings.Cut(pattern, " ")
		mux.Handle(method+" /{project}/"+rest, s.serve(route{role, subscription, handle}))
	}
	mux.Handle("POST /auth/signin", s.open(s.signIn))
	mux.Handle("POST /auth/signinAnonymously", s.open(s.signInAnonymously))
	mux.Handle("GET /projects", s.open(s.memberships))
	mux.Handle("GET /{$}", s.open(func(*call) answer {
		return answer{status: http.StatusOK, kind: "text/html; charset=utf-8", body: []byte("Tiledesk stand-in with made-up data")}
	}))

	in("GET requests", "guest", true, s.listRequests)
	in("GET requests/{request}", "agent", true, s.oneRequest)
	in("GET requests/{request}/messages", "guest", true, s.conversation)
	in("POST requests/{request}/messages", "guest", true, s.postMessage)
	in("PUT requests/{request}/close", "agent", true, s.closeRequest)
	in("PUT requests/{request}/reopen", "agent", true, s.reopenRequest)
	in("PUT requests/{request}/tag", "agent", true, s.tagRequest)
	in("POST requests/{request}/notes", "agent", true, s.noteRequest)
	in("PATCH requests/{request}", "agent", true, s.patchRequest)
	in("DELETE requests/{request}", "owner", false, s.deleteRequest)
	in("GET messages", "owner", false, s.listMessages)
	in("GET leads", "guest", true, s.listLeads)
	in("POST leads", "guest", true, s.createLead)
	in("GET leads/{lead}", "guest", true, s.oneLead)
	in("PUT leads/{lead}", "guest", true, s.changeLead)
	in("DELETE leads/{lead}", "admin", false, s.deleteLead)
	in("DELETE leads/{lead}/physical", "owner", false, s.eraseLead)
	for _, name := range []string{"bots", "faq_kb"} {
		in("GET "+name, "agent", true, s.listBots)
		in("POST "+name, "admin", false, s.createBot)
		in("DELETE "+name+"/{bot}", "admin", false, s.deleteBot)
	}
	in("GET project_users", "agent", true, s.listMembers)
	in("GET departments", "", true, s.whole("departments", func(r *record) bool { return r.status == 1 }))
	in("GET departments/allstatus", "agent", true, s.whole("departments", nil))
	in("GET groups", "agent", true, s.whole("groups", func(r *record) bool { return string(get(r.raw, "trashed")) != "true" }))
	in("GET tags", "agent", true, s.whole("tags", nil))
	in("GET canned", "agent", false, s.whole("canned", func(r *record) bool { return r.status < 1000 }))
	in("GET roles", "agent", false, func(*call) answer { return ok([]byte("[]")) })
	in("GET subscriptions", "admin", false, s.whole("subscriptions", nil))
	in("POST subscriptions", "admin", false, s.createSubscription)
	in("DELETE subscriptions/{subscription}", "admin", false, s.deleteSubscription)
	mux.Handle("/", s.serve(route{handle: nil}))
	return mux
}

// ServeHTTP answers a call, unless a fault says otherwise.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.advance()
	project, rest := s.split(r.URL.Path)
	fault, spoiled := s.faults.meet(rest)
	if !wait(r, s.opt.Latency+fault.Delay) || fault.Hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if fault.Cut {
		panic(http.ErrAbortHandler)
	}
	var a answer
	if seconds, allowed := s.windows.allow(project, s.opt.RequestsPerMinute, s.now()); project != "" && !allowed {
		a = s.limited(seconds)
	} else {
		a = s.answer(r)
	}
	if a.hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if spoiled {
		a = fault.spoil(a)
	}
	if !s.head(w, r, a) {
		return
	}
	if fault.Half {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body)
}

// answer finds what to send; the recorder only carries the mux's choice back.
func (s *Server) answer(r *http.Request) answer {
	if s.opt.Documented {
		return s.documented(r)
	}
	var rec recorder
	s.v3.ServeHTTP(&rec, r)
	return rec.answer
}

// recorder takes the answer of one of our handlers as it is, and that of the mux itself (a redirect to a clean path) as
// it writes it.
type recorder struct{ answer answer }

func (r *recorder) Header() http.Header {
	if r.answer.header == nil {
		r.answer.header = http.Header{}
	}
	return r.answer.header
}
func (r *recorder) WriteHeader(status int) { r.answer.status = status }
func (r *recorder) Write(b []byte) (int, error) {
	r.answer.body = append(r.answer.body, b...)
	return len(b), nil
}

// wait reports false if the caller gave up meanwhile.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// split parts a path into its project and the rest; without a project the rest is all of it.
func (s *Server) split(path string) (project, rest string) {
	path = strings.Trim(path, "/")
	if s.opt.Documented {
		path = strings.TrimPrefix(path, "projects/")
	}
	first, rest, _ := strings.Cut(path, "/")
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.projects[first] != nil {
		return first, rest
	}
	return "", path
}

// open serves what belongs to no project.
func (s *Server) open(handle func(c *call) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r, q: r.URL.Query(), body: read(r)}
		s.mu.Lock()
		defer s.mu.Unlock()
		w.(*recorder).answer = handle(c)
	})
}

// serve checks project, credential and role, in that order, and then handles the call.
func (s *Server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r, q: r.URL.Query(), body: read(r)}
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			s.mu.RLock()
			defer s.mu.RUnlock()
		} else {
			s.mu.Lock()
			defer s.mu.Unlock()
		}
		w.(*recorder).answer = s.admit(c, rt)
	})
}

var objectID = regexp.MustCompile(`^[0-9a-fA-F]{24}$`)

func (s *Server) admit(c *call, rt route) answer {
	id, _, _ := strings.Cut(strings.TrimPrefix(c.URL.Path, "/"), "/")
	if c.project = s.projects[id]; c.project == nil {
		if !objectID.MatchString(id) {
			return refuse(http.StatusBadRequest, `{"error":"Invalid project id: `+id+`"}`)
		}
		return refuse(http.StatusBadRequest, `{"error":"Project not found with id: `+id+`"}`)
	}
	if rt.handle == nil {
		return noRoute(c.Request)
	}
	if rt.role == "" {
		return rt.handle(c)
	}
	if c.Header.Get("Authorization") == "" && c.q.Get("secret_token") != "" {
		return refuse(http.StatusForbidden, `{"success":false,"msg":"Unauthorized."}`) // middleware/valid-token.js
	}
	who, status := s.identify(c.Header)
	if status != 0 {
		return plain(status)
	}
	c.who = who
	m := c.project.members[who.id]
	switch {
	case who.subscription && c.project.subs[who.id] != "":
		if !rt.subscription {
			return refuse(http.StatusForbidden, `{"success":false,"msg":"you dont belong to the project."}`)
		}
	case m == nil:
		return refuse(http.StatusForbidden, `{"success":false,"msg":"you dont belong to the project."}`)
	case ranks[m.role] < ranks[rt.role]:
		return refuse(http.StatusForbidden, `{"success":false,"msg":"you dont have the required role."}`)
	default:
		c.role = m.role
	}
	return rt.handle(c)
}

func read(r *http.Request) []byte {
	if r.Body == nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(r.Body, 10<<20))
	return b
}
