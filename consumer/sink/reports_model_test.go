//go:build cgo

package sink_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/schemas"
)

// The reports once more, in Go, over documents that are made at random.

type conversation struct {
	id, request, project, visitor, channel, department, closedBy string
	status                                                       int64
	opened, responded, closed                                    time.Time // zero: null
	waiting, rating                                              *int64
	agents, bots, tags                                           []string
	preflight, deleted                                           bool
}

type message struct {
	id, request, sender string
	at                  time.Time
	reopens, deleted    bool
}

// supportTable is a table as the consumer has it.
func supportTable(t testing.TB, name string, mode sink.Mode) sink.Table {
	t.Helper()
	rs, err := schemas.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := schemas.NewDecoder(rs[0].Avro())
	if err != nil {
		t.Fatal(err)
	}
	c := sinktest.Column
	out := sink.Table{Name: name, Key: "_id", Version: "updated_at", Offset: "_kafka_offset", Deleted: "_deleted_at", DeletedOffset: "_deleted_offset", Mode: mode}
	if rs[0].Walk == schemas.WholeList {
		out.Version = "_extracted_at"
	}
	out.Schema = arrow.NewSchema(append(d.Schema().Fields(), c("_project_id", sinktest.String), c("_extracted_at", sinktest.Timestamp), c("_loaded_at", sinktest.Timestamp), c("_load_id", sinktest.String),
		c("_kafka_partition", sinktest.Int32), c("_kafka_offset", sinktest.Int64), c("_schema_id", sinktest.Int32), c("_deleted_at", sinktest.Timestamp), c("_deleted_offset", sinktest.Int64)), nil)
	return out
}

// support is what a project has.
type support struct {
	conversations []conversation
	messages      []message
}

var (
	reportStart = time.Date(2026, 10, 24, 20, 0, 0, 0, time.UTC) // over an end of summer time
	agentNames  = map[string]string{"ann": "Ann Àgent", "bob": "bob@example.com", "gone": "gone"}
	botNames    = map[string]string{"b1": "Bot, the first", "b2": "b2"}
	deptNames   = map[string]string{"d1": "Sales's", "d2": "named long ago"}
)

