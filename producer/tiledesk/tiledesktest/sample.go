package tiledesktest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The sample project and its owner's credential, the same for every seed and start. They open nothing but made-up data.
const (
	SampleProjectID = "65f1c0de0000000000000001"
	SampleEmail     = "olivia@acme.example.com"
	SamplePassword  = "correct-horse-1"
	SampleToken     = "JWT eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJfaWQiOiI2NWYxYzBkZTAwMDAwMDAwMDAwMDAxMDAiLCJlbWFpbCI6Im9saXZpYUBhY21lLmV4YW1wbGUuY29tIiwiZmlyc3RuYW1lIjoiT2xpdmlhIiwibGFzdG5hbWUiOiJPd2VuIiwiZW1haWx2ZXJpZmllZCI6dHJ1ZSwiaWF0IjoxNzAwMDAwMDAwLCJhdWQiOiJodHRwczovL3RpbGVkZXNrLmNvbSIsImlzcyI6Imh0dHBzOi8vdGlsZWRlc2suY29tIiwic3ViIjoidXNlciIsImp0aSI6ImY5MmQwZmIwLTgwOTMtNGI4MS1hYjRjLWVhZjZiZTI0YzFiNCJ9.ep7cG0MJetZoDS_7f_OZJGSs9ro2ATNMRtRO_F-wlsI"
)

const (
	history       = 30 * 24 * time.Hour // of conversations before the start
	conversations = 640                 // within it
)

// NewSample returns a server that holds a made-up support desk: 30 days of conversations before start, and more that
// arrive from start on, as its clock goes. What shows at a time is a function of the seed, the start and that time, so a
// server made again with the same two shows the same documents, and what has arrived since. A clock that stands still
// freezes it.
func NewSample(seed uint64, start time.Time, opt ...Options) *Server {
	var o Options
	if len(opt) > 0 {
		o = opt[0]
	}
	s := newServer(o, "tiledesktest sample")
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &desk{seed: seed, start: start.UnixMilli()}
	d.opened = d.start - (history + 90*24*time.Hour).Milliseconds()
	d.p = s.newProject(SampleProjectID, "Acme Support", d.opened)
	s.Project = d.p
	d.furnish()
	d.arrivals = d.past()
	s.world = d
	d.until(s.now())
	s.plan()
	return s
}

// desk is the sample world: who works there, and the conversations under way.
type desk struct {
	seed     uint64
	start    int64
	opened   int64 // when the desk itself began
	p        *Project
	bots     []*record
	agents   []*user
	depts    map[string]*record
	fallback *record // the default department

	visitors []*visitor
	arrivals []int64 // when the conversations of the past begin, sorted
	arrived  int     // how many conversations have begun
	latest   int64   // when the last of them did
	steps    steps   // what is to come in those
}

// rand returns the numbers that belong to one thing, whatever else there is.
func (d *desk) rand(kind string, n int) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, b := range []byte(kind) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(d.seed^h, uint64(n)))
}

// id is the nth id within a thing, in the shape of MongoDB's.
func (d *desk) id(at int64, thing, n int) string {
	return fmt.Sprintf("%08x%04x%06x%06x", uint32(at/1000), uint16(d.seed*40503+1), thing&0xffffff, n&0xffffff)
}

