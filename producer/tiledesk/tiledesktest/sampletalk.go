package tiledesktest

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// talk is one conversation of the sample world.
type talk struct {
	d         *desk
	r         *rand.Rand
	n, serial int
	id        string // request_id
	who       *visitor
	dept      *record
	bot       *record
	agent     *user
	script    script
	fill      *strings.Replacer
	live      bool // after the start: people answer within seconds, so that there is something to watch
	answered  bool
}

// begin plans a conversation from its beginning to its end.
func (d *desk) begin(n int, at int64) {
	r := d.rand("talk", n)
	t := &talk{d: d, r: r, n: n, live: at > d.start}
	t.who = d.visitor(r, n)
	lang := t.who.lang
	t.script = lang.scripts[r.IntN(len(lang.scripts))]
	t.dept = d.depts[t.script.department]
	if t.dept == nil || r.IntN(100) < 15 {
		t.dept = d.fallback
	}
	t.agent = d.agents[r.IntN(len(d.agents))]
	t.bot = d.bots[r.IntN(len(d.bots))]
	t.id = fmt.Sprintf("support-group-%s-%s", d.p.ID, strings.ReplaceAll(uuid(fmt.Sprint("talk", d.seed, n)), "-", ""))
	day := time.UnixMilli(at).UTC()
	t.fill = strings.NewReplacer(
		"{name}", t.who.first, "{agent}", t.agent.Firstname, "{bot}", text(t.bot.raw, "name"), "{department}", text(t.dept.raw, "name"),
		"{email}", cmp.Or(t.who.email, "my address"), "{company}", cmp.Or(t.who.company, "us"), "{order}", fmt.Sprintf("AC-%06d", 200000+r.IntN(90000)),
		"{invoice}", fmt.Sprintf("INV-%d-%04d", day.Year(), 1+r.IntN(9999)), "{amount}", fmt.Sprintf("€ %d.%02d", 9+r.IntN(400), r.IntN(100)),
		"{product}", products[r.IntN(len(products))], "{plan}", plans[r.IntN(len(plans))], "{date}", day.AddDate(0, 0, r.IntN(9)-2).Format("02/01/2006"),
		"{article}", fmt.Sprint(1000+r.IntN(300)),
	)

	fate := r.IntN(100)
	switch {
	case fate < 4: // opened the widget and never wrote
		t.open(at, true, "", nil)
	case fate < 8: // gave up waiting
		t.open(at, false, t.opening(), nil)
		t.then(at+t.pause(300), t.setStatus(150))
	case fate < 18: // the bot was enough
		t.open(at, false, t.opening(), t.bot)
		at = t.say(at+900, "b", lang.hello)
		at = t.say(at+t.pause(25), "b", lang.solved)
		at = t.say(at+t.pause(60), "c", lang.goodbye[0][2:])
		t.finish(at+t.pause(120), "bot_"+t.bot.id)
	case fate < 26: // nobody took it
		t.open(at, false, t.opening(), nil)
		if fate < 22 {
			at = t.say(at+t.pause(200), "c", "?")
		}
		t.finish(at+(48*time.Hour).Milliseconds(), "_bot_unresponsive")
	default:
		t.served(at, fate)
	}
}

// served plans a conversation that an agent takes part in.
func (t *talk) served(at int64, fate int) {
	lang, r := t.who.lang, t.r
	if fate < 60 {
		t.open(at, false, t.opening(), t.bot)
		at = t.say(at+800, "b", lang.hello)
		at = t.say(at+t.pause(30), "b", lang.handover)
		at += t.pause(60)
		t.then(at, t.join)
	} else {
		t.open(at, false, t.opening(), nil)
		at += 300
		t.then(at, t.join)
	}
	at = t.say(at+t.pause(180), "a", lang.greeting)
	for range r.IntN(1 + len(lang.fillers)/2) {
		i := 2 * r.IntN(len(lang.fillers)/2)
		at = t.turn(at, lang.fillers[i])
		at = t.turn(at, lang.fillers[i+1])
	}
	for _, line := range t.script.turns[1:] {
		at = t.turn(at, line)
	}
	if len(t.script.tags) > 0 && r.IntN(2) == 0 {
		t.then(at+t.pause(20), t.tag(t.script.tags[r.IntN(len(t.script.tags))]))
	}
	if r.IntN(8) == 0 {
		t.then(at+t.pause(30), t.note(noteTexts[r.IntN(len(noteTexts))]))
	}
	at = t.turn(at+t.pause(40), lang.goodbye[r.IntN(len(lang.goodbye))])
	if r.IntN(100) < 6 { // still open, to be closed some day
		t.finish(at+(72*time.Hour).Milliseconds(), "_bot_unresponsive")
		return
	}
	at += t.pause(120)
	t.finish(at, t.agent.ID)
	if r.IntN(100) < 45 {
		t.then(at+1000+t.pause(60), t.rate(1+[]int{4, 4, 4, 4, 3, 3, 2, 1, 0}[r.IntN(9)]))
	}
	if r.IntN(100) < 7 {
		at += t.pause(3600)
		at = t.say(at, "c", lang.reopen)
		t.then(at+t.pause(300), t.reopen)
		at = t.say(at+t.pause(400), "a", lang.reopened)
		t.finish(at+t.pause(1800), t.agent.ID)
	}
}

