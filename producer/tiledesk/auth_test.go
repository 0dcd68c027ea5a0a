package tiledesk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"tilestream/internal/ops"
)

func TestToken(t *testing.T) {
	for given, want := range map[string]string{
		"abc": "JWT abc", "JWT abc": "JWT abc", "jwt  abc\n": "JWT abc", "Bearer abc": "JWT abc", " abc ": "JWT abc",
	} {
		var got string
		c := with(server(func(req *http.Request) (*http.Response, error) {
			got = req.Header.Get("Authorization")
			return reply(200, noBots), nil
		}))
		c.project.Credential.Token = ops.Secret(given)
		if err := pollError(t, c, "bots"); err != nil || got != want {
			t.Errorf("TILEDESK_TOKEN=%q sends %q, want %q (%v)", given, got, want, err)
		}
	}
}

func TestDocumentedHeaders(t *testing.T) {
	var got []string
	c := with(server(func(req *http.Request) (*http.Response, error) {
		got = []string{req.Header.Get("x-project-id"), req.Header.Get("x-auth-token"), req.Header.Get("Authorization")}
		return reply(200, `{"bots":[],"total":0}`), nil
	}))
	api := Documented
	c.found.api.Store(&api)
	if err := pollError(t, c, "bots"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{c.project.ID, "s3cret", "Bearer s3cret"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSubscriptionToken(t *testing.T) {
	got, err := subscriptionToken(Credential{SubscriptionID: "sub1", SubscriptionSecret: "hook"}, "p1")
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	tok, err := jwt.ParseWithClaims(got, claims, func(*jwt.Token) (any, error) { return []byte("hook"), nil })
	if err != nil || tok.Method.Alg() != "HS256" {
		t.Fatal(tok, err)
	}
	want := jwt.MapClaims{"_id": "sub1", "id_project": "p1", "sub": "subscription", "aud": "https://tiledesk.com/subscriptions/sub1", "iss": "https://tiledesk.com"}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
}

// signIns is a server whose tokens end when it is told so.
type signIns struct {
	mu     sync.Mutex
	count  int
	reject int // how many tokens, from the first, are not known any more
	always bool
}

func (s *signIns) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.URL.Path == "/auth/signin" {
		var in struct{ Email, Password string }
		_ = json.NewDecoder(req.Body).Decode(&in)
		if in.Email != "me@example.com" || in.Password != "pa55" {
			return reply(401, `{"success":false,"msg":"Authentication failed. Wrong password."}`), nil
		}
		s.count++
		return reply(200, fmt.Sprintf(`{"success":true,"token":"JWT token-%d"}`, s.count)), nil
	}
	var n int
	if _, err := fmt.Sscanf(req.Header.Get("Authorization"), "JWT token-%d", &n); err != nil || n <= s.reject || s.always {
		return reply(401, "Unauthorized"), nil
	}
	return reply(200, noBots), nil
}

func signingIn(s http.RoundTripper) *Client {
	c := with(s)
	c.project.Credential = Credential{Email: "me@example.com", Password: "pa55"}
	return c
}

func TestSignInAgain(t *testing.T) {
	s := &signIns{}
	c := signingIn(s)
	if err := pollError(t, c, "bots"); err != nil || s.count != 1 {
		t.Fatalf("%d sign-ins, %v", s.count, err)
	}
	s.reject = 1
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := pollError(t, c, "bots"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.count != 2 {
		t.Errorf("%d sign-ins, want 2: the streams share one", s.count)
	}
	s.always = true
	if err := pollError(t, c, "bots"); err == nil || s.count != 3 || !strings.Contains(err.Error(), "TILEDESK_EMAIL") {
		t.Errorf("%d sign-ins, %v: want one more try, then the error", s.count, err)
	}
}

func TestWrongPassword(t *testing.T) {
	c := signingIn(&signIns{})
	c.project.Credential.Password = "wr0ng"
	err := pollError(t, c, "bots")
	var e *Error
	if !errors.As(err, &e) || e.Status != 401 || e.Tried != 1 || !strings.Contains(err.Error(), "TILEDESK_PASSWORD") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("got %v", err)
	}
}

// A redirect to another host must not carry the credential there, nor the password, nor follow at all.
func TestRedirects(t *testing.T) {
	var leaked []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		leaked = append(leaked, fmt.Sprint(req.Header, string(b)))
		io.WriteString(w, noBots)
	}))
	defer other.Close()
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/tags"):
			http.Redirect(w, req, "/moved", http.StatusMovedPermanently)
		case req.URL.Path == "/moved":
			if req.Header.Get("Authorization") == "" {
				w.WriteHeader(401)
			}
			io.WriteString(w, noBots)
		default:
			http.Redirect(w, req, other.URL+"/x", http.StatusTemporaryRedirect)
		}
	}))
	defer home.Close()
	for name, set := range map[string]func(*Client){
		"v3":         func(*Client) {},
		"documented": func(c *Client) { api := Documented; c.found.api.Store(&api) },
		"sign-in":    func(c *Client) { c.project.Credential = Credential{Email: "a", Password: "b"} },
	} {
		c := with(transport)
		c.project.URL = home.URL
		set(c)
		err := pollError(t, c, "bots")
		if err == nil || !strings.Contains(err.Error(), "redirected to "+other.URL) || !strings.Contains(err.Error(), "TILEDESK_URL") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(leaked) > 0 {
		t.Errorf("the other host got %v", leaked)
	}
	c := with(transport)
	c.project.URL = home.URL
	if err := pollError(t, c, "tags"); err != nil {
		t.Errorf("a redirect on the same host: %v", err)
	}
}
