package tiledesktest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The documents in the key order of the real server's bodies. Optional members are left out when empty, as there.

type channel struct {
	Name string `json:"name"`
}

type message struct {
	SenderFullname string          `json:"senderFullname"`
	Type           string          `json:"type"`
	ChannelType    string          `json:"channel_type"`
	Status         int             `json:"status"`
	ID             string          `json:"_id"`
	Sender         string          `json:"sender"`
	Recipient      string          `json:"recipient"`
	Text           string          `json:"text,omitempty"`
	ProjectID      string          `json:"id_project"`
	CreatedBy      string          `json:"createdBy"`
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	Attributes     json.RawMessage `json:"attributes,omitempty"`
	Language       string          `json:"language,omitempty"`
	Channel        channel         `json:"channel"`
	CreatedAt      string          `json:"createdAt"`
	UpdatedAt      string          `json:"updatedAt"`
	V              int             `json:"__v"`
}

type lead struct {
	Tags       []string        `json:"tags"`
	Status     int             `json:"status"`
	ID         string          `json:"_id"`
	LeadID     string          `json:"lead_id"`
	Fullname   string          `json:"fullname,omitempty"`
	Email      string          `json:"email,omitempty"`
	Phone      *string         `json:"phone"`
	Company    string          `json:"company,omitempty"`
	Attributes json.RawMessage `json:"attributes,omitempty"`
	ProjectID  string          `json:"id_project"`
	CreatedBy  string          `json:"createdBy"`
	CreatedAt  string          `json:"createdAt"`
	UpdatedAt  string          `json:"updatedAt"`
	V          int             `json:"__v"`
}

type request struct {
	Status             int             `json:"status"`
	Preflight          bool            `json:"preflight"`
	HasBot             bool            `json:"hasBot"`
	Participants       []string        `json:"participants"`
	Priority           string          `json:"priority"`
	Followers          []string        `json:"followers"`
	ParticipantsAgents []string        `json:"participantsAgents"`
	ParticipantsBots   []string        `json:"participantsBots"`
	ID                 string          `json:"_id"`
	RequestID          string          `json:"request_id"`
	Requester          string          `json:"requester"`
	Lead               string          `json:"lead"`
	FirstText          string          `json:"first_text,omitempty"`
	Subject            string          `json:"subject,omitempty"`
	Department         string          `json:"department"`
	SourcePage         string          `json:"sourcePage,omitempty"`
	Language           string          `json:"language,omitempty"`
	UserAgent          string          `json:"userAgent,omitempty"`
	AssignedAt         string          `json:"assigned_at,omitempty"`
	Attributes         json.RawMessage `json:"attributes,omitempty"`
	ProjectID          string          `json:"id_project"`
	CreatedBy          string          `json:"createdBy"`
	Channel            channel         `json:"channel"`
	Tags               json.RawMessage `json:"tags"`
	Notes              json.RawMessage `json:"notes"`
	CreatedAt          string          `json:"createdAt"`
	Snapshot           snapshot        `json:"snapshot"`
	Contact            contact         `json:"contact,omitzero"`
	ChannelOutbound    channel         `json:"channelOutbound"`
	SmartAssignment    bool            `json:"smartAssignment"`
	UpdatedAt          string          `json:"updatedAt"`
	TicketID           int             `json:"ticket_id"`
	V                  int             `json:"__v"`
}

type snapshot struct {
	Department      json.RawMessage `json:"department"`
	AvailableAgents int             `json:"availableAgentsCount"`
	Requester       json.RawMessage `json:"requester"`
	Lead            json.RawMessage `json:"lead"`
}

type contact struct {
	Phone string `json:"phone,omitempty"`
	Email string `json:"email,omitempty"`
}

type bot struct {
	WebhookEnabled bool            `json:"webhook_enabled"`
	Type           string          `json:"type"`
	Secret         string          `json:"secret,omitempty"` // only in the answer to its creation
	Language       string          `json:"language"`
	Public         bool            `json:"public"`
	Certified      bool            `json:"certified"`
	IntentsEngine  string          `json:"intentsEngine"`
	Tags           []string        `json:"tags"`
	Score          int             `json:"score"`
	Trained        bool            `json:"trained"`
	CertifiedTags  []string        `json:"certifiedTags"`
	ID             string          `json:"_id"`
	Name           string          `json:"name"`
	Slug           string          `json:"slug"`
	Description    string          `json:"description,omitempty"`
	Attributes     json.RawMessage `json:"attributes,omitempty"`
	ProjectID      string          `json:"id_project"`
	Subtype        string          `json:"subtype,omitempty"`
	Trashed        bool            `json:"trashed"`
	CreatedBy      string          `json:"createdBy"`
	ForAgents      bool            `json:"agents_available"`
	CreatedAt      string          `json:"createdAt"`
	UpdatedAt      string          `json:"updatedAt"`
	V              int             `json:"__v"`
}