func (t *talk) opening() string { return t.fill.Replace(t.script.turns[0][2:]) }

// pause is a time in ms about as long as the seconds say; much shorter while someone watches.
func (t *talk) pause(seconds int64) int64 {
	if t.live {
		seconds = 2 + seconds/12
	}
	return seconds*300 + t.r.Int64N(seconds*1400) + 5
}

func (t *talk) turn(at int64, line string) int64 {
	return t.say(at+t.pause(90), line[:1], line[2:])
}

// say plans a message and returns when it is said.
func (t *talk) say(at int64, by, line string) int64 {
	t.then(at, func(at int64) { t.speak(at, by, t.fill.Replace(line)) })
	return at
}

func (t *talk) then(at int64, do func(at int64)) {
	t.serial++
	heap.Push(&t.d.steps, step{at, t.n, t.serial, do})
}

// ident is a new id within the conversation; they come in the order of the steps.
func (t *talk) ident(at int64) string {
	t.serial++
	return t.d.id(at, t.n, t.serial)
}

// request is the conversation's document as it stands; nil once someone deleted it.
func (t *talk) request() *record { return t.d.p.store["requests"].first(t.id) }

// open makes the visitor known, and the request with its first message.
func (t *talk) open(at int64, preflight bool, first string, by *record) {
	p, v := t.d.p, t.who
	if v.member == "" {
		v.member, v.lead = t.ident(at), t.ident(at)
		p.welcome(v.guest, v.member, v.fullname, v.email, v.phone, at-60)
		doc := lead{
			Tags: []string{}, Status: 100, ID: v.lead, LeadID: v.guest, Fullname: v.fullname, Email: v.email,
			Attributes: encode(map[string]any{"client": pages[0], "channel": v.channel, "language": v.lang.language}),
			ProjectID:  p.ID, CreatedBy: "system", CreatedAt: stamp(at - 40), UpdatedAt: stamp(at - 40),
		}
		if v.phone != "" {
			doc.Phone = &v.phone
		}
		p.put("leads", encode(doc))
	} else if v.returns == 1 && v.company != "" { // known by now: the agent fills in what the customer told
		l := p.store["leads"].byID[v.lead]
		p.amend(l, at, field{"company", quote(v.company)}, field{"tags", []byte(`["returning"]`)})
	}
	v.returns++
	l := p.store["leads"].byID[v.lead]
	m := p.store["project_users"].byID[v.member]
	page, browser := pages[t.r.IntN(len(pages))], browsers[t.r.IntN(len(browsers))]
	attributes := encode(map[string]any{
		"departmentId": t.dept.id, "departmentName": text(t.dept.raw, "name"), "userFullname": v.fullname, "client": browser, "sourcePage": page,
	})
	doc := request{
		Status: 100, Preflight: preflight, Participants: []string{}, Priority: priorities[t.r.IntN(len(priorities))], Followers: []string{},
		ParticipantsAgents: []string{}, ParticipantsBots: []string{}, ID: t.ident(at), RequestID: t.id, Requester: v.member, Lead: v.lead,
		FirstText: first, Subject: t.fill.Replace(t.script.subject), Department: t.dept.id, Language: v.lang.language, Attributes: attributes,
		ProjectID: p.ID, CreatedBy: v.guest, Channel: channel{v.channel}, Tags: json.RawMessage("[]"), Notes: json.RawMessage("[]"), CreatedAt: stamp(at),
		Snapshot:        snapshot{Department: t.dept.raw, AvailableAgents: len(t.d.agents), Requester: m.raw, Lead: l.raw},
		Contact:         contact{Email: v.email, Phone: v.phone},
		ChannelOutbound: channel{v.channel}, SmartAssignment: true, UpdatedAt: stamp(at), TicketID: t.n,
	}
	if v.channel == "chat21" {
		doc.SourcePage, doc.UserAgent = page, browser
	}
	if by != nil {
		doc.Status, doc.HasBot, doc.Participants, doc.ParticipantsBots = 200, true, []string{"bot_" + by.id}, []string{by.id}
		doc.AssignedAt = stamp(at)
	}
	r := p.put("requests", encode(doc))
	for _, a := range t.d.agents {
		r.candidates = append(r.candidates, a.ID)
	}
	if first != "" {
		t.speak(at+20, "c", first)
	}
}

