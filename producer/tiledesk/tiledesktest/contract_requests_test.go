package tiledesktest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func (c *contract) requestLimits(t *testing.T) {
	for query, want := range map[string]string{
		"": "40", "limit=1": "1", "limit=100": "100", "limit=101": "40", "limit=0": "0", "perPage=2": "40", "limit=2.7": "2", "limit=1&perPage=9": "1",
	} {
		body := c.get(t, "/requests?status=all&"+query)
		check(t, "perPage for "+query, string(get(body, "perPage")), want)
		n := len(items(t, body))
		if most, _ := strconv.Atoi(want); most > 0 && n > most {
			t.Errorf("%s: %d requests", query, n)
		}
	}
	mine := "/requests?status=all&lead=" + text(get(c.request(t, c.open), "lead"), "_id") // others may use the server too
	page := func(n int) string {
		return text(c.list(t, fmt.Sprintf("%s&limit=1&page=%d", mine, n))[0], "request_id")
	}
	check(t, "page 0", page(0), c.closed)
	check(t, "page 1", page(1), c.open)
	check(t, "limit=0 gives all", len(c.list(t, mine+"&limit=0")), 2)
	past := c.get(t, mine+"&limit=1&page=2")
	check(t, "past the end", len(items(t, past)), 0)
	check(t, "count past the end", string(get(past, "count")), "2")
	check(t, "count with no_count", string(get(c.get(t, mine+"&limit=1&no_count=true"), "count")), "0")
	for key, want := range map[string]string{"perPage": "1", "count": "", "requests": ""} {
		v := get(c.get(t, "/requests?limit=1"), key)
		if v == nil || want != "" && string(v) != want {
			t.Errorf("%s of the envelope: %s", key, v)
		}
	}
}

func (c *contract) requestFilters(t *testing.T) {
	newest := func(q string) url.Values { v, _ := url.ParseQuery("limit=100&" + q); return v }
	for _, x := range []struct {
		query        string
		open, closed bool
	}{
		{"", true, false}, {"status=all", true, true}, {"status=1000", false, true}, {"status=100,200,1000", true, true}, {"status=abc", true, true},
		{"status=abc,1000", false, true}, {"status=", true, false}, {"status=50", false, false}, {"preflight=true", true, false},
		{"participant=none&status=all", false, false}, {"channel=chat21", true, false}, {"channel=online", true, false}, {"channel=offline", false, false},
		{"priority=medium", true, false}, {"priority=high", false, false}, {"requester_email=gina" + c.run + "%40example.com&status=all", true, true},
	} {
		check(t, "open one with "+x.query, c.has(t, newest(x.query), c.open), x.open)
		check(t, "closed one with "+x.query, c.has(t, newest(x.query), c.closed), x.closed)
	}
	lead := text(get(c.request(t, c.open), "lead"), "_id")
	check(t, "open one by lead", c.has(t, newest("lead="+lead), c.open), true)
	check(t, "count by lead", string(get(c.get(t, "/requests?status=all&limit=1&lead="+lead), "count")), "2")
}

func (c *contract) requestOrder(t *testing.T) {
	ordered := func(query, key string, descending bool) {
		t.Helper()
		last := ""
		for _, d := range c.list(t, "/requests?status=all&preflight=true&limit=100&"+query) {
			at := text(d, key)
			if last != "" && (at > last) == descending && at != last {
				t.Errorf("%s: %s after %s", query, at, last)
			}
			last = at
		}
	}
	ordered("", "createdAt", true)
	ordered("direction=1", "createdAt", false)
	ordered("sort=updatedAt", "updatedAt", true)
	ordered("sort=updatedAt&direction=1", "updatedAt", false)
	ordered("sort=updatedAt&direction=asc", "updatedAt", false)
	ordered("sort=updatedAt&direction=desc", "updatedAt", true)
	for _, direction := range []string{"sideways", "0", "2"} {
		r := c.call(t, "GET", c.path("/requests?direction="+direction), nil, as(c.OwnerToken))
		check(t, "direction="+direction, r.status, 500)
		check(t, "direction="+direction, string(r.body), `{"err":"error"}`)
	}
}

const layout = "02/01/2006 15:04:05"

