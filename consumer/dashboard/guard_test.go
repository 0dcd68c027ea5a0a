package dashboard

import (
	"cmp"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// routes are a console's that looks at nothing.
func routes(token string) *http.ServeMux {
	mux := http.NewServeMux()
	New(Config{Token: ops.Secret(token)}, inspect.Config{Warehouse: "duckdb:///nowhere/at/all.duckdb", Dataset: "tiledesk"}, slog.New(slog.DiscardHandler)).Route(mux)
	return mux
}

// Who gets in: without a token this machine, by its own names; with one whoever has it.
func TestGuard(t *testing.T) {
	for name, c := range map[string]struct {
		token, from, host string
		header            http.Header
		want              int
	}{
		"here":                      {from: "127.0.0.1:5", host: "127.0.0.1:8080", want: 200},
		"here, by name":             {from: "127.0.0.1:5", host: "localhost:8080", want: 200},
		"here, IPv6":                {from: "[::1]:5", host: "[::1]:8080", want: 200},
		"here, IPv4 in IPv6":        {from: "[::ffff:127.0.0.1]:5", host: "localhost", want: 200},
		"another machine":           {from: "10.0.0.7:5", host: "127.0.0.1:8080", want: 403},
		"a name made to point here": {from: "127.0.0.1:5", host: "evil.example:8080", want: 403},
		"a name that begins so":     {from: "127.0.0.1:5", host: "127.0.0.1.evil.example", want: 403},
		"no host":                   {from: "127.0.0.1:5", want: 403},
		"token wanted, here":        {token: "s3cret", from: "127.0.0.1:5", host: "localhost", want: 401},
		"token wanted, a browser":   {token: "s3cret", from: "10.0.0.7:5", host: "console.example", header: http.Header{"Accept": {"text/html,*/*"}}, want: 303},
		"token given":               {token: "s3cret", from: "10.0.0.7:5", host: "console.example", header: http.Header{"Authorization": {"Bearer s3cret"}}, want: 200},
		"wrong token":               {token: "s3cret", from: "10.0.0.7:5", host: "console.example", header: http.Header{"Authorization": {"Bearer s3cre"}}, want: 401},
		"empty token":               {token: "s3cret", from: "10.0.0.7:5", host: "console.example", header: http.Header{"Authorization": {"Bearer "}}, want: 401},
		"a cookie of one's own":     {token: "s3cret", from: "10.0.0.7:5", host: "console.example", header: http.Header{"Cookie": {sessionCookie + "=s3cret"}}, want: 401},
		"another site's script":     {from: "127.0.0.1:5", host: "localhost", header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, want: 200}, // it reads nothing: no CORS header lets it
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/query", nil)
			r.RemoteAddr, r.Host = c.from, c.host
			for key, values := range c.header {
				r.Header[key] = values
			}
			w := httptest.NewRecorder()
			routes(c.token).ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%d, want %d: %s", w.Code, c.want, w.Body)
			}
			h := w.Header()
			for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"} {
				if h.Get(name) == "" {
					t.Errorf("no %s", name)
				}
			}
			if h.Get("Access-Control-Allow-Origin") != "" || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
				t.Errorf("headers are %v", h)
			}
			if strings.Contains(w.Body.String(), "s3cret") {
				t.Errorf("the page shows the token: %s", w.Body)
			}
		})
	}
}

