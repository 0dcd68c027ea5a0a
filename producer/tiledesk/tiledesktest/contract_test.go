package tiledesktest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"tilestream/internal/e2e"
)

// Target is a server that the contract is checked on.
type Target struct {
	URL, ProjectID         string
	OwnerToken, AgentToken string
	Email, Password        string // the owner's
}

func TestContract(t *testing.T) {
	s := New(Options{})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	Contract(t, Target{srv.URL, s.ID, s.Owner.Token, s.Agent.Token, s.Owner.Email, s.Owner.Password})
}

func TestContractOfTheRealServer(t *testing.T) {
	Contract(t, Target{
		strings.TrimRight(e2e.Alone(t, "TEST_TILEDESK_URL"), "/"), os.Getenv("TEST_TILEDESK_PROJECT_ID"),
		os.Getenv("TEST_TILEDESK_TOKEN"), os.Getenv("TEST_TILEDESK_AGENT_TOKEN"),
		os.Getenv("TEST_TILEDESK_EMAIL"), os.Getenv("TEST_TILEDESK_PASSWORD"),
	})
}

// Contract checks every point of the API that the client relies on. It makes what it needs and takes away what the API
// lets it, so it may run again on the same server.
func Contract(t *testing.T, target Target) {
	c := &contract{Target: target, run: fmt.Sprint(time.Now().UnixNano())}
	c.prepare(t)
	t.Run("sign in", c.signIn)
	t.Run("credentials", c.credentials)
	t.Run("subscription credential", c.subscription)
	t.Run("roles", c.roles)
	t.Run("paths", c.paths)
	t.Run("headers", c.headers)
	t.Run("requests: limits", c.requestLimits)
	t.Run("requests: filters", c.requestFilters)
	t.Run("requests: order", c.requestOrder)
	t.Run("requests: dates", c.requestDates)
	t.Run("requests: forms", c.requestForms)
	t.Run("messages", c.messages)
	t.Run("leads", c.leads)
	t.Run("whole lists", c.wholeLists)
	t.Run("a message moves its request", c.messageMoves)
	t.Run("a closing", c.closing)
	t.Run("small changes move a request", c.smallChanges)
	t.Run("a deletion", c.deletion)
}

// contract is one run: a few requests of its own, among whatever else the server holds.
type contract struct {
	Target
	run    string // makes names that no other run has used
	guest  string // token of a visitor
	open   string // request_id with 55 messages
	closed string // request_id of one that is closed
}

func (c *contract) prepare(t *testing.T) {
	t.Helper()
	c.guest = c.visitor(t, "Gina", "Contract")
	c.open, c.closed = c.newRequest(t, "open"), c.newRequest(t, "closed")
	for i := range 54 {
		c.post(t, c.open, fmt.Sprintf("message %d", i), c.OwnerToken)
	}
	c.want(t, 200, "PUT", "/requests/"+c.closed+"/close", nil)
	c.eventually(t, "the notice of the closing", func() bool { return len(c.conversation(t, c.closed)) == 2 })
}

func (c *contract) visitor(t *testing.T, first, last string) string {
	t.Helper()
	r := c.call(t, "POST", c.URL+"/auth/signinAnonymously", map[string]string{
		"id_project": c.ProjectID, "firstname": first, "lastname": last, "email": "gina" + c.run + "@example.com"}, nil)
	token := text(r.body, "token")
	if r.status != 200 || !strings.HasPrefix(token, "JWT ") {
		t.Fatalf("signinAnonymously: %d %s", r.status, r.body)
	}
	return token
}

// newRequest makes a request that the test's end takes away.
func (c *contract) newRequest(t *testing.T, name string) string {
	t.Helper()
	id := fmt.Sprintf("support-group-%s-%s-%s", c.ProjectID, name, c.run)
	c.post(t, id, "Hello from "+name, c.guest)
	t.Cleanup(func() { c.call(t, "DELETE", c.path("/requests/"+id), nil, as(c.OwnerToken)) })
	return id
}

// post sends a message and returns it.
func (c *contract) post(t *testing.T, request, line, token string) []byte {
	t.Helper()
	r := c.call(t, "POST", c.path("/requests/"+request+"/messages"), map[string]any{"text": line, "language": "it", "attributes": map[string]any{"n": 1}}, as(token))
	if r.status != 200 {
		t.Fatalf("post a message: %d %s", r.status, r.body)
	}
	return r.body
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func (c *contract) path(rest string) string { return c.URL + "/" + c.ProjectID + rest }

func as(token string) http.Header { return http.Header{"Authorization": {token}} }

// call makes a call and reads the answer; redirects are not followed.
func (c *contract) call(t *testing.T, method, address string, body any, header http.Header) reply {
	t.Helper()
	r, err := c.try(method, address, body, header, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (c *contract) try(method, address string, body any, header http.Header, patience time.Duration) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(encode(body))
	}
	req, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return reply{}, err
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, b}, err
}

// want makes a call as the owner and checks the status.
func (c *contract) want(t *testing.T, status int, method, rest string, body any) reply {
	t.Helper()
	r := c.call(t, method, c.path(rest), body, as(c.OwnerToken))
	if r.status != status {
		t.Fatalf("%s %s: %d %.300s, want %d", method, rest, r.status, r.body, status)
	}
	return r
}

// get reads a list as the owner.
func (c *contract) get(t *testing.T, rest string) []byte {
	t.Helper()
	return c.want(t, 200, "GET", rest, nil).body
}

// items are the documents of a list: a bare array, or the one in an envelope.
func items(t *testing.T, body []byte) []json.RawMessage {
	t.Helper()
	if len(body) > 0 && body[0] == '{' {
		for _, v := range fields(body) {
			if v[0] == '[' {
				body = v
			}
		}
	}
	var out []json.RawMessage
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("not a list: %v: %.200s", err, body)
	}
	return out
}

func (c *contract) list(t *testing.T, rest string) []json.RawMessage {
	t.Helper()
	return items(t, c.get(t, rest))
}

func (c *contract) conversation(t *testing.T, request string) []json.RawMessage {
	t.Helper()
	return c.list(t, "/requests/"+request+"/messages")
}

func (c *contract) request(t *testing.T, id string) []byte {
	t.Helper()
	return c.get(t, "/requests/"+id)
}

// has reports whether a list of requests holds one.
func (c *contract) has(t *testing.T, query url.Values, request string) bool {
	t.Helper()
	for _, d := range c.list(t, "/requests?"+query.Encode()) {
		if text(d, "request_id") == request {
			return true
		}
	}
	return false
}

// eventually waits for what the server does after it has answered.
func (c *contract) eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func when(t *testing.T, doc []byte, key string) time.Time {
	t.Helper()
	at, err := time.Parse(stampLayout, text(doc, key))
	if err != nil {
		t.Errorf("%s of %.200s: %v", key, doc, err)
	}
	return at
}
