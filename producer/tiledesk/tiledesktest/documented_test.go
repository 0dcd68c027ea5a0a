package tiledesktest

import (
	"fmt"
	"net/http"
	"testing"
)

func TestDocumented(t *testing.T) {
	for _, first := range []int{0, 1} {
		s, c := serve(t, Options{Documented: true, FirstPage: first})
		for i := range 5 {
			at := fmt.Sprintf("2026-01-01T00:00:0%d.000Z", i)
			doc := map[string]any{"_id": fmt.Sprintf("6b0300000000000000000%03d", i), "recipient": "r", "text": fmt.Sprint(i), "createdAt": at, "updatedAt": at}
			if err := s.Put("messages", doc); err != nil {
				t.Fatal(err)
			}
		}
		token := c.OwnerToken[len("JWT "):]
		headers := http.Header{"X-Project-Id": {c.ProjectID}, "X-Auth-Token": {token}}
		at := func(rest string) string { return c.URL + "/projects/" + c.ProjectID + rest }
		page := func(n int) reply {
			return c.call(t, "GET", at(fmt.Sprintf("/messages?perPage=2&page=%d", n)), nil, headers)
		}
		for i, want := range []string{"4", "2", "0"} {
			r := page(first + i)
			check(t, "newest of the page", text(items(t, r.body)[0], "text"), want)
			check(t, "total", string(get(r.body, "total")), "5")
			check(t, "page", string(get(r.body, "page")), fmt.Sprint(first+i))
			check(t, "perPage", string(get(r.body, "perPage")), "2")
		}
		check(t, "past the end", len(items(t, page(first+3).body)), 0)
		for _, name := range []string{"messages", "requests", "bots", "members", "conversations"} {
			r := c.call(t, "GET", at("/"+name), nil, as("Bearer "+token))
			check(t, name, r.status, 200)
			if get(r.body, name) == nil {
				t.Errorf("%s: %s", name, r.body)
			}
		}
		agent := c.AgentToken[len("JWT "):]
		for what, x := range map[string]struct {
			path   string
			header http.Header
			status int
		}{
			"no credential":   {at("/requests"), nil, 401},
			"a wrong token":   {at("/requests"), as("Bearer x"), 401},
			"no x-project-id": {at("/requests"), http.Header{"X-Auth-Token": {token}}, 401},
			"an agent":        {at("/messages"), as("Bearer " + agent), 403},
			"no such list":    {at("/nope"), headers, 404},
			"no such project": {c.URL + "/projects/x/requests", headers, 404},
			"a v3 path":       {c.path("/requests"), as(c.OwnerToken), 404},
		} {
			check(t, what, c.call(t, "GET", x.path, nil, x.header).status, x.status)
		}
	}
}
