package tiledesktest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func (c *contract) signIn(t *testing.T) {
	r := c.call(t, "POST", c.URL+"/auth/signin", map[string]string{"email": c.Email, "password": c.Password}, nil)
	token := text(r.body, "token")
	check(t, "status", r.status, 200)
	check(t, "success", string(get(r.body, "success")), "true")
	check(t, "email of the user", text(get(r.body, "user"), "email"), c.Email)
	scheme, jwt, _ := strings.Cut(token, " ")
	check(t, "scheme in the token", scheme, "JWT")
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	head, _ := base64.RawURLEncoding.DecodeString(parts[0])
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	check(t, "alg", text(head, "alg"), "HS256")
	check(t, "aud", text(body, "aud"), issuer)
	check(t, "iss", text(body, "iss"), issuer)
	check(t, "sub", text(body, "sub"), "user")
	if get(body, "exp") != nil || get(body, "iat") == nil {
		t.Error("the token's claims have exp, or no iat")
	}
	check(t, "call with the token as it is", c.call(t, "GET", c.path("/tags"), nil, as(token)).status, 200)
	check(t, "call with a lower-case scheme", c.call(t, "GET", c.path("/tags"), nil, as("jwt "+jwt)).status, 200)

	for what, body := range map[string]map[string]string{
		"wrong password": {"email": c.Email, "password": "no"}, "unknown e-mail": {"email": "nobody" + c.run + "@example.com", "password": "no"},
	} {
		r := c.call(t, "POST", c.URL+"/auth/signin", body, nil)
		check(t, what, r.status, 401)
		check(t, what+": success", string(get(r.body, "success")), "false")
		if !strings.HasPrefix(text(r.body, "msg"), "Authentication failed. ") {
			t.Errorf("%s: %s", what, r.body)
		}
	}
	check(t, "empty sign-in", c.call(t, "POST", c.URL+"/auth/signin", map[string]string{}, nil).status, 422)
}

func (c *contract) credentials(t *testing.T) {
	bare := strings.TrimPrefix(c.OwnerToken, "JWT ")
	basic := func(password string) http.Header {
		return as("Basic " + base64.StdEncoding.EncodeToString([]byte(c.Email+":"+password)))
	}
	for _, x := range []struct {
		what   string
		header http.Header
		status int
		body   string
	}{
		{"none", nil, 401, "Unauthorized"},
		{"a broken token", as(c.OwnerToken + "x"), 401, "Unauthorized"},
		{"Bearer", as("Bearer " + bare), 401, "Unauthorized"},
		{"x-auth-token", http.Header{"X-Project-Id": {c.ProjectID}, "X-Auth-Token": {bare}}, 401, "Unauthorized"},
		{"a token without a scheme", as(bare), 400, "Bad Request"},
		{"Basic, wrong password", basic("wrong"), 401, "Unauthorized"},
		{"Basic", basic(c.Password), 200, ""},
	} {
		r := c.call(t, "GET", c.path("/requests?limit=1"), nil, x.header)
		check(t, x.what, r.status, x.status)
		if x.body != "" {
			check(t, x.what+": body", string(r.body), x.body)
			check(t, x.what+": content type", r.header.Get("Content-Type"), "")
		}
		if x.status == 401 {
			check(t, x.what+": challenge", r.header.Get("WWW-Authenticate"), `Basic realm="Users"`)
		}
	}
	r := c.call(t, "GET", c.path("/requests?secret_token="+bare), nil, nil)
	check(t, "secret_token alone", r.status, 403)
	check(t, "secret_token alone: body", string(r.body), `{"success":false,"msg":"Unauthorized."}`)
}

func (c *contract) subscription(t *testing.T) {
	r := c.want(t, 200, "POST", "/subscriptions", map[string]string{"event": "lead.create", "target": "http://127.0.0.1:9/" + c.run})
	id, secret := text(r.body, "_id"), r.header.Get("x-hook-secret")
	if id == "" || secret == "" {
		t.Fatalf("a subscription without _id or x-hook-secret: %s", r.body)
	}
	token := "JWT " + sign(claims{ID: id, ProjectID: c.ProjectID, Subject: "subscription", Audience: issuer + "/subscriptions/" + id, Issuer: issuer}, secret)
	read := func(rest string) int { return c.call(t, "GET", c.path(rest), nil, as(token)).status }
	for _, rest := range []string{"/requests?status=all", "/requests/" + c.open + "/messages", "/requests/" + c.open, "/leads", "/bots?all=true", "/project_users",
		"/departments/allstatus", "/groups", "/tags"} {
		check(t, rest, read(rest), 200)
	}
	for _, rest := range []string{"/messages", "/subscriptions", "/canned", "/roles"} {
		r := c.call(t, "GET", c.path(rest), nil, as(token))
		check(t, rest, r.status, 403)
		check(t, rest, string(r.body), `{"success":false,"msg":"you dont belong to the project."}`)
	}
	check(t, "/projects", string(c.call(t, "GET", c.URL+"/projects", nil, as(token)).body), "[]")
	lead := text(get(c.request(t, c.open), "lead"), "_id")
	check(t, "requests that it sees", string(get(c.call(t, "GET", c.path("/requests?status=all&lead="+lead), nil, as(token)).body, "count")), "2")

	listed := false
	for _, d := range c.list(t, "/subscriptions") {
		listed = listed || text(d, "_id") == id
		check(t, "the list tells the secret", text(d, "secret"), "")
	}
	check(t, "listed", listed, true)
	c.want(t, 200, "DELETE", "/subscriptions/"+id, nil)
	check(t, "after its deletion", read("/requests"), 401)
}

