package poll

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tilestream/producer/tiledesk"
	"tilestream/producer/tiledesk/tiledesktest"
)

func TestOncePublishesChangesOnce(t *testing.T) {
	r := newRig(t)
	for i := range 250 {
		r.put(r.tiledesk.Project, "leads", fmt.Sprintf("lead-%03d", i), 1)
	}
	r.put(r.tiledesk.Project, "tags", "tag-1", 1)
	r.mustOnce()
	first := r.published("leads")
	if len(first) != 250 {
		t.Fatalf("%d of 250 leads published", len(first))
	}
	r.mustOnce()
	r.put(r.tiledesk.Project, "leads", "lead-007", 2)
	r.put(r.tiledesk.Project, "tags", "tag-1", 2)
	r.mustOnce()
	for id, versions := range r.published("leads") {
		want := 1
		if id == "lead-007" {
			want = 2
		}
		if len(versions) != want {
			t.Errorf("%s was published %d times, want %d", id, len(versions), want)
		}
	}
	if got := r.published("tags")["tag-1"]; len(got) != 2 || versionIn(got[1]) != "v2" {
		t.Errorf("tag-1 was published as %q, want v1, then v2", got)
	}
}

func TestRecords(t *testing.T) {
	r := newRig(t)
	r.put(r.tiledesk.Project, "tags", "tag-1", 1)
	before := time.Now().Truncate(time.Millisecond)
	r.mustOnce("tags")
	records := r.read("test.tags")
	if len(records) != 1 {
		t.Fatalf("%d records, want 1", len(records))
	}
	rec := records[0]
	headers := map[string]string{}
	for _, h := range rec.Headers {
		headers[h.Key] = string(h.Value)
	}
	if want := map[string]string{"project": r.tiledesk.ID, "source": "v3"}; !maps.Equal(headers, want) {
		t.Errorf("headers %v, want %v", headers, want)
	}
	if string(rec.Key) != "tag-1" || rec.Value[0] != 0 || rec.Timestamp.Before(before) {
		t.Errorf("key %q, magic byte %d, timestamp %s: want tag-1, 0, not before %s", rec.Key, rec.Value[0], rec.Timestamp, before)
	}
}

// TestNothingNewCostsNoTransaction counts what a poll that finds nothing asks of Kafka.
func TestNothingNewCostsNoTransaction(t *testing.T) {
	r := newRig(t)
	yesterday := time.Now().Add(-24 * time.Hour) // what has just changed moves the watermark until it has settled
	r.putAt(r.tiledesk.Project, "leads", "lead-1", 1, yesterday)
	r.putAt(r.tiledesk.Project, "tags", "tag-1", 1, yesterday)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var polls atomic.Int64
	caughtUp := make(chan struct{}, 1000)
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Interval: Intervals{"": 100 * time.Millisecond}}, r.kafka, []*tiledesk.Client{r.client(r.tiledesk.Project)}, Events{
			CaughtUp: func(string, string) { polls.Add(1); caughtUp <- struct{}{} },
		})
	}()
	for range 30 { // every stream has polled, and those that look at an overlap twice
		<-caughtUp
	}
	ends := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn, kmsg.Produce}, Count: -1, Observe: true, When: func(kmsg.Request) bool { return true }})
	for range 30 {
		<-caughtUp
	}
	if n := ends.Hits(); n != 0 {
		t.Errorf("%d produce and end-transaction requests in 30 polls that found nothing", n)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run returned %v after its context ended", err)
	}
}

// TestPagesShareATransaction has the first transaction wait until all pages are fetched: those behind it are committed together.
func TestPagesShareATransaction(t *testing.T) {
	r := newRig(t)
	const pages = 10
	for i := range 100 * pages {
		r.putAt(r.tiledesk.Project, "leads", fmt.Sprint("lead-", i), 1, time.Now().Add(-time.Hour+time.Duration(i)*time.Second))
	}
	ends := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Count: -1, Observe: true, When: func(kmsg.Request) bool {
		for wait := time.Now().Add(2 * time.Second); r.tiledesk.Calls("leads") > 0 && r.tiledesk.Calls("leads") < pages && time.Now().Before(wait); {
			time.Sleep(time.Millisecond)
		}
		return true
	}})
	r.mustOnce("leads")
	if n := len(r.published("leads")); n != 100*pages {
		t.Errorf("%d leads are published, want %d", n, 100*pages)
	}
	if n := ends.Hits(); n >= pages { // there are those of the lane, too
		t.Errorf("%d ends of transactions for %d pages", n, pages)
	}
}

