package tiledesktest

// describe is the project as /projects shows it.
func (p *Project) describe(name string) []byte {
	return encode(struct {
		Status         int            `json:"status"`
		IPFilter       bool           `json:"ipFilterEnabled"`
		Allowed        []string       `json:"ipFilter"`
		IPDeny         bool           `json:"ipFilterDenyEnabled"`
		Denied         []string       `json:"ipFilterDeny"`
		ID             string         `json:"_id"`
		Name           string         `json:"name"`
		OperatingHours bool           `json:"activeOperatingHours"`
		CreatedBy      string         `json:"createdBy"`
		Profile        map[string]any `json:"profile"`
		Versions       int            `json:"versions"`
		Channels       []channel      `json:"channels"`
		Banned         []string       `json:"bannedUsers"`
		CreatedAt      string         `json:"createdAt"`
		UpdatedAt      string         `json:"updatedAt"`
		V              int            `json:"__v"`
		TrialExpired   bool           `json:"trialExpired"`
		TrialDaysLeft  int            `json:"trialDaysLeft"`
		Subscribed     bool           `json:"isActiveSubscription"`
		VirtualID      string         `json:"id"`
	}{
		Status: 100, Allowed: []string{}, Denied: []string{}, ID: p.ID, Name: name, CreatedBy: "system",
		Profile:  map[string]any{"trialDays": 14, "name": "Sandbox", "agents": 0, "type": "free"},
		Versions: 20115, Channels: []channel{{"chat21"}}, Banned: []string{}, CreatedAt: stamp(p.created), UpdatedAt: stamp(p.created),
		TrialDaysLeft: -14, VirtualID: p.ID,
	})
}