func (c *contract) requestDates(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	doc := c.request(t, c.closed)
	updated, created := when(t, doc, "updatedAt"), when(t, doc, "createdAt")
	second := updated.Truncate(time.Second)
	query := func(kv ...string) url.Values {
		q := url.Values{"status": {"all"}, "limit": {"100"}, "filterRangeField": {"updatedAt"}, "timezone": {"UTC"}, "sort": {"updatedAt"}}
		for i := 0; i < len(kv); i += 2 {
			q.Set(kv[i], kv[i+1])
			if kv[i+1] == "" {
				q.Del(kv[i])
			}
		}
		return q
	}
	day := second.Format("02/01/2006")
	for _, x := range []struct {
		what string
		q    url.Values
		want bool
	}{
		{"from its second", query("start_date_time", second.Format(layout)), true},
		{"from the next second", query("start_date_time", second.Add(time.Second).Format(layout)), false},
		{"from the minute, without seconds", query("start_date_time", second.Format("02/01/2006 15:04")), true},
		{"up to its second, which cuts off the milliseconds", query("end_date_time", second.Format(layout)), updated.Equal(second)},
		{"up to the next second", query("end_date_time", second.Add(time.Second).Format(layout)), true},
		{"within the second", query("start_date_time", second.Format(layout), "end_date_time", second.Add(time.Second).Format(layout)), true},
		{"Rome by default", query("timezone", "", "start_date_time", second.In(rome).Format(layout)), true},
		{"Rome by default, from the next second", query("timezone", "", "start_date_time", second.Add(time.Second).In(rome).Format(layout)), false},
		{"New York", query("timezone", "Asia/Tokyo", "start_date_time", second.Add(time.Second).Add(9*time.Hour).Format(layout)), false},
		{"createdAt by default", query("filterRangeField", "", "sort", "", "start_date_time", created.Truncate(time.Second).Format(layout)), true},
		{"createdAt by default, later", query("filterRangeField", "", "sort", "", "start_date_time", created.Add(time.Second).Truncate(time.Second).Format(layout)), false},
		{"closed_at", query("filterRangeField", "closed_at", "start_date_time", when(t, doc, "closed_at").Truncate(time.Second).Format(layout)), true},
		{"its day", query("start_date", day, "end_date", day), true},
		{"from the next day", query("start_date", second.AddDate(0, 0, 1).Format("02/01/2006")), false},
		{"up to the day before", query("end_date", second.AddDate(0, 0, -1).Format("02/01/2006")), false},
		{"start_date goes before start_date_time", query("start_date", day, "start_date_time", second.AddDate(1, 0, 0).Format(layout)), true},
		{"YYYY/MM/DD is misread: far in the past", query("start_date_time", "2026/11/22 15:09:56"), true},
		{"YYYY/MM/DD is misread: nothing so old", query("end_date_time", "2026/11/22 15:09:56"), false},
		{"ISO", query("start_date_time", second.Format(stampLayout)), true},
		{"ISO, the next second", query("start_date_time", second.Add(time.Second).Format(stampLayout)), false},
		{"ISO, its Z unread", query("timezone", "", "start_date_time", second.In(rome).Format("2006-01-02T15:04:05Z")), true},
	} {
		check(t, x.what, c.has(t, x.q, c.closed), x.want)
	}
	misread := c.get(t, "/requests?"+query("end_date_time", "2026/11/22 15:09:56").Encode())
	check(t, "count up to November 2022", string(get(misread, "count")), "0")
	for rest, want := range map[string]string{
		"start_date=garbage":                     `{"success":false,"error":"Unable to parse the date: garbage with timezone: Europe/Rome"}`,
		"end_date_time=garbage&timezone=UTC":     `{"success":false,"error":"Unable to parse the date: garbage with timezone: UTC"}`,
		"start_date=01/01/2026&timezone=Mars/X":  `{"success":false,"error":"Invalid timezone: Mars/X. Please use a valid IANA timezone (e.g., \"Europe/Rome\", \"America/New_York\")"}`,
		"start_date_time=99%2F99%2F9999+99%3A99": `{"success":false,"error":"Unable to parse the date: 99/99/9999 99:99 with timezone: Europe/Rome"}`,
	} {
		r := c.call(t, "GET", c.path("/requests?"+rest), nil, as(c.OwnerToken))
		check(t, rest, r.status, 500)
		check(t, rest, string(r.body), want)
	}
}

func (c *contract) requestForms(t *testing.T) {
	lead := text(get(c.request(t, c.open), "lead"), "_id")
	full := c.list(t, "/requests?lead="+lead)[0]
	slim := c.list(t, "/requests?no_populate=true&lead="+lead)[0]
	for _, key := range []string{"lead", "requester", "department"} {
		id := text(get(full, key), "_id")
		check(t, key+" populated", len(id), 24)
		check(t, key+" not populated", text(slim, key), id)
	}
	for _, key := range []string{"participatingAgents", "participatingBots"} {
		check(t, key+" populated", strings.HasPrefix(string(get(full, key)), "["), true)
		check(t, key+" not populated", string(get(slim, key)), "")
	}
	for _, doc := range [][]byte{full, slim, c.request(t, c.open)} {
		check(t, "id", text(doc, "id"), text(doc, "_id"))
		check(t, "requester_id", text(doc, "requester_id"), lead)
		check(t, "request_id", text(doc, "request_id"), c.open)
		check(t, "id_project", text(doc, "id_project"), c.ProjectID)
		check(t, "last message", text(get(get(doc, "attributes"), "last_message"), "text"), "message 53")
		check(t, "snapshot.lead", text(get(get(doc, "snapshot"), "lead"), "_id"), lead)
	}
	r := c.call(t, "GET", c.path("/requests/nope"), nil, as(c.OwnerToken))
	check(t, "unknown request", r.status, 404)
	check(t, "unknown request", string(r.body), `{"success":false,"msg":"Object not found."}`)
	check(t, "messages of an unknown request", string(c.get(t, "/requests/nope/messages")), "[]")
	messages := c.conversation(t, c.open)
	check(t, "messages, all at once", len(messages), 55)
	last := ""
	for _, m := range messages {
		if at := text(m, "createdAt"); at < last {
			t.Errorf("%s after %s", at, last)
		} else {
			last = at
		}
		check(t, "recipient", text(m, "recipient"), c.open)
	}
}
