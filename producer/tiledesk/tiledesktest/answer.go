package tiledesktest

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
)

// answer is what a call gets, before it is sent; a fault may spoil it.
type answer struct {
	status int
	kind   string // content type; "" sends none
	header http.Header
	body   []byte
	hang   bool // never answer
}

func ok(body []byte) answer {
	return answer{status: http.StatusOK, kind: "application/json; charset=utf-8", body: body}
}

func refuse(status int, body string) answer {
	return answer{status: status, kind: "application/json; charset=utf-8", body: []byte(body)}
}

// plain is what the sign-in middleware sends.
func plain(status int) answer {
	a := answer{status: status, body: []byte(http.StatusText(status)), header: http.Header{}}
	if status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `Basic realm="Users"`)
	}
	return a
}

// noRoute is Express's answer where nothing is served.
func noRoute(r *http.Request) answer {
	return answer{
		status: http.StatusNotFound, kind: "text/html; charset=utf-8",
		header: http.Header{"Content-Security-Policy": {"default-src 'none'"}, "X-Content-Type-Options": {"nosniff"}},
		body: fmt.Appendf(nil, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n"+
			"<body>\n<pre>Cannot %s %s</pre>\n</body>\n</html>\n", r.Method, html.EscapeString(r.URL.Path)),
	}
}

// etag is the weak entity tag that Express computes: length in hex and 27 characters of the SHA-1.
func etag(body []byte) string {
	sum := sha1.Sum(body)
	return fmt.Sprintf(`W/"%x-%s"`, len(body), base64.StdEncoding.EncodeToString(sum[:])[:27])
}

// fresh says whether the caller holds this body already. Cache-Control: no-cache asks for it all the same.
func fresh(r *http.Request, tag string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || strings.Contains(r.Header.Get("Cache-Control"), "no-cache") {
		return false
	}
	for t := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
			return t != ""
		}
	}
	return false
}

// head writes everything but the body; it reports whether a body is to follow.
func (s *Server) head(w http.ResponseWriter, r *http.Request, a answer) bool {
	h := w.Header()
	h.Set("X-Powered-By", "Express")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Date", s.opt.Clock().UTC().Format(http.TimeFormat))
	h.Set("Set-Cookie", "connect.sid=s%3A"+s.session()+"; Path=/; HttpOnly")
	for k, v := range a.header {
		h[k] = v
	}
	if a.kind == "" {
		h["Content-Type"] = nil // as Express: a plain end() names no type
	} else {
		h.Set("Content-Type", a.kind)
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	if strings.HasPrefix(a.kind, "application/json") {
		tag := etag(a.body)
		h.Set("ETag", tag)
		if a.status < 300 && fresh(r, tag) {
			h.Del("Content-Type")
			h.Del("Content-Length")
			w.WriteHeader(http.StatusNotModified)
			return false
		}
	}
	w.WriteHeader(a.status)
	return r.Method != http.MethodHead
}

// session is a cookie value that no two answers share: the server opens a session for every call.
func (s *Server) session() string {
	n := s.faults.calls()
	sum := sha1.Sum(strconv.AppendInt([]byte(s.secret), n, 10))
	return base64.RawURLEncoding.EncodeToString(sum[:]) + "." + base64.RawURLEncoding.EncodeToString(sum[:12])
}
