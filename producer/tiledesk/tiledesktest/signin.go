package tiledesktest

import (
	"encoding/json"
	"net/http"
)

// signIn gives a person a token. It already begins with "JWT ".
func (s *Server) signIn(c *call) answer {
	var in struct{ Email, Password string }
	if json.Unmarshal(c.body, &in) != nil || in.Email == "" || in.Password == "" {
		var errs []map[string]string
		for param, v := range map[string]string{"email": in.Email, "password": in.Password} {
			if v == "" {
				errs = append(errs, map[string]string{"msg": "Invalid value", "param": param, "location": "body"})
			}
		}
		return refuse(http.StatusUnprocessableEntity, string(encode(map[string]any{"errors": errs})))
	}
	u := s.emails[in.Email]
	switch {
	case u == nil:
		return refuse(http.StatusUnauthorized, `{"success":false,"msg":"Authentication failed. User not found."}`)
	case u.password != in.Password:
		return refuse(http.StatusUnauthorized, `{"success":false,"msg":"Authentication failed. Wrong password."}`)
	}
	return ok(encode(struct {
		Success bool           `json:"success"`
		Token   string         `json:"token"`
		User    map[string]any `json:"user"`
	}{true, s.userToken(u, s.now()/1000, s.newUUID()), map[string]any{
		"_id": u.ID, "email": u.Email, "firstname": u.Firstname, "lastname": u.Lastname, "emailverified": u.EmailVerified,
	}}))
}

// signInAnonymously makes a visitor known to a project and gives the token that the widget writes with.
func (s *Server) signInAnonymously(c *call) answer {
	var in struct {
		ProjectID string `json:"id_project"`
		Firstname string `json:"firstname"`
		Lastname  string `json:"lastname"`
		Email     string `json:"email"`
		Phone     string `json:"phone"`
	}
	if json.Unmarshal(c.body, &in) != nil {
		return plain(http.StatusBadRequest)
	}
	p := s.projects[in.ProjectID]
	if p == nil {
		return refuse(http.StatusUnprocessableEntity, `{"errors":[{"msg":"Invalid value","param":"id_project","location":"body"}]}`)
	}
	guest, fullname := s.newUUID(), in.Firstname+" "+in.Lastname
	p.welcome(guest, s.newID(), fullname, in.Email, in.Phone, s.now())
	token := "JWT " + sign(claims{
		ID: guest, Email: in.Email, Firstname: in.Firstname, Lastname: in.Lastname, GuestID: guest, FullName: fullname,
		IssuedAt: s.now() / 1000, Audience: issuer, Issuer: issuer, Subject: "guest", JTI: s.newUUID(),
	}, s.secret)
	return ok(encode(map[string]any{"success": true, "token": token, "user": map[string]any{
		"_id": guest, "firstname": in.Firstname, "lastname": in.Lastname, "email": in.Email, "id": guest, "fullName": fullname,
	}}))
}