// Who signs in is in until the session ends; who guesses waits, and is not.
func TestSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := routes("s3cret")
		send := func(method, path, cookie string, form url.Values, site string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Accept", "text/html")
			r.Header.Set("Sec-Fetch-Site", site)
			if cookie != "" {
				r.Header.Set("Cookie", cookie)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			return w
		}
		if w := send("POST", "/sign-in", "", url.Values{"token": {"guess"}}, "same-origin"); w.Header().Get("Location") != "/sign-in?wrong" || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("a guess: %d %v", w.Code, w.Header())
		}
		w := send("POST", "/sign-in", "", url.Values{"token": {"s3cret"}}, "same-origin")
		cookie, attributes, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
		if w.Header().Get("Location") != "/" || !strings.Contains(attributes, "HttpOnly") || !strings.Contains(attributes, "SameSite=Strict") || strings.Contains(cookie, "s3cret") {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		if w := send("GET", "/query", cookie, nil, "same-origin"); w.Code != http.StatusOK {
			t.Errorf("signed in: %d", w.Code)
		}
		time.Sleep(sessionLasts + time.Second)
		if w := send("GET", "/query", cookie, nil, "same-origin"); w.Code != http.StatusSeeOther {
			t.Errorf("after the session: %d", w.Code)
		}
	})
}

// What changes something is done for who may see the console, by a form of its own, where it is allowed.
func TestAct(t *testing.T) {
	for name, c := range map[string]struct {
		forbidden bool
		token     string
		method    string
		from      string
		header    http.Header
		want      int
	}{
		"here":                      {want: 303},
		"its own page":              {header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"http://localhost"}}, want: 303},
		"not allowed":               {forbidden: true, want: 403},
		"not allowed, with a token": {forbidden: true, token: "s3cret", header: http.Header{"Authorization": {"Bearer s3cret"}}, want: 403},
		"another machine":           {from: "10.0.0.7:5", want: 403},
		"no token":                  {token: "s3cret", want: 401},
		"wrong token":               {token: "s3cret", header: http.Header{"Authorization": {"Bearer s3cre"}}, want: 401},
		"token":                     {token: "s3cret", from: "10.0.0.7:5", header: http.Header{"Authorization": {"Bearer s3cret"}}, want: 303},
		"another site":              {header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, want: 403},
		"another site, by origin":   {header: http.Header{"Origin": {"https://evil.example"}}, want: 403},
		"another site, with token":  {token: "s3cret", header: http.Header{"Authorization": {"Bearer s3cret"}, "Origin": {"https://evil.example"}}, want: 403},
		"PUT":                       {method: http.MethodPut, want: 405},
	} {
		t.Run(name, func(t *testing.T) {
			acts := 0
			console := New(Config{Token: ops.Secret(c.token), AllowWrites: !c.forbidden}, inspect.Config{Resources: schemas.Resources}, slog.New(slog.DiscardHandler))
			console.Replays = Replays{
				Check:   func(_, _, _, _ string) error { return nil },
				Start:   func(_, _, _, _ string) error { acts++; return nil },
				Letters: func(string) error { acts++; return nil },
				Stop:    func() { acts++ },
				Now:     func() Replaying { return Replaying{} },
			}
			mux := http.NewServeMux()
			console.Route(mux)
			paths := []string{"/replay", "/dead-letters/replay", "/replay/stop"}
			for _, path := range paths {
				r := httptest.NewRequest(cmp.Or(c.method, http.MethodPost), path, strings.NewReader("topic=messages&from=beginning"))
				r.RemoteAddr, r.Host = cmp.Or(c.from, "127.0.0.1:5"), "localhost"
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				for key, values := range c.header {
					r.Header[key] = values
				}
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				if w.Code != c.want {
					t.Errorf("%s: %d, want %d: %s", path, w.Code, c.want, w.Body)
				}
			}
			if done := acts == len(paths); acts != 0 && !done || done != (c.want == http.StatusSeeOther) {
				t.Errorf("it did %d things", acts)
			}
		})
	}
}