type projectUser struct {
	Available     bool            `json:"user_available"`
	Assigned      int             `json:"number_assigned_requests"`
	LastLoginAt   string          `json:"last_login_at"`
	Permissions   []string        `json:"permissions"`
	Status        string          `json:"status"`
	Trashed       bool            `json:"trashed"`
	ID            string          `json:"_id"`
	ProjectID     string          `json:"id_project"`
	User          json.RawMessage `json:"id_user,omitempty"`
	UUID          string          `json:"uuid_user,omitempty"`
	Role          string          `json:"role"`
	RoleType      int             `json:"roleType"`
	CreatedBy     string          `json:"createdBy"`
	Tags          []string        `json:"tags"`
	CreatedAt     string          `json:"createdAt"`
	UpdatedAt     string          `json:"updatedAt"`
	V             int             `json:"__v"`
	Authenticated bool            `json:"isAuthenticated"`
	VirtualID     string          `json:"id"`
}

type department struct {
	Routing   string            `json:"routing"`
	Default   bool              `json:"default"`
	Status    int               `json:"status"`
	ID        string            `json:"_id"`
	Name      string            `json:"name"`
	Bot       string            `json:"id_bot,omitempty"`
	Groups    []json.RawMessage `json:"groups"`
	ProjectID string            `json:"id_project"`
	CreatedBy string            `json:"createdBy"`
	Tags      []string          `json:"tags"`
	CreatedAt string            `json:"createdAt"`
	UpdatedAt string            `json:"updatedAt"`
	V         int               `json:"__v"`
	HasBot    bool              `json:"hasBot"`
	VirtualID string            `json:"id"`
}

func (p *Project) newDepartment(name, routing string, isDefault bool, by string, at int64) []byte {
	id := p.server.newID()
	return encode(department{
		Routing: routing, Default: isDefault, Status: 1, ID: id, Name: name, Groups: []json.RawMessage{}, ProjectID: p.ID,
		CreatedBy: by, Tags: []string{}, CreatedAt: stamp(at), UpdatedAt: stamp(at), VirtualID: id,
	})
}

// Put stores a document of the collection named by its v3 path ("requests", "messages", "leads", "bots", "project_users",
// "departments", "groups", "tags", "canned"), in place of the one with the same _id. doc is a struct, a map or JSON; its
// times are stored as given, and it shows at once. Bodies that the API sent can be put as they are.
func (p *Project) Put(collection string, doc any) error { return p.PutAt(time.Time{}, collection, doc) }

// PutAt is Put for a document that begins to show at visible, whatever its own times say: a late write.
func (p *Project) PutAt(visible time.Time, collection string, doc any) error {
	if _, ok := collections[collection]; !ok {
		return fmt.Errorf("put into %q: the collections are %s", collection, strings.Join(names(), ", "))
	}
	raw, err := compact(doc)
	if err != nil {
		return fmt.Errorf("put into %s: %w", collection, err)
	}
	if text(raw, "_id") == "" {
		return fmt.Errorf("put into %s: the document has no _id", collection)
	}
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	write := func() {
		raw := raw
		if collection == "requests" {
			var referenced map[string][]byte
			raw, referenced = normal(raw)
			for name, r := range referenced {
				if p.store[name].byID[text(r, "_id")] == nil {
					p.put(name, r)
				}
			}
		}
		p.put(collection, raw)
	}
	if visible.IsZero() {
		write()
	} else {
		p.server.later(visible.UnixMilli(), write)
	}
	return nil
}

// Delete removes a document, as if it had never been; it reports whether there was one.
func (p *Project) Delete(collection, id string) bool {
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	c := p.store[collection]
	if c == nil || c.byID[id] == nil {
		return false
	}
	c.remove(c.byID[id])
	return true
}

// Docs returns what the collection holds, oldest first, in the form that lists send: the source to compare a copy with.
func (p *Project) Docs(collection string) []json.RawMessage {
	p.server.advance()
	p.server.mu.RLock()
	defer p.server.mu.RUnlock()
	var out []json.RawMessage
	for _, r := range p.store[collection].byCreated {
		out = append(out, p.show(collection, r, true))
	}
	return out
}

func (p *Project) put(collection string, raw []byte) *record {
	return p.store[collection].put(raw, p.server.seq())
}

// change writes members of a stored document.
func (p *Project) change(collection string, r *record, changes ...field) *record {
	return p.store[collection].put(with(r.raw, changes...), r.seq)
}

func names() []string {
	var out []string
	for n := range collections {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
