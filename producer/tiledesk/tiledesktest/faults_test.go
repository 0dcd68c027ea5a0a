package tiledesktest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// serve starts a stand-in on a socket.
func serve(t *testing.T, o Options) (*Server, *contract) {
	t.Helper()
	s := New(o)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, &contract{Target: Target{srv.URL, s.ID, s.Owner.Token, s.Agent.Token, s.Owner.Email, s.Owner.Password}}
}

func TestFaults(t *testing.T) {
	s, c := serve(t, Options{})
	try := func(rest string) (reply, error) {
		return c.try("GET", c.path(rest), nil, as(c.OwnerToken), 2*time.Second)
	}
	status := func(rest string, want int) reply {
		t.Helper()
		r, err := try(rest)
		if err != nil || r.status != want {
			t.Errorf("%s: %d %v, want %d", rest, r.status, err, want)
		}
		return r
	}

	s.Fail(Fault{Path: "tags", Skip: 1, Times: 2, Status: 503, Body: "later", Type: "text/plain", Header: http.Header{"Retry-After": {"7"}}})
	status("/tags", 200)
	status("/groups", 200)
	r := status("/tags", 503)
	check(t, "Retry-After", r.header.Get("Retry-After"), "7")
	check(t, "body", string(r.body), "later")
	status("/tags", 503)
	status("/tags", 200)
	check(t, "calls to tags", s.Calls("tags"), 4)
	check(t, "calls in all", s.Calls(""), 5)

	s.Fail(Fault{Path: "requests/*/messages", Times: 2, Cut: true}) // Go's transport tries again by itself, once
	if _, err := try("/requests/x/messages"); err == nil {
		t.Error("a cut connection gives no error")
	}
	s.Fail(Fault{Path: "project_users", Times: 1, Half: true})
	if r, err := try("/project_users"); !errors.Is(err, io.ErrUnexpectedEOF) || len(r.body) == 0 {
		t.Errorf("half a body: %d bytes, %v", len(r.body), err)
	}
	s.Fail(Fault{Times: 1, Hang: true})
	if r, err := c.try("GET", c.path("/tags"), nil, as(c.OwnerToken), 50*time.Millisecond); err == nil {
		t.Errorf("a hanging call ends with %d", r.status)
	}
	s.Fail(Fault{Path: "leads", Status: 302, Header: http.Header{"Location": {"http://elsewhere.example.com/"}}})
	check(t, "Location", status("/leads", 302).header.Get("Location"), "http://elsewhere.example.com/")
	status("/leads", 302)
	s.Heal()
	status("/leads", 200)

	s.Revoke()
	status("/leads", 401)
	c.OwnerToken = s.Owner.Token
	status("/leads", 200)
}

func TestRateLimit(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 20, 0, time.UTC)
	_, c := serve(t, Options{Clock: func() time.Time { return now }, RequestsPerMinute: 2, RetryAfter: true})
	want := func(status int) reply {
		t.Helper()
		r := c.call(t, "GET", c.path("/tags"), nil, as(c.OwnerToken))
		check(t, "status", r.status, status)
		return r
	}
	check(t, "Date", want(200).header.Get("Date"), "Thu, 01 Jan 2026 12:00:20 GMT")
	want(200)
	check(t, "Retry-After", want(429).header.Get("Retry-After"), "40")
	now = now.Add(40 * time.Second)
	want(200)
}

// TestLateWrites checks that what is late shows late, with the time of its writing.
func TestLateWrites(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s, c := serve(t, Options{Clock: func() time.Time { return now }, Late: 300 * time.Millisecond})
	c.post(t, "a", "one", c.OwnerToken)
	c.post(t, "a", "two", c.OwnerToken)
	check(t, "requests at once", len(c.list(t, "/requests")), 0)
	check(t, "messages at once", len(c.conversation(t, "a")), 0)
	now = now.Add(300 * time.Millisecond)
	check(t, "messages later", len(c.conversation(t, "a")), 2)
	check(t, "createdAt", text(c.list(t, "/requests")[0], "createdAt"), "2026-01-01T12:00:00.000Z")

	doc := map[string]any{"_id": "6b0300000000000000000abc", "tag": "late", "createdAt": "2026-01-01T11:00:00.000Z", "updatedAt": "2026-01-01T11:00:00.000Z"}
	if err := s.PutAt(now.Add(time.Second), "tags", doc); err != nil {
		t.Fatal(err)
	}
	check(t, "tags at once", len(c.list(t, "/tags")), 0)
	now = now.Add(time.Second)
	check(t, "tags later", len(c.list(t, "/tags")), 1)

	c.want(t, 200, "PUT", "/requests/a/close", nil)
	check(t, "messages before the notice", len(c.conversation(t, "a")), 2)
	now = now.Add(notice * time.Millisecond)
	check(t, "messages with the notice", len(c.conversation(t, "a")), 3)
}