func someSupport(r *rand.Rand, n int) support {
	var s support
	at := func() time.Time { return reportStart.Add(time.Duration(r.IntN(72*3600*1000)) * time.Millisecond) }
	maybe := func(t time.Time) time.Time {
		if r.IntN(5) == 0 {
			return time.Time{}
		}
		return t
	}
	some := func(of ...string) (out []string) {
		for _, one := range of {
			if r.IntN(3) == 0 {
				out = append(out, one)
			}
		}
		return out
	}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	number := func(low, high int64) *int64 {
		if r.IntN(3) == 0 {
			return nil
		}
		v := low + r.Int64N(high-low)
		return &v
	}
	for i := range n {
		c := conversation{id: fmt.Sprintf("%024x", i), request: fmt.Sprint("support-group-", i), project: pick("p1", "p2"), visitor: fmt.Sprint("visitor-", i%7),
			channel: pick("chat21", "whatsapp", ""), department: pick("d1", "d2", ""), status: []int64{50, 100, 150, 200, 300, 1000, 1000, 1000, 7}[r.IntN(9)],
			opened: maybe(at()), agents: some("ann", "bob", "gone"), bots: some("b1", "b2"), tags: some("bill", "Übel, sehr", "a\"b'c"), waiting: number(-5000, 9e6), rating: number(0, 6),
			preflight: r.IntN(10) == 0, deleted: r.IntN(10) == 0}
		c.responded, c.closed = maybe(at()), maybe(at()) // now and then before it was opened
		if !c.closed.IsZero() {
			c.closedBy = pick("ann", "root", "b1", "bot_b2", "system", "_trigger", "_bot_unresponsive", c.visitor, "")
		}
		s.conversations = append(s.conversations, c)
		for range r.IntN(6) {
			s.messages = append(s.messages, message{request: c.request, sender: pick(c.visitor, c.visitor, "ann", "gone", "bot_b1", "bot_b2", "system", "visitor-of-another", ""), at: maybe(at()), reopens: r.IntN(8) == 0, deleted: r.IntN(10) == 0})
		}
	}
	for range n / 10 {
		s.messages = append(s.messages, message{request: pick("ann", "support-group-unknown", ""), sender: "bob", at: at()})
	}
	for i := range s.messages {
		s.messages[i].id = fmt.Sprintf("%024x", i)
	}
	return s
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func jsonArray(of []string, each string) any {
	var parts []string
	for _, one := range of {
		parts = append(parts, fmt.Sprintf(each, one))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func (c conversation) row() sinktest.Row {
	row := sinktest.Row{"_id": c.id, "request_id": c.request, "id_project": c.project, "status": c.status, "requester_user_id": c.visitor, "created_by": c.visitor, "channel_name": orNull(c.channel),
		"department_id": orNull(c.department), "department_name": "named long ago", "closed_by": orNull(c.closedBy), "created_at": timeOrNull(c.opened), "first_response_at": timeOrNull(c.responded), "closed_at": timeOrNull(c.closed),
		"participants_agents": jsonArray(c.agents, "%q"), "participants_bots": jsonArray(c.bots, "%q"), "tags": jsonArray(c.tags, `{"tag":%q,"color":"red"}`), "_project_id": c.project}
	if c.waiting != nil {
		row["waiting_time"] = *c.waiting
	}
	if c.rating != nil {
		row["rating"] = *c.rating
	}
	if c.preflight {
		row["preflight"] = true
	}
	return row
}

func (m message) row() sinktest.Row {
	row := sinktest.Row{"_id": m.id, "recipient": orNull(m.request), "sender": orNull(m.sender), "created_at": timeOrNull(m.at), "_project_id": "p1"}
	if m.reopens {
		row["attributes"] = `{"subtype":"info/support","messagelabel":{"key":"CHAT_REOPENED"}}`
	}
	return row
}

// talk is a conversation with what is said of it.
type talk struct {
	conversation
	isClosed      bool
	messages      []message
	agents, bots  []string // that take part, or have written
	waits, treats any
}

func (t talk) side(m message) string {
	switch {
	case m.sender == "":
		return ""
	case m.sender == "system":
		return "system"
	case strings.HasPrefix(m.sender, "bot_"):
		return "bot"
	case m.sender == t.visitor:
		return "visitor"
	}
	return "agent"
}

func (t talk) closedBySide() any {
	by := t.closedBy
	switch {
	case !t.isClosed || by == "":
		return nil
	case by == "system", by[0] == '_':
		return "system"
	case strings.HasPrefix(by, "bot_"), slices.Contains(t.bots, by):
		return "bot"
	case by == t.visitor:
		return "visitor"
	}
	return "agent"
}

func (s support) talks(withMessages bool) (all []talk) {
	for _, c := range s.conversations {
		if c.deleted || c.preflight {
			continue
		}
		t := talk{conversation: c, isClosed: c.status == 1000, agents: slices.Clone(c.agents), bots: slices.Clone(c.bots)}
		for _, m := range s.messages {
			if m.deleted || m.request != c.request || !withMessages {
				continue
			}
			t.messages = append(t.messages, m)
			switch t.side(m) {
			case "agent":
				t.agents = append(t.agents, m.sender)
			case "bot":
				t.bots = append(t.bots, strings.TrimPrefix(m.sender, "bot_"))
			}
		}
		for _, l := range []*[]string{&t.agents, &t.bots} {
			slices.Sort(*l)
			*l = slices.Compact(*l)
		}
		if c.waiting != nil && *c.waiting >= 0 {
			t.waits = float64(*c.waiting) / 1000
		}
		if t.isClosed {
			t.treats = secondsBetween(c.responded, c.closed)
		}
		all = append(all, t)
	}
	return all
}

func secondsBetween(from, to time.Time) any {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return nil
	}
	return to.Sub(from).Seconds()
}

func listed(ids []string, names map[string]string) any {
	var out []string
	for _, id := range ids {
		if name := names[id]; name != "" {
			id = name
		}
		out = append(out, id)
	}
	slices.Sort(out)
	return orNull(strings.Join(out, ", "))
}

func (s support) conversationRows(withMessages bool) []sinktest.Row {
	var out []sinktest.Row
	statuses := map[int64]any{50: "temporary", 100: "unassigned", 150: "abandoned", 200: "assigned", 300: "served", 1000: "closed"}
	for _, t := range s.talks(withMessages) {
		row := sinktest.Row{"_id": t.id, "request_id": t.request, "id_project": t.project, "status": statuses[t.status], "channel": orNull(t.channel), "department_id": orNull(t.department), "department": "named long ago",
			"opened_at": timeOrNull(t.opened), "first_response_at": timeOrNull(t.responded), "waiting_seconds": t.waits, "handling_seconds": t.treats,
			"reopened": !t.closed.IsZero() && !t.isClosed, "agents": listed(t.agents, agentNames), "bots": listed(t.bots, botNames), "tags": listed(t.tags, nil), "closed_by_side": t.closedBySide()}
		if name := deptNames[t.department]; name != "" {
			row["department"] = name
		}
		if t.isClosed {
			row["closed_at"], row["closed_by"], row["duration_seconds"] = timeOrNull(t.closed), orNull(t.closedBy), secondsBetween(t.opened, t.closed)
		}
		if t.rating != nil {
			row["rating"] = float64(*t.rating)
		}
		switch {
		case len(t.agents) > 0 && len(t.bots) > 0:
			row["handled_by"] = "bot and agent"
		case len(t.agents) > 0:
			row["handled_by"] = "agent"
		case len(t.bots) > 0:
			row["handled_by"] = "bot"
		default:
			row["handled_by"] = "nobody"
		}
		counts := map[string]int64{"visitor": 0, "agent": 0, "bot": 0, "system": 0}
		var first time.Time
		for _, m := range t.messages {
			side := t.side(m)
			counts[side]++
			if side == "agent" && !m.at.IsZero() && (first.IsZero() || m.at.Before(first)) {
				first = m.at
			}
			if m.reopens && side == "system" {
				row["reopened"] = true
			}
		}
		row["first_agent_message_at"] = timeOrNull(first)
		if withMessages {
			for _, side := range []string{"visitor", "agent", "bot", "system"} {
				row["messages_"+side] = counts[side]
			}
		}
		out = append(out, row)
	}
	return out
}
