package tiledesktest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func (c *contract) messages(t *testing.T) {
	for query, want := range map[string]int{"": 10, "limit=50": 50, "limit=51": 10, "limit=3": 3, "limit=50&page=9999": 0, "limit=2&sort=createdAt&direction=1": 2} {
		check(t, "messages with "+query, len(c.list(t, "/messages?"+query)), want)
	}
	body := c.get(t, "/messages?limit=50")
	check(t, "a bare array", body[0], byte('['))
	last := "9"
	for _, m := range items(t, body) {
		if at := text(m, "createdAt"); at > last {
			t.Errorf("%s after %s", at, last)
		} else {
			last = at
		}
	}
	ids := func(query string) (out string) {
		for _, m := range c.list(t, "/messages?"+query) {
			out += text(m, "_id") + " "
		}
		return out
	}
	c.eventually(t, "a moment without new messages, in which two pages of two are one of four", func() bool {
		return ids("limit=2&page=0")+ids("limit=2&page=1") == ids("limit=4")
	})
	if n := len(c.list(t, "/messages?limit=0")); n < 57 {
		t.Errorf("limit=0: %d messages, and there are 57 at least", n)
	}
	populated := c.list(t, "/messages?limit=1&populate_request=true")[0]
	check(t, "populate_request", text(get(populated, "request"), "request_id"), text(populated, "recipient"))
}

func (c *contract) leads(t *testing.T) {
	email := "lea" + c.run + "@example.com"
	lead := c.want(t, 200, "POST", "/leads", map[string]any{"lead_id": "crm-" + c.run, "fullname": "Lea", "email": email, "attributes": map[string]any{"plan": "pro"}}).body
	id := text(lead, "_id")
	for query, want := range map[string]string{"": "40", "limit=101": "101", "limit=1": "1", "limit=0": "0"} {
		check(t, "perPage for "+query, string(get(c.get(t, "/leads?"+query), "perPage")), want)
	}
	check(t, "among the newest", holdsID(c.list(t, "/leads?limit=20"), id), true)
	check(t, "count by e-mail", string(get(c.get(t, "/leads?email="+email), "count")), "1")
	check(t, "past the end", len(c.list(t, "/leads?page=9999")), 0)

	changed := c.want(t, 200, "PUT", "/leads/"+id, map[string]any{"fullname": "Lea Changed", "company": "Acme", "phone": "+1"}).body
	if when(t, changed, "updatedAt").Before(when(t, lead, "updatedAt")) {
		t.Error("a change does not move updatedAt")
	}
	check(t, "changed", text(c.get(t, "/leads/"+id), "company"), "Acme")
	check(t, "among the last changed", holdsID(c.list(t, "/leads?limit=20&sort=updatedAt&direction=-1"), id), true)
	last := ""
	for _, d := range c.list(t, "/leads?sort=updatedAt&direction=1&limit=500") {
		if at := text(d, "updatedAt"); at < last {
			t.Errorf("%s after %s", at, last)
		} else {
			last = at
		}
	}

	before := c.request(t, c.closed)
	visitor := text(get(before, "lead"), "_id")
	gina := c.want(t, 200, "PUT", "/leads/"+visitor, map[string]any{"fullname": "Gina Changed"}).body
	c.eventually(t, "the lead's change in its requests", func() bool {
		return text(get(get(c.request(t, c.closed), "snapshot"), "lead"), "fullname") == "Gina Changed"
	})
	for _, id := range []string{c.open, c.closed} {
		after := c.request(t, id)
		check(t, "the lead in its request", text(get(after, "lead"), "fullname"), "Gina Changed")
		if when(t, after, "updatedAt").Before(when(t, gina, "updatedAt")) {
			t.Error("the change of a lead does not move its request's updatedAt")
		}
	}
	check(t, "status", string(get(c.request(t, c.closed), "status")), "1000")

	c.want(t, 200, "DELETE", "/leads/"+id, nil)
	check(t, "deleted", string(get(c.get(t, "/leads?email="+email), "count")), "0")
	check(t, "among the deleted", string(get(c.get(t, "/leads?status=1000&email="+email), "count")), "1")
	c.want(t, 200, "DELETE", "/leads/"+id+"/physical", nil)
	r := c.want(t, 404, "GET", "/leads/"+id, nil)
	check(t, "erased", string(r.body), `{"success":false,"msg":"Object not found."}`)
	check(t, "bad id", string(c.want(t, 500, "GET", "/leads/zzz", nil).body), `{"success":false,"msg":"Error getting object."}`)
	if r, err := c.try("GET", c.path("/leads?direction=sideways"), nil, as(c.OwnerToken), 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a bad direction: %d %s %v, want no answer ever", r.status, r.body, err)
	}
}

func (c *contract) wholeLists(t *testing.T) {
	for _, rest := range []string{"/bots", "/bots?all=true", "/faq_kb", "/project_users", "/departments", "/departments/allstatus", "/groups", "/tags", "/canned", "/roles", "/subscriptions"} {
		check(t, rest+" begins with", c.get(t, rest)[0], byte('['))
	}
	for _, rest := range []string{"/bots?all=true", "/project_users", "/departments/allstatus"} {
		sep := "?"
		if strings.Contains(rest, sep) {
			sep = "&"
		}
		c.eventually(t, rest+", the same with limit and page", func() bool {
			return len(c.list(t, rest+sep+"limit=1&page=3")) == len(c.list(t, rest))
		})
	}
	bot := c.want(t, 200, "POST", "/bots", map[string]string{"name": "Bot " + c.run, "type": "internal", "language": "en"}).body
	find := func(rest, id string) []byte {
		for _, d := range c.list(t, rest) {
			if text(d, "_id") == id {
				return d
			}
		}
		return nil
	}
	id := text(bot, "_id")
	check(t, "a new bot's secret, in the answer to its creation", len(text(bot, "secret")), 36)
	check(t, "in the list", text(find("/bots", id), "secret"), "")
	check(t, "listed", text(find("/faq_kb", id), "name"), "Bot "+c.run)
	c.want(t, 200, "DELETE", "/bots/"+id, nil)
	check(t, "after its deletion", string(find("/bots?all=true", id)), "")

	kinds := func(rest string) map[string]int {
		out := map[string]int{}
		for _, d := range c.list(t, rest) {
			out[text(d, "type")]++
		}
		return out
	}
	check(t, "identity bots", kinds("/bots")["identity"], 0)
	if kinds("/bots?all=true")["identity"] == 0 {
		t.Error("all=true shows no identity bot")
	}
	for _, d := range c.list(t, "/project_users") {
		check(t, "role type of the team", string(get(d, "roleType")), "1")
		check(t, "a person", text(get(d, "id_user"), "email") != "", true)
		check(t, "isBusy", string(get(d, "isBusy")), "false")
	}
	guests := c.list(t, "/project_users?role=guest")
	if len(guests) == 0 {
		t.Error("role=guest shows nobody")
	}
	for _, d := range guests {
		check(t, "role", text(d, "role"), "guest")
		check(t, "a guest's person", json.RawMessage(get(d, "id_user")) == nil, true)
		check(t, "a guest's uuid", len(text(d, "uuid_user")), 36)
	}
}

func holdsID(docs []json.RawMessage, id string) bool {
	return slices.ContainsFunc(docs, func(d json.RawMessage) bool { return text(d, "_id") == id })
}
