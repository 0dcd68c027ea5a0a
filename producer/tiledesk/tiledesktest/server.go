package tiledesktest

import (
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options shape a Server. The zero value is the real server: API v3, wall clock, no limits.
type Options struct {
	Clock             func() time.Time // what time it is; nil means time.Now
	Documented        bool             // answer the documented API, /projects/{id}/..., in place of v3
	FirstPage         int              // the documented API's first page: 0 or 1
	Late              time.Duration    // how long after its createdAt a request written through the API begins to show
	Latency           time.Duration    // before every answer
	RequestsPerMinute int              // calls a project may make within a minute, 429 above it; 0 means no limit
	RetryAfter        bool             // a 429 of that limit carries Retry-After, in seconds
}

// Server is a Tiledesk stand-in. It is safe for concurrent use.
type Server struct {
	*Project // the first project: most tests need no other

	opt    Options
	v3     http.Handler
	secret string // signs users' tokens

	mu       sync.RWMutex // all that follows, and the projects
	projects map[string]*Project
	users    map[string]*user // by id
	emails   map[string]*user
	counter  uint64
	due      schedule
	world    world // nil: nothing arrives by itself

	faults  faults
	windows windows
	next    atomic.Int64 // ms: nothing falls due before
}

// world is something that writes by itself, as time passes.
type world interface {
	next() int64    // ms: when it will write again
	until(ms int64) // writes everything up to then
}

// Project is one Tiledesk project: its documents, and two people who work in it.
type Project struct {
	ID    string
	Owner Credential
	Agent Credential

	server    *Server
	created   int64
	store     map[string]*collection
	members   map[string]*member // by user id, guests too
	tickets   int
	described []byte
	subs      map[string]string // secret by subscription id
	pending   map[string]int64  // ms: when a request that was written shows, by request_id
}

// Credential is what a person signs in with. Token already starts with "JWT ", as the API returns it.
type Credential struct{ Email, Password, Token string }

// collections lists the kinds of documents, named by their v3 path, with the field by which each is looked up.
var collections = map[string]string{
	"requests": "request_id", "messages": "recipient", "leads": "lead_id", "bots": "slug", "project_users": "uuid_user",
	"departments": "name", "groups": "name", "tags": "tag", "canned": "title", "subscriptions": "target",
}

// New returns a stand-in with one project, "Acme Support".
func New(opt Options) *Server {
	s := newServer(opt, "tiledesktest")
	s.Project = s.AddProject("6b0300000000000000000001", "Acme Support")
	return s
}

func newServer(opt Options, secret string) *Server {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	s := &Server{
		opt: opt, secret: secret,
		projects: map[string]*Project{}, users: map[string]*user{}, emails: map[string]*user{},
	}
	s.v3 = s.routes()
	s.plan()
	return s
}

// AddProject adds a project that has its own owner and agent, the default department and the identity bot. The id is 24
// hex digits; the people are owner@ and agent@ of a domain made of it.
func (s *Server) AddProject(id, name string) *Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	p := s.newProject(id, name, now)
	p.Owner = p.hire(s.newUser("owner@"+id+".example.com", "Olivia", "Owner", now), "owner", now)
	p.Agent = p.hire(s.newUser("agent@"+id+".example.com", "Adam", "Agent", now), "agent", now)
	owner := s.emails[p.Owner.Email].ID
	p.put("departments", p.newDepartment("Default Department", "assigned", true, owner, now))
	p.put("bots", encode(bot{
		Type: "identity", Language: "en", IntentsEngine: "none", Tags: []string{}, Trained: true, CertifiedTags: []string{},
		ID: s.newID(), Name: "Bot", Slug: "bot", Description: "An identity bot", ProjectID: id, Subtype: "chatbot",
		CreatedBy: "system", CreatedAt: stamp(now), UpdatedAt: stamp(now),
	}))
	return p
}

func (s *Server) newProject(id, name string, created int64) *Project {
	p := &Project{
		ID: id, server: s, created: created, store: map[string]*collection{}, members: map[string]*member{}, subs: map[string]string{},
		pending: map[string]int64{},
	}
	for n, key := range collections {
		p.store[n] = newCollection(key)
	}
	s.projects[id] = p
	p.described = p.describe(name)
	return p
}

// now is the clock in whole milliseconds, as documents hold it.
func (s *Server) now() int64 { return s.opt.Clock().UnixMilli() }

// newID returns an id in the shape of MongoDB's: 24 hex digits, growing with time.
func (s *Server) newID() string {
	s.counter++
	return fmt.Sprintf("%08x%010x%06x", s.now()/1000, 0x7473740000, s.counter&0xffffff)
}

// newUUID returns an id in the shape of a random UUID; the same in every run of the same calls.
func (s *Server) newUUID() string {
	s.counter++
	return uuid(fmt.Sprint(s.secret, s.counter))
}

// uuid is the id in the shape of a UUID that belongs to a name.
func uuid(name string) string {
	h := sha256.Sum256([]byte(name))
	x := hex.EncodeToString(h[:16])
	return x[:8] + "-" + x[8:12] + "-4" + x[13:16] + "-a" + x[17:20] + "-" + x[20:32]
}

// later runs write, under the lock, once the clock has reached at, and everything that was to be written before has been.
func (s *Server) later(at int64, write func()) {
	if at <= s.now() && (len(s.due) == 0 || at < s.due[0].at) {
		write()
		return
	}
	heap.Push(&s.due, scheduled{at, s.seq(), write})
	s.plan()
}

func (s *Server) seq() uint64 { s.counter++; return s.counter }

// plan says when advance will have something to do.
func (s *Server) plan() {
	next := int64(1<<63 - 1)
	if len(s.due) > 0 {
		next = s.due[0].at
	}
	if s.world != nil {
		next = min(next, s.world.next())
	}
	s.next.Store(next)
}

// advance writes what has fallen due, in order.
func (s *Server) advance() {
	now := s.now()
	if now < s.next.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.due) > 0 && s.due[0].at <= now {
		d := heap.Pop(&s.due).(scheduled)
		if s.world != nil {
			s.world.until(d.at)
		}
		d.write()
	}
	if s.world != nil {
		s.world.until(now)
	}
	s.plan()
}

type scheduled struct {
	at    int64
	seq   uint64
	write func()
}

// schedule is a heap of writes to come.
type schedule []scheduled

func (h schedule) Len() int { return len(h) }
func (h schedule) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h schedule) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *schedule) Push(x any)   { *h = append(*h, x.(scheduled)) }
func (h *schedule) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
