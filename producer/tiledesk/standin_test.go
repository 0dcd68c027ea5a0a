package tiledesk

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/internal/ops"
	"tilestream/producer/tiledesk/tiledesktest"
	"tilestream/schemas"
)

// noon is long past: the client takes the earlier of the server's clock and its own.
var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// standIn serves the stand-in over HTTP, and returns a client of its first project.
func standIn(t *testing.T, s *tiledesktest.Server, token string) *Client {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return New(Project{ID: s.ID, URL: srv.URL, RequestsPerMinute: 1e9, Credential: Credential{Token: ops.Secret(token)}}, quiet())
}

// desk is the sample world at a time that stands still.
func desk(o tiledesktest.Options) *tiledesktest.Server {
	o.Clock = func() time.Time { return noon }
	return tiledesktest.NewSample(1, noon, o)
}

// TestStandIn reads a few thousand documents, in both dialects: each comes once, as it was sent.
func TestStandIn(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options tiledesktest.Options
		want    string
	}{
		{"v3", tiledesktest.Options{}, "v3"},
		{"documented from 0", tiledesktest.Options{Documented: true}, "documented"},
		{"documented from 1", tiledesktest.Options{Documented: true, FirstPage: 1}, "documented"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := desk(tt.options)
			c := standIn(t, s, s.Owner.Token)
			for name, collection := range map[string]string{"messages": "messages", "requests": "requests", "conversations": "requests", "leads": "leads", "tags": "tags"} {
				r := row(name, 0)
				if tt.want == "documented" && !r.Documented {
					continue
				}
				got, cur := pull(t, c, r, Cursor{})
				want := map[string]string{}
				for _, raw := range s.Docs(collection) {
					rec := recordOf(t, raw)
					want[rec.ID] = string(raw)
				}
				if len(got) != len(want) || len(got) == 0 {
					t.Errorf("%s: %d documents, want %d", name, len(got), len(want))
				}
				for id, doc := range want {
					if name != "conversations" && string(got[id].JSON) != doc {
						t.Fatalf("%s %s: %s", name, id, cmp.Diff(doc, string(got[id].JSON)))
					}
				}
				if again, next := pull(t, c, r, cur); len(again) > 0 || !next.equal(cur) {
					t.Errorf("%s: the second poll brought %d documents; cursor %+v, then %+v", name, len(again), cur, next)
				}
			}
			if c.Dialect() != tt.want {
				t.Errorf("Dialect() = %q", c.Dialect())
			}
		})
	}
}

// An agent reads the messages of its own requests, one request of the API for each.
func TestStandInThroughRequests(t *testing.T) {
	s := desk(tiledesktest.Options{})
	owner := standIn(t, s, s.Owner.Token)
	want, _ := pull(t, owner, row("messages", 0), Cursor{})
	c := standIn(t, s, s.Owner.Token)
	c.noMessages.Store(true)
	got, cur := pull(t, c, row("messages", 0), Cursor{})
	for id := range want {
		if _, ok := got[id]; !ok {
			t.Errorf("message %s is missing", id)
		}
	}
	before := s.Calls("")
	if again, _ := pull(t, c, row("messages", 0), cur); len(again) > 0 {
		t.Errorf("%d messages again", len(again))
	}
	t.Logf("%d messages; the second poll cost %d calls", len(got), s.Calls("")-before)
	agent := standIn(t, s, s.Agent.Token)
	if some, _ := pull(t, agent, row("messages", 0), Cursor{}); len(some) > len(got) {
		t.Errorf("an agent sees %d messages, the owner %d", len(some), len(got))
	}
}

// Faults of the server pass, or end in one error; a half-read stream goes on where it stood.
func TestStandInFaults(t *testing.T) {
	s := desk(tiledesktest.Options{})
	c := standIn(t, s, s.Owner.Token)
	for _, f := range []tiledesktest.Fault{
		{Times: 1, Status: 503}, {Times: 1, Cut: true}, {Times: 1, Half: true},
		{Times: 1, Status: 200, Body: "<html>Login</html>", Type: "text/html"}, {Skip: 2, Times: 1, Cut: true},
	} {
		s.Fail(f)
		if got, _ := pull(t, c, row("leads", 0), Cursor{}); len(got) != len(s.Docs("leads")) {
			t.Errorf("%+v: %d documents", f, len(got))
		}
		s.Heal()
	}
}