// TestStoppedAnywhere stops a producer at random moments, loses replies of the broker, and lets the source change all the
// while. In the end every topic holds every document's last version, and none twice in a row.
func TestStoppedAnywhere(t *testing.T) {
	r := newRig(t)
	rnd := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	version := map[string]int{}
	change := func(n int) {
		for range n {
			id := fmt.Sprintf("%03d", rnd.IntN(400)) // pages of 100
			version[id]++
			r.put(r.tiledesk.Project, "leads", "lead-"+id, version[id])
			r.put(r.tiledesk.Project, "tags", "tag-"+id, version[id])
		}
	}
	change(800)
	keys := []kmsg.Key{kmsg.Produce, kmsg.EndTxn, kmsg.InitProducerID, kmsg.AddPartitionsToTxn}
	for range 25 {
		lost := r.cluster.Fault(kfake.Fault{Keys: keys[rnd.IntN(len(keys)):][:1], Err: kerr.RequestTimedOut, Count: 1,
			When: func(kmsg.Request) bool { return rnd.IntN(3) == 0 }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(400))*time.Millisecond)
		_ = r.once(ctx, "leads", "tags") // its end is a matter of luck
		cancel()
		lost.Remove()
		change(rnd.IntN(200))
	}
	r.mustOnce("leads", "tags")
	for _, resource := range []string{"leads", "tags"} {
		got := r.published(resource)
		if len(got) < len(version) {
			t.Errorf("%s: %d of %d documents published", resource, len(got), len(version))
		}
		for id, v := range version {
			frames := got[strings.TrimSuffix(resource, "s")+"-"+id]
			if len(frames) == 0 {
				t.Errorf("%s %s: not published", resource, id)
				continue
			}
			if last := versionIn(frames[len(frames)-1]); last != fmt.Sprint("v", v) {
				t.Errorf("%s %s: the last version published is %s, want v%d", resource, id, last, v)
			}
			for i := 1; i < len(frames); i++ {
				if frames[i] == frames[i-1] {
					t.Errorf("%s %s: %s was published twice", resource, id, versionIn(frames[i]))
				}
			}
		}
	}
}

// TestZombie lets a second owner take a lane over while the first sits before its commit.
func TestZombie(t *testing.T) {
	r := newRig(t)
	r.put(r.tiledesk.Project, "tags", "tag-1", 1)
	r.mustOnce("tags") // the topics are there
	r.put(r.tiledesk.Project, "tags", "tag-2", 1)
	r.tiledesk.Fail(tiledesktest.Fault{Path: "tags", Times: 1, Delay: 1500 * time.Millisecond})
	zombie := make(chan error, 1)
	go func() { zombie <- r.once(t.Context(), "tags") }()
	for r.tiledesk.Calls("tags") < 2 { // it owns the lane, and waits for its page
		time.Sleep(5 * time.Millisecond)
	}
	r.mustOnce("tags") // the successor publishes tag-2
	if err := <-zombie; !isFenced(err) || !strings.Contains(err.Error(), "another producer took over") {
		t.Errorf("the zombie ended with %v", err)
	}
	for id, versions := range r.published("tags") {
		if len(versions) != 1 {
			t.Errorf("%s was published %d times", id, len(versions))
		}
	}
}

// TestInstancesShareProjects runs two instances over many projects, and takes one away.
func TestInstancesShareProjects(t *testing.T) {
	r := newRig(t)
	projects := []*tiledesktest.Project{r.tiledesk.Project}
	for i := range 7 {
		projects = append(projects, r.tiledesk.AddProject(fmt.Sprintf("6b03000000000000000001%02d", i), "Another"))
	}
	change := func(version int) {
		for _, p := range projects {
			for i := range 5 {
				r.put(p, "tags", fmt.Sprintf("%s-%d", p.ID[20:], i), version)
			}
		}
	}
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		var clients []*tiledesk.Client
		for _, p := range projects {
			clients = append(clients, r.client(p))
		}
		go func() {
			defer close(done)
			_ = Run(ctx, Config{Resources: []string{"tags"}, Interval: Intervals{"": 100 * time.Millisecond}}, r.kafka, clients, Events{})
		}()
		return sync.OnceFunc(func() { cancel(); <-done })
	}
	arrived := func(version int) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
			missing := 0
			got := r.published("tags")
			for _, p := range projects {
				for i := range 5 {
					frames := got[fmt.Sprintf("%s-%d", p.ID[20:], i)]
					if len(frames) != version {
						missing++
					}
				}
			}
			if missing == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d documents were not published %d times", missing, version)
			}
		}
	}
	change(1)
	stopA := start()
	defer stopA()
	arrived(1)
	stopB := start()
	defer stopB()
	if _, err := r.cluster.WaitGroupStable(t.Context(), "test-producer", 2); err != nil {
		t.Fatal(err)
	}
	change(2)
	arrived(2)
	stopA()
	change(3)
	arrived(3)
}