func (c *contract) roles(t *testing.T) {
	for _, rest := range []string{"/messages", "/subscriptions"} {
		r := c.call(t, "GET", c.path(rest), nil, as(c.AgentToken))
		check(t, "agent: "+rest, r.status, 403)
		check(t, "agent: "+rest, string(r.body), `{"success":false,"msg":"you dont have the required role."}`)
	}
	for _, rest := range []string{"/requests", "/leads", "/bots", "/project_users", "/departments/allstatus", "/groups", "/tags", "/canned", "/requests/" + c.open + "/messages"} {
		check(t, "agent: "+rest, c.call(t, "GET", c.path(rest), nil, as(c.AgentToken)).status, 200)
	}
	check(t, "guest: /project_users", c.call(t, "GET", c.path("/project_users"), nil, as(c.guest)).status, 403)
	check(t, "guest: one request", c.call(t, "GET", c.path("/requests/"+c.open), nil, as(c.guest)).status, 403)
	check(t, "nobody: /departments", c.call(t, "GET", c.path("/departments"), nil, nil).status, 200)
	check(t, "nobody: /departments/allstatus", c.call(t, "GET", c.path("/departments/allstatus"), nil, nil).status, 401)
	for _, d := range items(t, c.call(t, "GET", c.path("/bots?all=true"), nil, as(c.AgentToken)).body) {
		for _, gone := range hiddenFromAgents {
			if get(d, gone) != nil {
				t.Errorf("an agent sees a bot's %s", gone)
			}
		}
		check(t, "a bot not for agents", string(get(d, "agents_available")) == "false", false)
	}
}

func (c *contract) paths(t *testing.T) {
	for _, x := range []struct {
		path, body string
		status     int
	}{
		{"/abc/requests", `{"error":"Invalid project id: abc"}`, 400},
		{"/5ab0f32757066e0014bfd718/requests", `{"error":"Project not found with id: 5ab0f32757066e0014bfd718"}`, 400},
		{"/projects/" + c.ProjectID + "/messages", `{"error":"Invalid project id: projects"}`, 400},
		{"/projects/" + c.ProjectID + "/conversations", `{"error":"Invalid project id: projects"}`, 400},
	} {
		for what, header := range map[string]http.Header{"owner": as(c.OwnerToken), "nobody": nil, "bearer": as("Bearer x")} {
			r := c.call(t, "GET", c.URL+x.path, nil, header)
			check(t, what+" "+x.path, r.status, x.status)
			check(t, what+" "+x.path, string(r.body), x.body)
		}
	}
	for _, rest := range []string{"/conversations", "/members", "/messages/" + c.ProjectID, "/a<b"} {
		r := c.call(t, "GET", c.path(rest), nil, as(c.OwnerToken))
		check(t, rest, r.status, 404)
		check(t, rest+": content type", r.header.Get("Content-Type"), "text/html; charset=utf-8")
		if !strings.Contains(string(r.body), "<pre>Cannot GET /"+c.ProjectID) {
			t.Errorf("%s: %s", rest, r.body)
		}
	}
	memberships := items(t, c.call(t, "GET", c.URL+"/projects", nil, as(c.OwnerToken)).body)
	found := false
	for _, m := range memberships {
		found = found || text(get(m, "id_project"), "_id") == c.ProjectID && text(m, "role") == "owner"
	}
	check(t, "the project among the owner's", found, true)
	check(t, "/projects of nobody", c.call(t, "GET", c.URL+"/projects", nil, nil).status, 401)
}

func (c *contract) headers(t *testing.T) {
	for _, rest := range []string{"/requests/" + c.closed + "/messages", "/requests?status=1000&limit=1&lead=" + text(get(c.request(t, c.closed), "lead"), "_id"), "/tags"} {
		first := c.want(t, 200, "GET", rest, nil)
		tag := first.header.Get("ETag")
		check(t, "ETag", tag, etag(first.body))
		check(t, "content type", first.header.Get("Content-Type"), "application/json; charset=utf-8")
		check(t, "content encoding", first.header.Get("Content-Encoding"), "")
		if !strings.HasPrefix(first.header.Get("Set-Cookie"), "connect.sid=") || first.header.Get("Date") == "" {
			t.Errorf("%s: no session cookie or no Date", rest)
		}
		again := as(c.OwnerToken)
		again.Set("If-None-Match", tag)
		r := c.call(t, "GET", c.path(rest), nil, again)
		check(t, "If-None-Match", r.status, 304)
		check(t, "304 with a body", len(r.body), 0)
		check(t, "ETag of the 304", r.header.Get("ETag"), tag)
		again.Set("Cache-Control", "no-cache")
		check(t, "If-None-Match with no-cache", c.call(t, "GET", c.path(rest), nil, again).status, 200)
		again = as(c.OwnerToken)
		again.Set("If-None-Match", `W/"1-other"`)
		check(t, "If-None-Match of another", c.call(t, "GET", c.path(rest), nil, again).status, 200)
	}
	if a, b := c.get(t, "/tags"), c.get(t, "/tags"); !json.Valid(a) || string(a) != string(b) {
		t.Error("the same call twice gives two bodies")
	}
}