// Where nothing may be changed, pages say the command; looking at a confirmation changes nothing.
func TestConfirm(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"/replay/confirm?topic=messages&from=beginning", "consumer replay -topic messages -from beginning"},
		{"/replay/confirm?topic=messages&from=3&to=2026-11-22&into=it%27s%3Cb%3E", html.EscapeString(`consumer replay -topic messages -from 3 -to 2026-11-22 -into 'it'\''s<b>'`)},
		{"/dead-letters/replay?topic=messages", "consumer dlq replay -topic messages"},
	} {
		for _, writes := range []bool{false, true} {
			console := New(Config{AllowWrites: writes}, inspect.Config{Resources: schemas.Resources, Dataset: "tiledesk"}, slog.New(slog.DiscardHandler))
			console.Replays.Start = func(_, _, _, _ string) error { panic("by looking") }
			mux := http.NewServeMux()
			console.Route(mux)
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.RemoteAddr, r.Host = "127.0.0.1:5", "localhost"
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if page := w.Body.String(); w.Code != http.StatusOK || strings.Contains(page, c.want) == writes || strings.Contains(page, `method="post"`) != writes {
				t.Errorf("%s, allowed %v: %d\n%s", c.path, writes, w.Code, page)
			}
		}
	}
}

// What a customer has written is text, wherever it is shown.
func TestHostileValues(t *testing.T) {
	const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(1)>`
	c := New(Config{}, inspect.Config{}, slog.New(slog.DiscardHandler))
	a := answerOf(&sink.Answer{Columns: []string{hostile, "n" + hostile}, Rows: [][]any{{hostile, int64(1)}, {[]byte(hostile), int64(2)}}}, 0)
	if a.Chart == "" {
		t.Fatal("no chart")
	}
	w := httptest.NewRecorder()
	c.render(w, httptest.NewRequest(http.MethodGet, "/query", nil), "query.html", hostile, struct {
		SQL, Error string
		Answer     *answer
		Questions  []inspect.Question
		Most       int
	}{SQL: hostile + "</textarea>", Error: hostile, Answer: a, Questions: []inspect.Question{{Name: hostile, SQL: hostile}}})
	page := w.Body.String()
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Fatalf("the values are not shown:\n%s", page)
	}
	for _, bad := range []string{"<script>alert", "<img src=x"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s:\n%s", bad, page)
		}
	}
	if got := strings.Count(page, "</textarea>"); got != 1 {
		t.Errorf("%d ends of the text area", got)
	}
	if chart := string(chart([]load{{Load: sink.Load{Table: hostile, Rows: 1}}})); strings.Contains(chart, "<script>") {
		t.Errorf("the chart has a script: %s", chart)
	}
}

// A warehouse that is not there is said to be, on the page.
func TestNoWarehouse(t *testing.T) {
	for _, path := range []string{"/loads", "/tables", "/state"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5", "localhost"
		w := httptest.NewRecorder()
		routes("").ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "nothing has been loaded yet") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(999), "999"}, {number(int64(1234567)), "1,234,567"}, {number(-1234), "-1,234"}, {number(0.25), "0.2"}, {number(1234.6), "1,235"},
		{took(0), "0 ms"}, {took(1500 * time.Millisecond), "1.5 s"}, {took(90 * time.Second), "90 s"}, {took(3 * time.Minute), "3 min"}, {took(30 * time.Hour), "30 h"}, {took(72 * time.Hour), "3 days"},
		{ago(time.Time{}), "never"},
		{text(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)), "2026-01-02"}, {text(1e21), "1000000000000000000000"}, {text(nil), ""},
		{cellOf(strings.Repeat("ü", 200)).Text, strings.Repeat("ü", 150) + "…"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// A rate is of the last seconds, whatever has passed between samples; a process that began again counts from nothing.
func TestRate(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	var all []sample
	for i, n := range []float64{100, 100, 150, 250, 0} {
		all = append(all, sample{at: at.Add(time.Duration(i) * 2 * time.Second), loaded: map[string]float64{"messages": n}})
	}
	_, each := rate(all, func(s sample) float64 { return s.loaded["messages"] })
	if want := []float64{0, 12.5, 25, 0}; !gocmp.Equal(each, want) {
		t.Errorf("got %v, want %v", each, want)
	}
}
