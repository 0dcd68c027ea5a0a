package tiledesktest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

const issuer = "https://tiledesk.com"

type claims struct {
	ID            string `json:"_id"`
	Email         string `json:"email,omitempty"`
	Firstname     string `json:"firstname,omitempty"`
	Lastname      string `json:"lastname,omitempty"`
	EmailVerified *bool  `json:"emailverified,omitempty"`
	GuestID       string `json:"id,omitempty"`
	FullName      string `json:"fullName,omitempty"`
	ProjectID     string `json:"id_project,omitempty"`
	IssuedAt      int64  `json:"iat,omitempty"`
	Expires       int64  `json:"exp,omitempty"`
	Audience      string `json:"aud"`
	Issuer        string `json:"iss"`
	Subject       string `json:"sub"`
	JTI           string `json:"jti,omitempty"`
}

// principal is who makes a call.
type principal struct {
	id           string // user id, guest's uuid or subscription id
	subscription bool
}

var jwtHeader = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

func sign(c claims, secret string) string {
	unsigned := jwtHeader + "." + base64.RawURLEncoding.EncodeToString(encode(c))
	return unsigned + "." + signature(unsigned, secret)
}

func signature(unsigned, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(unsigned))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Server) userToken(u *user, at int64, jti string) string {
	verified := u.EmailVerified
	return "JWT " + sign(claims{
		ID: u.ID, Email: u.Email, Firstname: u.Firstname, Lastname: u.Lastname, EmailVerified: &verified,
		IssuedAt: at, Audience: issuer, Issuer: issuer, Subject: "user", JTI: jti,
	}, s.secret)
}

// Revoke makes every token signed so far worthless: calls with one get 401 until the client signs in again. The tokens
// of the projects' credentials are signed anew.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret += "+"
	for _, p := range s.projects {
		for _, c := range []*Credential{&p.Owner, &p.Agent} {
			if u := s.emails[c.Email]; u != nil {
				c.Token = s.userToken(u, s.now()/1000, s.newUUID())
			}
		}
	}
}

// identify says who calls; status is 0, or what a caller without a good credential gets. Schemes are read without regard
// to case; a token that stands alone is a bad request (middleware/passport.js: the Basic strategy refuses it).
func (s *Server) identify(h http.Header) (who principal, status int) {
	scheme, token, found := strings.Cut(strings.TrimSpace(h.Get("Authorization")), " ")
	switch {
	case scheme == "":
		return who, http.StatusUnauthorized
	case !found:
		return who, http.StatusBadRequest
	case strings.EqualFold(scheme, "basic"):
		plain, err := base64.StdEncoding.DecodeString(token)
		email, password, ok := strings.Cut(string(plain), ":")
		if err != nil || !ok {
			return who, http.StatusBadRequest
		}
		if u := s.emails[email]; u != nil && u.password == password {
			return principal{id: u.ID}, 0
		}
	case strings.EqualFold(scheme, "jwt"):
		if who, ok := s.verify(token); ok {
			return who, 0
		}
	}
	return who, http.StatusUnauthorized
}

func (s *Server) verify(token string) (who principal, ok bool) {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return who, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if err != nil || json.Unmarshal(body, &c) != nil || c.Issuer != issuer {
		return who, false
	}
	secret, known := s.secret, true
	switch id, sub := strings.CutPrefix(c.Audience, issuer+"/subscriptions/"); {
	case sub:
		secret, known = "", false
		if p := s.projects[c.ProjectID]; p != nil && id == c.ID && c.Subject == "subscription" {
			secret, known = p.subs[id], p.subs[id] != ""
		}
		who.subscription = true
	case c.Audience != issuer:
		known = false
	}
	if !known || !hmac.Equal([]byte(signature(parts[0]+"."+parts[1], secret)), []byte(parts[2])) {
		return who, false
	}
	if c.Expires != 0 && c.Expires*1000 <= s.now() {
		return who, false
	}
	who.id = c.ID
	return who, true
}

// ranks orders the roles; a higher one may do what a lower one may (middleware/has-role.js).
var ranks = map[string]int{"guest": 1, "user": 2, "teammate": 3, "agent": 4, "supervisor": 5, "admin": 6, "owner": 7}