func TestFailures(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault tiledesktest.Fault
		fails bool // Run returns an error
		skips bool
	}{
		{"forbidden", tiledesktest.Fault{Path: "leads", Status: 403, Body: `{"success":false,"msg":"you dont have the required role."}`}, false, true},
		{"absent", tiledesktest.Fault{Path: "leads", Status: 404, Body: "Cannot GET /leads", Type: "text/html"}, false, true},
		{"unauthorized", tiledesktest.Fault{Path: "leads", Status: 401, Body: "Unauthorized", Type: "text/plain"}, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.put(r.tiledesk.Project, "leads", "lead-1", 1)
			r.put(r.tiledesk.Project, "tags", "tag-1", 1)
			r.tiledesk.Fail(tc.fault)
			var mu sync.Mutex
			skipped := map[string]error{}
			err := Run(t.Context(), Config{Once: true}, r.kafka, []*tiledesk.Client{r.client(r.tiledesk.Project)}, Events{
				Skipped: func(_, resource string, why error) { mu.Lock(); defer mu.Unlock(); skipped[resource] = why },
			})
			if (err != nil) != tc.fails {
				t.Errorf("Run returned %v", err)
			}
			var failure *tiledesk.Error
			if tc.fails && (!errors.As(err, &failure) || failure.Status != http.StatusUnauthorized || failure.Resource != "leads") {
				t.Errorf("the error does not tell of leads and 401: %v", err)
			}
			if _, ok := skipped["leads"]; ok != tc.skips || len(skipped) > 1 {
				t.Errorf("skipped %v", skipped)
			}
			if len(r.published("tags")) != 1 {
				t.Error("the other resources did not go on")
			}
			r.tiledesk.Heal()
			r.mustOnce()
			if got := r.published("leads")["lead-1"]; len(got) != 1 {
				t.Errorf("after the failure lead-1 was published %d times", len(got))
			}
		})
	}
}

// TestNothingReadable gives the producer a server that knows none of the resources.
func TestNothingReadable(t *testing.T) {
	r := newRig(t)
	r.tiledesk.Fail(tiledesktest.Fault{Status: 404, Body: "Cannot GET", Type: "text/html"})
	if err := r.once(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing could be read of project "+r.tiledesk.ID) {
		t.Errorf("error %v, want one that says that nothing could be read", err)
	}
}

// TestRefusedCheckpoints writes checkpoints that this program must not go on from.
func TestRefusedCheckpoints(t *testing.T) {
	for name, tc := range map[string]struct{ project, value, want string }{
		"newer format":    {"", `{"v":99,"cursor":"of another type"}`, "has format 99, and this version"},
		"not JSON":        {"", `{"v`, "unexpected end"},
		"other partition": {"6b0300000000000000000999", `{"v":1,"cursor":{}}`, "partition count was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.put(r.tiledesk.Project, "tags", "tag-1", 1)
			r.mustOnce("tags")
			project := tc.project
			if project == "" {
				project = r.tiledesk.ID
			}
			cl, err := r.kafka.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			err = cl.ProduceSync(t.Context(), &kgo.Record{
				Topic: "test.checkpoints", Partition: partitionOf(r.tiledesk.ID, 16), Key: []byte(project + "/tags"), Value: []byte(tc.value),
			}).FirstErr()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.once(t.Context(), "tags"); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that says %q", err, tc.want)
			}
		})
	}
}

func TestIntervals(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "map[]",
		"10s":                "map[:10s]",
		"10s,bots=5m":        "map[:10s bots:5m0s]",
		" bots=5m , tags=1h": "map[bots:5m0s tags:1h0m0s]",
		"10":                 "not an interval",
		"1ms":                "not an interval",
		"bots":               "not an interval",
		"bot=5m":             "unknown resource",
		"5s,6s":              "set before",
	} {
		v := Intervals{}
		got := ""
		if err := v.UnmarshalText([]byte(text)); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(map[string]time.Duration(v))
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q gives %s, want %s", text, got, want)
		}
	}
}