// A consumer that stops, or whose context ends, in the middle of a poll leaves nothing behind (goleak in TestMain) and
// goes on from its last page.
func TestStop(t *testing.T) {
	s := desk(tiledesktest.Options{})
	c := standIn(t, s, s.Owner.Token)
	got := map[string]bool{}
	var cur Cursor
	for len(got) < len(s.Docs("messages")) {
		ctx, cancel := context.WithCancel(t.Context())
		pages := 0
		for p, err := range c.Pages(ctx, row("messages", 0), cur) {
			if err != nil {
				break
			}
			for _, d := range p.Docs {
				if got[d.ID] {
					t.Fatalf("%s came twice", d.ID)
				}
				got[d.ID] = true
			}
			cur = restart(t, p.Next)
			if pages++; pages == 2 {
				cancel() // the next page is an error
			}
			if len(got)%2 == 0 && pages == 1 {
				break
			}
		}
		cancel()
	}
	if cur.Walk != nil {
		_, cur = pull(t, c, row("messages", 0), cur)
	}
	if cur.Walk != nil {
		t.Errorf("the walk does not end: %+v", cur.Walk)
	}
}

// put makes a document that changed at the given time.
func put(t *testing.T, s *tiledesktest.Server, collection string, n int, at time.Time, more string) {
	t.Helper()
	stamp := at.UTC().Format("2006-01-02T15:04:05.000Z")
	doc := fmt.Sprintf(`{"_id":"%024x","request_id":"support-group-%d","recipient":"support-group-%d","status":1000,"preflight":false,"createdAt":%q,"updatedAt":%q%s}`, n, n, n, stamp, stamp, more)
	if err := s.Put(collection, []byte(doc)); err != nil {
		t.Fatal(err)
	}
}

// A document dated in the future comes once, and neither hides what comes after it nor keeps the stream busy.
func TestFuture(t *testing.T) {
	for _, name := range []string{"requests", "leads", "messages"} {
		now := noon
		s := tiledesktest.New(tiledesktest.Options{Clock: func() time.Time { return now }})
		c := standIn(t, s, s.Owner.Token)
		r := row(name, 0)
		put(t, s, r.Path, 1, noon.Add(-time.Hour), `,"status":100`)
		put(t, s, r.Path, 2, noon.AddDate(73, 0, 0), `,"status":100`)
		first, cur := pull(t, c, r, Cursor{})
		if len(first) != 2 {
			t.Errorf("%s: %d documents, want 2", name, len(first))
		}
		for i := range 3 {
			now = now.Add(time.Minute)
			put(t, s, r.Path, 10+i, now.Add(-time.Second), `,"status":100`)
			got, next := pull(t, c, r, cur)
			if len(got) != 1 {
				t.Errorf("%s: poll %d brought %d documents, want the new one", name, i, len(got))
			}
			cur = next
		}
		now = now.Add(time.Hour)
		_, cur = pull(t, c, r, cur)
		now = now.Add(time.Hour)
		if got, next := pull(t, c, r, cur); len(got) > 0 || !next.equal(cur) {
			t.Errorf("%s: at rest %d documents, cursor %+v after %+v", name, len(got), next, cur)
		}
	}
}

// The server hides closed and preflight requests, caps pages without a word, and reads dates in Rome's time: a lost
// parameter would lose documents.
func TestHiddenRequests(t *testing.T) {
	now := noon
	s := tiledesktest.New(tiledesktest.Options{Clock: func() time.Time { return now }})
	c := standIn(t, s, s.Owner.Token)
	for i := range 250 {
		put(t, s, "requests", i+1, noon.Add(-time.Duration(i)*time.Second), []string{`,"status":50`, `,"status":1000`, `,"status":150`, `,"preflight":true`}[i%4])
	}
	r := row("requests", 0)
	got, cur := pull(t, c, r, Cursor{})
	if len(got) != 250 {
		t.Errorf("%d requests, want 250", len(got))
	}
	now = now.Add(time.Minute)
	put(t, s, "requests", 3, now, "")
	if got, _ := pull(t, c, r, cur); len(got) != 1 {
		t.Errorf("%d requests, want the changed one", len(got))
	}
}

// Many changes in one second fill pages of their own, the first millisecond of the next second included.
func TestBusySecond(t *testing.T) {
	s := tiledesktest.New(tiledesktest.Options{Clock: func() time.Time { return noon }})
	c := standIn(t, s, s.Owner.Token)
	at := noon.Add(-time.Hour)
	for i := range 700 {
		put(t, s, "requests", i+1, at.Add(time.Duration(i%1001)*time.Millisecond), "")
	}
	put(t, s, "requests", 701, at.Add(time.Second), "")
	put(t, s, "requests", 702, at.Add(time.Second+time.Millisecond), "")
	got, cur := pull(t, c, row("requests", 0), Cursor{})
	if len(got) != 702 || len(cur.Seen) != 0 || s.Calls("") > 20 {
		t.Errorf("%d requests, want 702; %d calls; Seen %v", len(got), s.Calls(""), cur.Seen)
	}
}