// TestPut puts a body that the API sent, and finds it there again.
func TestPut(t *testing.T) {
	clock := Options{Clock: func() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }}
	source, c := serve(t, clock)
	c.post(t, "a", "hello", c.OwnerToken)
	c.post(t, "a", "again", c.OwnerToken)
	copied, d := serve(t, clock)
	for _, name := range []string{"requests", "messages"} {
		for _, doc := range source.Docs(name) {
			if err := copied.Put(name, doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(t, "message", string(d.get(t, "/messages")), string(c.get(t, "/messages")))
	a, b := d.request(t, "a"), c.request(t, "a")
	for _, key := range []string{"lead", "requester", "department", "snapshot", "updatedAt", "requester_id", "id"} {
		check(t, key, string(get(a, key)), string(get(b, key)))
	}
	check(t, "deleted", copied.Delete("requests", text(a, "_id")), true)
	check(t, "deleted twice", copied.Delete("requests", text(a, "_id")), false)
	d.want(t, 404, "GET", "/requests/a", nil)
	for collection, doc := range map[string]any{"nope": "{}", "tags": `{"tag":"no id"}`, "leads": "[]", "bots": "{"} {
		if err := copied.Put(collection, doc); err == nil {
			t.Errorf("put %v into %s: no error", doc, collection)
		}
	}
	if err := copied.Put("requests", `{"_id":"6b0300000000000000000abc","request_id":"b","status":100,"preflight":true,"createdAt":"2026-01-01T00:00:00.000Z"}`); err != nil {
		t.Fatal(err)
	}
	check(t, "without preflight=true", len(d.list(t, "/requests?status=all")), 0)
	check(t, "with it", len(d.list(t, "/requests?status=all&preflight=true")), 1)
}

// TestProjects checks that one project's credential opens no other.
func TestProjects(t *testing.T) {
	s, c := serve(t, Options{})
	other := s.AddProject("6b0300000000000000000002", "Other")
	r := c.call(t, "GET", c.URL+"/"+other.ID+"/tags", nil, as(c.OwnerToken))
	check(t, "status", r.status, 403)
	check(t, "body", string(r.body), `{"success":false,"msg":"you dont belong to the project."}`)
	check(t, "its own", c.call(t, "GET", c.URL+"/"+other.ID+"/messages", nil, as(other.Owner.Token)).status, 200)
}

// TestVisibility checks who sees which requests: owners all, an agent those it takes part in or could have taken.
func TestVisibility(t *testing.T) {
	s, c := serve(t, Options{})
	agent := text(get(s.Docs("project_users")[1], "id_user"), "_id")
	for id, participants := range map[string][]string{"6b0300000000000000000aaa": {agent}, "6b0300000000000000000bbb": {}} {
		if err := s.Put("requests", map[string]any{"_id": id, "request_id": id, "status": 200, "participants": participants, "createdAt": "2026-01-01T00:00:00.000Z"}); err != nil {
			t.Fatal(err)
		}
	}
	c.post(t, "candidate", "hello", c.OwnerToken)
	check(t, "owner", len(c.list(t, "/requests")), 3)
	check(t, "agent", len(items(t, c.call(t, "GET", c.path("/requests"), nil, as(c.AgentToken)).body)), 2)
	check(t, "guest", len(items(t, c.call(t, "GET", c.path("/requests"), nil, as(c.visitor(t, "A", "B"))).body)), 0)
}

// TestLateInOrder has the clock pass the time of a late write while another write to the same request is under way.
func TestLateInOrder(t *testing.T) {
	for late := range 40 {
		var at int64 = 1_800_000_000_000
		_, c := serve(t, Options{Clock: func() time.Time { at++; return time.UnixMilli(at) }, Late: time.Duration(late) * time.Millisecond})
		for _, text := range []string{"one", "two"} {
			check(t, text, c.call(t, "POST", c.path("/requests/a/messages"), map[string]string{"text": text}, as(c.OwnerToken)).status, 200)
		}
		at += 1000
		check(t, "messages", len(c.list(t, "/messages")), 2)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	s, c := serve(t, Options{Late: time.Millisecond})
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b", "c"} {
		wg.Go(func() {
			for range 20 {
				for _, x := range []struct {
					method, rest string
					body         any
				}{
					{"POST", "/requests/" + id + "/messages", map[string]string{"text": "x"}}, {"GET", "/requests?sort=updatedAt&limit=2", nil},
					{"GET", "/messages", nil}, {"PUT", "/requests/" + id + "/close", nil},
				} {
					if _, err := c.try(x.method, c.path(x.rest), x.body, as(c.OwnerToken), 20*time.Second); err != nil {
						t.Error(err)
					}
				}
				_ = s.Docs("requests")
			}
		})
	}
	wg.Wait()
	check(t, "messages", len(c.list(t, "/messages?limit=0")) >= 60, true)
}
