package dashboard

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	sessionCookie = "tilestream_session"
	sessionLasts  = 12 * time.Hour
	wrongTokenFor = time.Second // a guess takes so long
)

// policy lets the page use what it brings itself and nothing else: no script in it, no frame around it, no other host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func headers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := w.Header().Set
		set("Content-Security-Policy", policy)
		set("X-Content-Type-Options", "nosniff")
		set("X-Frame-Options", "DENY")
		set("Referrer-Policy", "no-referrer")
		set("Cross-Origin-Opener-Policy", "same-origin")
		set("Cross-Origin-Resource-Policy", "same-origin")
		set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// Guard lets whoever may look through: with a CONSOLE_TOKEN who has it, without one who is on this machine.
func (c *Console) Guard(h http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return headers(crossOrigin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case c.Token == "" && here(r), c.Token != "" && c.signedIn(r):
			h.ServeHTTP(w, r)
		case c.Token == "":
			http.Error(w, "The console is for this machine alone, by the name localhost or 127.0.0.1. To open it from elsewhere set CONSOLE_TOKEN, and put TLS in front of it.", http.StatusForbidden)
		case strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="tilestream"`)
			http.Error(w, "The console wants CONSOLE_TOKEN: Authorization: Bearer TOKEN", http.StatusUnauthorized)
		}
	})))
}

// mostForm bounds what a page sends, in bytes.
const mostForm = 4 << 10

// writes tells whether the console may change something.
func (c *Console) writes() bool { return c.AllowWrites && c.Replays.Start != nil }

// act is what changes something. It stands behind Guard, which lets no other site's page through.
func (c *Console) act(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !c.writes() {
			http.Error(w, "The console only looks. To have it start and stop replays set CONSOLE_ALLOW_WRITES=true.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostForm)
		h(w, r)
	}
}

// here tells whether a request comes from this machine and means it: a page of somebody else's whose name was made to point to
// 127.0.0.1 (DNS rebinding) shows in Host.
func here(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// sessions are the browsers that have shown the token, and until when that holds.
type sessions struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (s *sessions) begin(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, until := range s.until {
		if until.Before(now) {
			delete(s.until, id)
		}
	}
	if s.until == nil {
		s.until = map[string]time.Time{}
	}
	id := rand.Text()
	s.until[id] = now.Add(sessionLasts)
	return id
}

func (s *sessions) hold(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until[id].After(now)
}

func (c *Console) signedIn(r *http.Request) bool {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return c.right(token)
	}
	cookie, err := r.Cookie(sessionCookie)
	return err == nil && c.sessions.hold(cookie.Value, time.Now())
}

func (c *Console) right(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(c.Token.Reveal())) == 1
}

func (c *Console) showSignIn(w http.ResponseWriter, r *http.Request) {
	c.render(w, r, "sign-in.html", "Sign in", r.URL.Query().Has("wrong"))
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	if c.Token == "" || !c.right(r.PostFormValue("token")) {
		select {
		case <-time.After(wrongTokenFor):
		case <-r.Context().Done():
		}
		http.Redirect(w, r, "/sign-in?wrong", http.StatusSeeOther)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: c.sessions.begin(time.Now()), Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https", MaxAge: int(sessionLasts.Seconds())})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