var priorities = []string{"medium", "medium", "medium", "medium", "medium", "low", "high", "urgent"}

// speak stores a message and what it changes in its request.
func (t *talk) speak(at int64, by, line string) {
	r := t.request()
	if r == nil {
		return
	}
	m := message{
		Type: "text", ChannelType: "group", ID: t.ident(at), Recipient: t.id, Text: line, ProjectID: t.d.p.ID, Language: t.who.lang.language,
		Channel: channel{t.who.channel}, CreatedAt: stamp(at), UpdatedAt: stamp(at),
	}
	changes := []field{{"updatedAt", instant(at + touch)}}
	switch by {
	case "c":
		m.Sender, m.SenderFullname = t.who.guest, t.who.fullname
		m.Attributes = encode(map[string]any{"client": t.who.channel, "seq": t.serial})
		if strings.Contains(line, "screenshot") || strings.Contains(line, "Here you go") {
			m.Type, m.Metadata = "image", json.RawMessage(`{"src":"https://files.example.com/`+m.ID+`.png","type":"image/png","width":1280,"height":800,"size":184213}`)
		}
	case "b":
		m.Sender, m.SenderFullname = "bot_"+t.bot.id, text(t.bot.raw, "name")
		m.Attributes = json.RawMessage(`{"intentName":"welcome","_answerid":"` + m.ID + `"}`)
	case "a":
		m.Sender, m.SenderFullname = t.agent.ID, t.agent.fullname()
		if !t.answered {
			t.answered = true
			changes = append(changes, field{"first_response_at", instant(at)}, field{"waiting_time", number(at - r.created)})
		}
	}
	m.CreatedBy = m.Sender
	raw := encode(m)
	t.d.p.put("messages", raw)
	changes = append(changes, field{"attributes", with(object(get(r.raw, "attributes")), field{"last_message", raw})})
	t.d.p.change("requests", r, changes...)
}

// join makes the agent take the request.
func (t *talk) join(at int64) {
	r := t.request()
	if r == nil {
		return
	}
	t.d.p.busy(t.agent.ID, 1, at)
	me := encode([]string{t.agent.ID})
	t.d.p.change("requests", r, field{"status", []byte("200")}, field{"participants", me}, field{"participantsAgents", me},
		field{"participantsBots", []byte("[]")}, field{"assigned_at", instant(at)}, field{"updatedAt", instant(at)})
	t.d.p.put("messages", encode(message{
		SenderFullname: "Bot", Type: "text", ChannelType: "group", ID: t.ident(at), Sender: "system", Recipient: t.id,
		Text: t.agent.fullname() + " joined", ProjectID: t.d.p.ID, CreatedBy: "system", Metadata: json.RawMessage(`""`),
		Attributes: json.RawMessage(`{"subtype":"info/support","updateconversation":false,"messagelabel":{"key":"MEMBER_JOINED_GROUP"}}`),
		Channel:    channel{t.who.channel}, CreatedAt: stamp(at + touch), UpdatedAt: stamp(at + touch),
	}))
}

func (t *talk) set(at int64, changes ...field) {
	if r := t.request(); r != nil {
		t.d.p.change("requests", r, append(changes, field{"updatedAt", instant(at)})...)
	}
}

func (t *talk) setStatus(status int64) func(int64) {
	return func(at int64) { t.set(at, field{"status", number(status)}) }
}

func (t *talk) tag(name string) func(int64) {
	return func(at int64) {
		t.set(at, field{"tags", encode([]map[string]string{{"_id": t.ident(at), "tag": name, "color": colors[len(name)%len(colors)]}})})
	}
}

func (t *talk) note(line string) func(int64) {
	return func(at int64) {
		t.set(at, field{"notes", encode([]map[string]string{{
			"_id": t.ident(at), "text": line, "createdBy": t.agent.ID, "createdAt": stamp(at), "updatedAt": stamp(at)}})})
	}
}

func (t *talk) rate(stars int) func(int64) {
	words := t.who.lang.praise
	if stars < 4 {
		words = t.who.lang.complaint
	}
	comment := t.fill.Replace(words[t.r.IntN(len(words))])
	return func(at int64) {
		t.set(at, field{"rating", number(int64(stars))}, field{"rating_message", quote(comment)})
	}
}

// finish plans the closing; the server's notice of it comes after the request's last change.
func (t *talk) finish(at int64, by string) {
	t.then(at, func(at int64) {
		if r := t.request(); r != nil {
			t.d.p.close(r, by, at)
		}
	})
	t.then(at+notice, func(at int64) {
		if r := t.request(); r != nil {
			t.d.p.put("messages", t.d.p.closed(t.ident(at), r, at))
		}
	})
}

func (t *talk) reopen(at int64) {
	if r := t.request(); r != nil {
		t.d.p.reopen(r, at)
		t.d.p.busy(t.agent.ID, 1, at)
	}
}