// A whole list comes again only where it changed; what has gone leaves the cursor at the second look.
func TestWholeList(t *testing.T) {
	s := tiledesktest.New(tiledesktest.Options{Clock: func() time.Time { return noon }})
	c := standIn(t, s, s.Owner.Token)
	r := row("tags", 0)
	for i := range 3 {
		put(t, s, "tags", i+1, noon, `,"tag":"x"`)
	}
	got, cur := pull(t, c, r, Cursor{})
	if len(got) != 3 || len(cur.Seen) != 3 {
		t.Fatalf("%d documents, %d seen", len(got), len(cur.Seen))
	}
	put(t, s, "tags", 2, noon, `,"tag":"y"`) // no updatedAt tells
	s.Delete("tags", fmt.Sprintf("%024x", 1))
	got, next := pull(t, c, r, cur)
	if len(got) != 1 || !strings.Contains(string(got[fmt.Sprintf("%024x", 2)].JSON), `"y"`) || len(next.Seen) != 3 {
		t.Errorf("got %v, cursor %+v", got, next)
	}
	if got, next = pull(t, c, r, next); len(got) != 0 || len(next.Seen) != 2 {
		t.Errorf("got %v, cursor %+v", got, next)
	}
	pages := 0
	for range c.Pages(t.Context(), r, next) {
		pages++
	}
	if pages > 0 {
		t.Errorf("%d pages though nothing changed", pages)
	}
}

// Every row of the table has parameters that parse.
func TestQueries(t *testing.T) {
	for _, r := range schemas.Resources {
		if q := query(r, "a", "b"); q.Get("a") != "b" {
			t.Errorf("%s: %v", r.Name, q)
		}
	}
}

// TestClockAhead has a server, or a proxy in front of it, whose clock is an hour ahead. What changes within that hour is not behind
// the watermark.
func TestClockAhead(t *testing.T) {
	for _, tt := range []struct {
		name    string
		through bool // messages request by request
		options tiledesktest.Options
	}{
		{"list of messages", false, tiledesktest.Options{}},
		{"through requests", true, tiledesktest.Options{}},
		{"documented", false, tiledesktest.Options{Documented: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Clock = func() time.Time { return time.Now().Add(time.Hour) }
			s := tiledesktest.NewSample(1, time.Now().Add(-time.Hour), tt.options)
			c := standIn(t, s, s.Owner.Token)
			c.noMessages.Store(tt.through)
			_, cur := pull(t, c, row("messages", 0), Cursor{})

			request := s.Docs("requests")[0]
			rec := recordOf(t, request)
			now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
			old := fmt.Sprintf(`"updatedAt":%q`, rec.updated.Format("2006-01-02T15:04:05.000Z"))
			changed := strings.Replace(string(request), old, fmt.Sprintf(`"updatedAt":%q`, now), 1)
			message := fmt.Sprintf(`{"_id":"6b03ffffffffffffffffffff","recipient":%q,"text":"late","id_project":%q,"createdAt":%q,"updatedAt":%[3]q}`, rec.requestID, s.ID, now)
			if changed == string(request) {
				t.Fatalf("no %s in %s", old, request)
			}
			for collection, doc := range map[string]string{"requests": changed, "messages": message} {
				if err := s.Put(collection, []byte(doc)); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := pull(t, c, row("messages", 0), cur); len(got["6b03ffffffffffffffffffff"].JSON) == 0 {
				t.Errorf("a message of %s is lost: the watermark stands at %v", now, cur.Since)
			}
		})
	}
}

// TestFirstPageInTheFuture has more messages dated ahead of the clock than fit a page. They come once, and all the others do not
// end up in the checkpoint because of them.
func TestFirstPageInTheFuture(t *testing.T) {
	s := desk(tiledesktest.Options{})
	const ahead = 120
	for i := range ahead {
		at := noon.Add(time.Hour + time.Duration(i)*time.Second).Format("2006-01-02T15:04:05.000Z")
		doc := fmt.Sprintf(`{"_id":"6b03ffffffffffffffff%04d","text":"ahead","id_project":%q,"createdAt":%q,"updatedAt":%[3]q}`, i, s.ID, at)
		if err := s.Put("messages", []byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	c := standIn(t, s, s.Owner.Token)
	got, cur := pull(t, c, row("messages", 0), Cursor{})
	if want := len(s.Docs("messages")); len(got) != want {
		t.Errorf("%d messages, want %d", len(got), want)
	}
	if near := len(cur.Seen) - ahead; near > 50 {
		t.Errorf("Seen holds %d messages beside those that lie ahead", near)
	}
	if again, _ := pull(t, c, row("messages", 0), cur); len(again) > 0 {
		t.Errorf("%d messages again", len(again))
	}
}
