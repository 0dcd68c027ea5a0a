package tiledesktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestShapes asks the stand-in what the real server was once asked, after the same calls that had filled that one, and
// compares the answers' members and their JSON types with the recorded ones, whatever their order.
func TestShapes(t *testing.T) {
	now := time.Date(2026, 11, 22, 15, 17, 0, 0, time.UTC)
	s := New(Options{Clock: func() time.Time { now = now.Add(time.Millisecond); return now }})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c := &contract{Target: Target{srv.URL, s.ID, s.Owner.Token, s.Agent.Token, s.Owner.Email, s.Owner.Password}}
	seed(t, c, s)

	for file, rest := range map[string]string{
		"requests_default":          "/requests?limit=3",
		"requests_all_page1":        "/requests?status=all&preflight=true&limit=5&page=1",
		"requests_closed":           "/requests?status=1000&limit=3",
		"requests_no_populate":      "/requests?status=all&preflight=true&limit=3&no_populate=true",
		"request_detail":            "/requests/case-000",
		"request_messages":          "/requests/case-003/messages",
		"messages_page0":            "/messages?page=0",
		"messages_populate_request": "/messages?limit=2&populate_request=true",
		"leads_page0":               "/leads?limit=10&page=0",
		"bots_all":                  "/bots?all=true",
		"project_users":             "/project_users",
		"project_users_guests":      "/project_users?role=guest",
		"departments":               "/departments",
		"groups":                    "/groups",
		"tags":                      "/tags",
		"canned":                    "/canned",
		"subscriptions":             "/subscriptions",
		"projects":                  "",
	} {
		t.Run(file, func(t *testing.T) {
			recorded, err := os.ReadFile(filepath.Join("testdata", file+".json"))
			if err != nil {
				t.Fatal(err)
			}
			address := c.path(rest)
			if rest == "" {
				address = c.URL + "/projects"
			}
			got := c.call(t, "GET", address, nil, as(c.OwnerToken))
			if diff := cmp.Diff(shape(t, recorded), shape(t, got.body)); diff != "" {
				t.Errorf("%s (-recorded +stand-in):\n%s", rest, diff)
			}
		})
	}
}

// seed makes the calls that the recorded server was filled with.
func seed(t *testing.T, c *contract, s *Server) {
	t.Helper()
	for _, name := range []string{"Order Bot", "Refund Bot", "Welcome Bot"} {
		c.want(t, 200, "POST", "/bots", map[string]string{"name": name, "type": "internal", "language": "en", "description": name})
	}
	c.want(t, 200, "POST", "/subscriptions", map[string]string{"event": "request.create", "target": "http://127.0.0.1:3990/hook"})
	s.mu.Lock()
	owner := s.emails[s.Owner.Email]
	billing := s.newDepartment("Billing", "pooled", false, owner.ID, s.now())
	s.mu.Unlock()
	put := func(collection string, doc any) {
		t.Helper()
		if err := s.Put(collection, doc); err != nil {
			t.Fatal(err)
		}
	}
	put("departments", billing)
	at := "2026-11-22T15:17:17.000Z"
	put("groups", map[string]any{"_id": "6b03077e47602e631f56f4c2", "name": "Level 2", "members": []string{owner.ID}, "enabled": true, "trashed": false,
		"id_project": c.ProjectID, "createdBy": owner.ID, "createdAt": at, "updatedAt": at, "__v": 0})
	put("tags", map[string]any{"_id": "6b03077e47602e631f56f4f1", "tag": "vip", "color": "#00aa00", "id_project": c.ProjectID, "createdBy": owner.ID,
		"createdAt": at, "updatedAt": at, "__v": 0})
	put("canned", map[string]any{"_id": "6b03077e47602e631f56f4f7", "status": 100, "title": "hi", "text": "Hello", "shared": true,
		"id_project": c.ProjectID, "createdBy": owner.ID, "createdAt": at, "updatedAt": at, "__v": 0})

	lines := []string{"Hello, where is my order?", "The invoice is wrong", "I cannot log in", "Perché non funziona? 🙁", "Please cancel my plan"}
	for i := range 25 {
		guest := text(c.call(t, "POST", c.URL+"/auth/signinAnonymously", map[string]string{
			"id_project": c.ProjectID, "firstname": fmt.Sprint("Guest ", i), "lastname": "Visitor", "email": fmt.Sprintf("guest%d@example.com", i)}, nil).body, "token")
		id := fmt.Sprintf("case-%03d", i)
		for m := range 4 {
			body := map[string]any{"text": lines[(i+m)%len(lines)], "attributes": map[string]any{"seq": m}}
			if m == 0 {
				maps.Copy(body, map[string]any{"sourcePage": "https://shop.example.com/cart", "language": "en", "userAgent": "seed/1.0", "subject": fmt.Sprint("Case ", i),
					"attributes": map[string]any{"seq": m, "ref": map[string]any{"order": 1000 + i, "items": []string{"a", "b"}}}})
				if i%3 == 0 {
					body["departmentid"] = text(billing, "_id")
				}
			}
			if m == 3 && i%4 == 0 {
				maps.Copy(body, map[string]any{"type": "image", "metadata": map[string]any{"src": "https://shop.example.com/a.png", "width": 20, "height": 10}})
			}
			token := c.OwnerToken
			if m%2 == 0 {
				token = guest
			}
			if r := c.call(t, "POST", c.path("/requests/"+id+"/messages"), body, as(token)); r.status != 200 {
				t.Fatalf("message %d of %s: %d %s", m, id, r.status, r.body)
			}
		}
		switch i % 5 {
		case 1:
			c.want(t, 200, "PUT", "/requests/"+id+"/tag", []any{map[string]string{"tag": "vip", "color": "#00aa00"}})
		case 2:
			c.want(t, 200, "POST", "/requests/"+id+"/notes", map[string]string{"text": "call back tomorrow"})
		case 3:
			c.want(t, 200, "PATCH", "/requests/"+id, map[string]any{"rating": 4, "rating_message": "good"})
		}
		if i%4 == 3 {
			c.want(t, 200, "PUT", "/requests/"+id+"/close", map[string]any{})
			now := s.now()
			for s.now() < now+2*notice { // the clock moves when it is read
			}
		}
	}
}

// shape lists the members of a body by path, each with the JSON types it has.
func shape(t *testing.T, body []byte) map[string]string {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	types := map[string][]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		kind := "null"
		switch x := v.(type) {
		case map[string]any:
			kind = "object"
			for k, member := range x {
				walk(path+"."+k, member)
			}
		case []any:
			kind = "array"
			for _, item := range x {
				walk(path+"[]", item)
			}
		case string:
			kind = "string"
			if _, err := time.Parse(stampLayout, x); err == nil {
				kind = "time"
			} else if objectID.MatchString(x) {
				kind = "id"
			}
		case float64:
			kind = "number"
		case bool:
			kind = "boolean"
		}
		if !slices.Contains(types[path], kind) {
			types[path] = append(types[path], kind)
		}
	}
	walk("", v)
	out := map[string]string{}
	for path, kinds := range types {
		slices.Sort(kinds)
		out[path] = strings.Join(kinds, " or ")
	}
	return out
}
