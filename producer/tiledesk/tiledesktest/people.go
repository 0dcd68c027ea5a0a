package tiledesktest

import (
	"encoding/json"
	"fmt"
)

// user is an account; a person may belong to several projects.
type user struct {
	Status        int    `json:"status"`
	ID            string `json:"_id"`
	Email         string `json:"email"`
	Firstname     string `json:"firstname"`
	Lastname      string `json:"lastname"`
	EmailVerified bool   `json:"emailverified"`
	Phone         string `json:"phone,omitempty"`
	CreatedAt     string `json:"createdAt"`
	UpdatedAt     string `json:"updatedAt"`
	V             int    `json:"__v"`

	password string
	raw      []byte
}

func (u *user) fullname() string { return u.Firstname + " " + u.Lastname }

// member is someone's place in a project: a user with a role, or a guest.
type member struct {
	id       string // of the project_users document
	role     string
	fullname string
	email    string
	phone    string
}

func (s *Server) newUser(email, first, last string, at int64) *user {
	return s.addUser(&user{
		Status: 100, ID: s.newID(), Email: email, Firstname: first, Lastname: last, Phone: fmt.Sprintf("+39020%06d", s.counter), CreatedAt: stamp(at), UpdatedAt: stamp(at),
		password: "correct-horse-1",
	})
}

func (s *Server) addUser(u *user) *user {
	u.raw = encode(u)
	s.users[u.ID], s.emails[u.Email] = u, u
	return u
}

// hire makes the user a member of the project.
func (p *Project) hire(u *user, role string, at int64) Credential {
	return p.hireAs(p.server.newID(), u, role, at)
}

func (p *Project) hireAs(id string, u *user, role string, at int64) Credential {
	m := &member{id: id, role: role, fullname: u.fullname(), email: u.Email, phone: u.Phone}
	p.members[u.ID] = m
	if role == "owner" {
		p.described = with(p.described, field{"createdBy", quote(u.ID)})
	}
	p.put("project_users", encode(projectUser{
		Available: true, LastLoginAt: stamp(at), Permissions: []string{}, Status: "active", ID: m.id, ProjectID: p.ID,
		User: json.RawMessage(u.raw), Role: role, RoleType: 1, CreatedBy: u.ID, Tags: []string{},
		CreatedAt: stamp(at), UpdatedAt: stamp(at), Authenticated: true, VirtualID: m.id,
	}))
	return Credential{u.Email, u.password, p.server.userToken(u, at/1000, uuid(u.ID))}
}

// welcome makes a visitor a member of the project: what the widget does before the first message.
func (p *Project) welcome(guest, id, fullname, email, phone string, at int64) *member {
	m := &member{id: id, role: "guest", fullname: fullname, email: email, phone: phone}
	p.members[guest] = m
	p.put("project_users", encode(projectUser{
		Available: true, LastLoginAt: stamp(p.created), Permissions: []string{}, Status: "active", ID: m.id, ProjectID: p.ID,
		UUID: guest, Role: "guest", RoleType: 2, CreatedBy: guest, Tags: []string{},
		CreatedAt: stamp(at), UpdatedAt: stamp(at), VirtualID: m.id,
	}))
	return m
}

// agents are the ids of those who can be given a request, in a stable order.
func (p *Project) agents() []string {
	var out []string
	for _, r := range p.store["project_users"].byCreated {
		u := get(r.raw, "id_user")
		if id := text(u, "_id"); id != "" && string(get(r.raw, "user_available")) == "true" {
			out = append(out, id)
		}
	}
	return out
}

// busy moves the number of requests that an agent has open.
func (p *Project) busy(userID string, by int64, at int64) {
	m := p.members[userID]
	if m == nil {
		return
	}
	r := p.store["project_users"].byID[m.id]
	n := int64(0)
	if json.Unmarshal(get(r.raw, "number_assigned_requests"), &n) != nil {
		return
	}
	p.change("project_users", r, field{"number_assigned_requests", number(max(0, n+by))}, field{"updatedAt", instant(at)})
}
