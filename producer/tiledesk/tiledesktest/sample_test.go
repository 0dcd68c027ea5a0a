package tiledesktest

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var sampleStart = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func at(t time.Time) Options { return Options{Clock: func() time.Time { return t }} }

// everything is all that a server shows, by collection.
func everything(s *Server) map[string][]string {
	out := map[string][]string{}
	for _, name := range names() {
		for _, d := range s.Docs(name) {
			out[name] = append(out[name], string(d))
		}
	}
	return out
}

func TestSampleSize(t *testing.T) {
	s := NewSample(1, sampleStart, at(sampleStart))
	got := map[string]int{}
	for name, docs := range everything(s) {
		got[name] = len(docs)
	}
	t.Log(got)
	for name, least := range map[string]int{
		"requests": conversations, "messages": 3000, "leads": 350, "project_users": 350, "bots": 4, "departments": 6, "groups": 2, "tags": 9, "canned": 5,
	} {
		if got[name] < least {
			t.Errorf("%d %s, want at least %d", got[name], name, least)
		}
	}
}

func TestSampleCredential(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		s := NewSample(seed, sampleStart.AddDate(0, int(seed), 0), at(sampleStart.AddDate(0, int(seed), 0)))
		if want := (Credential{SampleEmail, SamplePassword, SampleToken}); s.Owner != want || s.ID != SampleProjectID {
			t.Errorf("seed %d: project %s, owner %+v; want the exported constants", seed, s.ID, s.Owner)
		}
	}
}

// TestSampleIsAFunction compares a world that went through time in small steps with one made at the end.
func TestSampleIsAFunction(t *testing.T) {
	now := sampleStart
	walked := NewSample(7, sampleStart, Options{Clock: func() time.Time { return now }})
	before := len(walked.Docs("messages"))
	for range 400 {
		now = now.Add(4321 * time.Millisecond)
		walked.advance()
	}
	if after := len(walked.Docs("messages")); after < before+100 {
		t.Errorf("%d messages after half an hour, %d before: hardly any arrive", after, before)
	}
	if diff := cmp.Diff(everything(NewSample(7, sampleStart, at(now))), everything(walked)); diff != "" {
		t.Errorf("another world:\n%.2000s", diff)
	}
	if cmp.Equal(everything(NewSample(8, sampleStart, at(now))), everything(walked)) {
		t.Error("another seed gives the same world")
	}
}

// TestSampleHoldsTogether checks what a reader of the data takes for granted.
func TestSampleHoldsTogether(t *testing.T) {
	now := sampleStart.Add(time.Hour)
	s := NewSample(1, sampleStart, at(now))
	limit := stamp(now.UnixMilli())
	ids := map[string]bool{}
	for name, docs := range everything(s) {
		for _, d := range docs {
			if !json.Valid([]byte(d)) {
				t.Fatalf("not JSON: %s", d)
			}
			id := text([]byte(d), "_id")
			if ids[id] || len(id) != 24 {
				t.Errorf("%s: _id %q is not new, or not 24 long", name, id)
			}
			ids[id] = true
			created, updated := text([]byte(d), "createdAt"), text([]byte(d), "updatedAt")
			if created == "" || updated < created || updated > limit {
				t.Errorf("%s %s: created %s, updated %s, now %s", name, id, created, updated, limit)
			}
		}
	}
	seen := map[string]int{}
	for _, d := range s.Docs("requests") {
		var r struct {
			RequestID   string `json:"request_id"`
			Status      int
			Preflight   bool
			Language    string
			Channel     channel
			ClosedAt    string `json:"closed_at"`
			WaitingTime int64  `json:"waiting_time"`
			Rating      int
			Lead        struct {
				ID string `json:"_id"`
			}
			Tags, Notes []any
		}
		if err := json.Unmarshal(d, &r); err != nil {
			t.Fatal(err)
		}
		messages := s.store["messages"].byKey[r.RequestID]
		if (len(messages) == 0) != r.Preflight || len(messages) > 25 {
			t.Errorf("%s: preflight %v with %d messages", r.RequestID, r.Preflight, len(messages))
		}
		if r.Lead.ID == "" {
			t.Errorf("%s has no lead", r.RequestID)
		}
		for what, so := range map[string]bool{
			r.Language: true, r.Channel.Name: true, "closed": r.Status == 1000, "open": r.Status == 200, "unassigned": r.Status == 100, "abandoned": r.Status == 150,
			"preflight": r.Preflight, "waited": r.WaitingTime > 0, "rated": r.Rating > 0, "tagged": len(r.Tags) > 0, "noted": len(r.Notes) > 0,
			"open again": r.Status != 1000 && r.ClosedAt != "",
		} {
			if so {
				seen[what]++
			}
		}
	}
	t.Log(seen)
	for _, what := range []string{"en", "it", "es", "de", "fr", "chat21", "whatsapp", "telegram", "email", "messenger",
		"closed", "open", "unassigned", "abandoned", "preflight", "waited", "rated", "tagged", "noted"} {
		if seen[what] == 0 {
			t.Errorf("no request is %s, only %v", what, slices.Sorted(maps.Keys(seen)))
		}
	}
}