// furnish makes what does not change: people, bots, departments, groups, tags, canned answers.
func (d *desk) furnish() {
	p, s := d.p, d.p.server
	at := d.opened
	n := 0
	next := func() string { n++; return d.id(at, 0, n) }
	for i, who := range []struct{ first, last, role string }{
		{"Olivia", "Owen", "owner"}, {"Adam", "Berg", "admin"}, {"Beatrice", "Costa", "supervisor"},
		{"Daniel", "Duarte", "agent"}, {"Eleni", "Papadaki", "agent"}, {"Finn", "Larsen", "agent"}, {"Giada", "Moretti", "agent"},
	} {
		u := s.addUser(&user{
			Status: 100, ID: fmt.Sprintf("65f1c0de00000000000001%02x", i), Email: lower(who.first) + "@acme.example.com", Firstname: who.first, Lastname: who.last,
			EmailVerified: true, Phone: fmt.Sprintf("+39020000010%d", i), CreatedAt: stamp(at), UpdatedAt: stamp(at), password: SamplePassword,
		})
		c := p.hireAs(next(), u, who.role, at)
		switch who.role {
		case "owner":
			p.Owner = c
		case "agent":
			d.agents = append(d.agents, u)
			p.Agent = c
		}
	}
	p.Owner.Token = s.userToken(s.emails[SampleEmail], 1_700_000_000, uuid("the sample's public token"))
	owner := s.emails[SampleEmail].ID

	stamped := func(id string, doc map[string]any) []byte {
		return encode(merge(map[string]any{"_id": id, "id_project": p.ID, "createdBy": owner, "createdAt": stamp(at), "updatedAt": stamp(at), "__v": 0}, doc))
	}
	for _, b := range []bot{
		{Name: "Bot", Type: "identity", Subtype: "chatbot", Description: "An identity bot"},
		{Name: "Welcome Bot", Type: "tilebot", Subtype: "chatbot", Description: "Greets visitors and finds the right department", ForAgents: true},
		{Name: "Order Bot", Type: "tilebot", Subtype: "chatbot", Description: "Answers questions about orders and shipping", ForAgents: true},
		{Name: "Night Bot", Type: "internal", Description: "Takes messages outside office hours"},
	} {
		b.Language, b.IntentsEngine, b.Tags, b.CertifiedTags, b.Trained = "en", "none", []string{}, []string{}, true
		b.ID, b.Slug, b.ProjectID, b.CreatedBy, b.CreatedAt, b.UpdatedAt = next(), slug(b.Name), p.ID, owner, stamp(at), stamp(at)
		r := p.put("bots", encode(b))
		if b.Type == "tilebot" {
			d.bots = append(d.bots, r)
		}
	}
	d.depts = map[string]*record{}
	for i, name := range []string{"Customer Care", "Sales", "Billing", "Technical Support", "Returns & Shipping", "Partners"} {
		doc := department{
			Routing: []string{"assigned", "pooled"}[i%2], Default: i == 0, Status: 1, ID: next(), Name: name, Groups: []json.RawMessage{},
			ProjectID: p.ID, CreatedBy: owner, Tags: []string{}, CreatedAt: stamp(at), UpdatedAt: stamp(at),
		}
		doc.VirtualID = doc.ID
		if name == "Technical Support" {
			doc.Bot, doc.HasBot = d.bots[0].id, true
		}
		if name == "Partners" { // hidden: only departments/allstatus shows it
			doc.Status = 0
		}
		d.depts[name] = p.put("departments", encode(doc))
	}
	d.fallback = d.depts["Customer Care"]
	for i, name := range []string{"Level 2", "Italian speakers"} {
		p.put("groups", stamped(next(), map[string]any{"name": name, "enabled": true, "trashed": false, "members": []string{d.agents[i].ID, d.agents[i+2].ID}}))
	}
	for i, tag := range []string{"vip", "refund", "bug", "shipping", "api", "upsell", "churn-risk", "performance", "invoice"} {
		p.put("tags", stamped(next(), map[string]any{"tag": tag, "color": colors[i%len(colors)]}))
	}
	for _, c := range [][2]string{
		{"hi", "Hello $recipient_name, how can I help you?"}, {"moment", "One moment please, I'm looking into it."},
		{"refund", "Your refund is on its way. It takes 3 to 5 working days."}, {"bye", "Thank you for writing to Acme. Have a nice day!"},
		{"escalate", "I'm handing this to our second level; they will write to you today."},
	} {
		p.put("canned", stamped(next(), map[string]any{"title": c[0], "text": c[1], "status": 100, "shared": true}))
	}
}

var colors = []string{"#00aa00", "#f0806f", "#4781e0", "#f5a623", "#9b51e0"}

func merge(a, b map[string]any) map[string]any {
	for k, v := range b {
		a[k] = v
	}
	return a
}

// past says when the conversations before the start began: in office hours mostly, and fewer at week-ends.
func (d *desk) past() []int64 {
	r := d.rand("past", 0)
	rome, _ := time.LoadLocation("Europe/Rome")
	var out []int64
	for len(out) < conversations {
		at := d.start - r.Int64N(history.Milliseconds())
		t := time.UnixMilli(at).In(rome)
		chance := hourly[t.Hour()]
		if t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
			chance /= 4
		}
		if r.IntN(100) < chance {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return out
}

// hourly is how busy each hour of the day is, in percent of the busiest.
var hourly = [24]int{4, 3, 2, 2, 2, 4, 10, 25, 55, 90, 100, 95, 70, 60, 85, 95, 90, 75, 50, 35, 25, 18, 12, 7}

// arrival is when conversation n begins, given when the one before did. From the start on there is one every 20 seconds
// or so; after six hours one every two minutes, so that a demo left alone for a month can still be made again.
func (d *desk) arrival(n int) int64 {
	if n < len(d.arrivals) {
		return d.arrivals[n]
	}
	before := max(d.latest, d.start)
	gap := 8_000 + d.rand("gap", n).Int64N(24_000)
	if before-d.start > (6 * time.Hour).Milliseconds() {
		gap *= 6
	}
	return before + gap
}

func (d *desk) next() int64 {
	at := d.arrival(d.arrived)
	if len(d.steps) > 0 {
		at = min(at, d.steps[0].at)
	}
	return at + touch
}

// until lets happen what is due. It keeps behind the clock by what a change adds to its time, so that no document comes
// from the future.
func (d *desk) until(ms int64) {
	ms -= touch
	for {
		at := d.arrival(d.arrived)
		if len(d.steps) > 0 && d.steps[0].at <= at {
			if d.steps[0].at > ms {
				return
			}
			st := d.steps.pop()
			st.do(st.at)
			continue
		}
		if at > ms {
			return
		}
		d.latest = at
		d.arrived++
		d.begin(d.arrived, at)
	}
}
