package tiledesk

import (
	"net/http/httptest"
	"testing"
	"time"

	"tilestream/internal/ops"
	"tilestream/producer/tiledesk/tiledesktest"
	"tilestream/schemas"
)

// TestPollAfterAWalkLeftInTheMiddle takes a walk up again after an hour in which much has changed: the one poll brings
// the stream up to date, and the next finds nothing.
func TestPollAfterAWalkLeftInTheMiddle(t *testing.T) {
	for _, name := range []string{"messages", "requests", "leads"} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
			now := start
			desk := tiledesktest.NewSample(1, start, tiledesktest.Options{Clock: func() time.Time { return now }})
			web := httptest.NewServer(desk)
			t.Cleanup(web.Close)
			c := New(Project{ID: desk.ID, URL: web.URL, API: V3, Credential: Credential{Token: ops.Secret(desk.Owner.Token)}, RequestsPerMinute: 1_000_000}, quiet())
			r, err := schemas.ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			var at Cursor
			have := map[string]Doc{}
			for p, err := range c.Pages(t.Context(), r[0], Cursor{}) {
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range p.Docs {
					have[d.ID] = d
				}
				at = restart(t, p.Next)
				break
			}
			now = now.Add(time.Hour)
			for p, err := range c.Pages(t.Context(), r[0], at) {
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range p.Docs {
					have[d.ID] = d
				}
				at = restart(t, p.Next)
			}
			want, _ := pull(t, c, r[0], Cursor{})
			for id := range want {
				if _, ok := have[id]; !ok {
					t.Fatalf("%s %s did not come; %d of %d did", name, id, len(have), len(want))
				}
			}
			if again, _ := pull(t, c, r[0], at); len(again) > 0 {
				t.Errorf("the next poll brought %d documents again", len(again))
			}
		})
	}
}
