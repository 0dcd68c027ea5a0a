package load

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/dashboard"
	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// console is the pages of a process that loads into a warehouse, and its replays.
type console struct {
	*world
	at      string
	look    inspect.Config
	replays *Replays
}

func (w *world) console(to sink.Sink) *console {
	w.Helper()
	resources, err := schemas.ByName("tags")
	if err != nil {
		w.Fatal(err)
	}
	c := &console{world: w, look: inspect.Config{Kafka: w.kafka, Warehouse: "duckdb://" + w.duckdb(), Dataset: "tiledesk", Resources: resources}}
	c.replays = NewReplays(w.Context(), Settings{Load: w.config(), Kafka: w.kafka}, to, slog.New(slog.DiscardHandler))
	w.Cleanup(c.replays.Close)
	d := dashboard.New(dashboard.Config{AllowWrites: true}, c.look, slog.New(slog.DiscardHandler))
	d.Replays = dashboard.Replays{Check: c.replays.Check, Start: c.replays.Start, Letters: c.replays.StartLetters, Stop: c.replays.Stop,
		Now: func() dashboard.Replaying { return dashboard.Replaying(c.replays.Now()) }}
	mux := http.NewServeMux()
	d.Route(mux)
	server := httptest.NewServer(mux)
	w.Cleanup(server.Close)
	c.at = server.URL
	return c
}

func (c *console) get(path string) string {
	c.Helper()
	return c.answer(http.Get(c.at + path))
}

func (c *console) post(path string, form url.Values) string {
	c.Helper()
	return c.answer(http.PostForm(c.at+path, form))
}

// answer is the page, after a redirect, with its status before it.
func (c *console) answer(resp *http.Response, err error) string {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, page)
}

// until looks at the replay until its page says so.
func (c *console) until(says string) (page string) {
	c.Helper()
	eventually(c.T, says, func() bool {
		page = c.get("/replay")
		return strings.Contains(page, says)
	})
	return page
}

func (c *console) wants(page string, all ...string) {
	c.Helper()
	for _, want := range all {
		if !strings.Contains(page, want) {
			c.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// A replay over a table that is whole is watched to its end, and changes nothing; one into another dataset fills that.
func TestConsoleReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	w.produce(w.named("a", "tags", 0, 120)...)
	w.produce(w.named("b", "tags", 1, 80)...)
	to, err := sink.Open(t.Context(), "duckdb://"+w.duckdb(), "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	cfg := w.config()
	cfg.Until = Now()
	if err := Run(t.Context(), cfg, w.kafka, to, Events{}); err != nil {
		t.Fatal(err)
	}
	c := w.console(to)
	rows := func(dataset string) [][]any {
		a, err := c.look.Ask(t.Context(), "SELECT * EXCLUDE (_loaded_at, _load_id) FROM "+dataset+".tags ORDER BY _id", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return a.Rows
	}
	before := rows("tiledesk")
	words := url.Values{"topic": {"tags"}, "from": {"beginning"}, "to": {""}, "into": {""}}
	c.wants(c.get("/replay/confirm?"+words.Encode()), `method="post" action="/replay"`, "are loaded once more", `name="from" value="beginning"`)
	c.wants(c.get("/replay/confirm?topic=tags&from=yesterday"), "422", "it takes an offset from 0")
	c.wants(c.post("/replay", words), "200", "Replay of test.tags")
	c.wants(c.until("done."), "200 of 200", "200: 0 new, 0 updated, 200 as they were")
	if diff := cmp.Diff(before, rows("tiledesk")); diff != "" || len(before) != 200 {
		t.Errorf("%d rows changed (-before +after):\n%s", len(before), diff)
	}
	c.replays.settings.Warehouse = sink.Config{URL: ops.Secret("duckdb://" + w.duckdb()), Dataset: "tiledesk"}
	words.Set("into", "side")
	c.post("/replay", words)
	c.wants(c.until("200 new"), "into side")
	c.until("done.")
	if diff := cmp.Diff(before, rows("side")); diff != "" {
		t.Errorf("the other dataset (-live +side):\n%s", diff)
	}
}

// A replay is stopped and goes on where it was; there is one at a time, and it ends before its process does.
func TestConsoleStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.named("a", "tags", 0, 200)...)
	var mu sync.Mutex
	batches, gate := 0, make(chan struct{}) // which holds all but the first
	w.warehouse.entered = func(ctx context.Context, _ sink.Batch) {
		mu.Lock()
		batches++
		held, wait := gate, batches > 1
		mu.Unlock()
		if wait {
			select {
			case <-held:
			case <-ctx.Done():
			}
		}
	}
	c := w.console(w.warehouse)
	words := url.Values{"topic": {"tags"}, "from": {"0"}}
	c.wants(c.post("/replay", words), "200")
	writes := func(n int) {
		eventually(t, "the replay writes", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return batches >= n
		})
	}
	writes(2)
	c.wants(c.post("/replay", words), "422", "is under way")
	c.wants(c.post("/dead-letters/replay", words), "422", "is under way")
	c.wants(c.get("/replay/stop"), `method="post" action="/replay/stop"`)
	c.post("/replay/stop", nil)
	close(gate) // the batch that it is at is written
	c.until("stopped; the same words go on")
	before := c.replays.Now().Rows
	c.post("/replay", words)
	c.until("done.")
	if after := c.replays.Now().Rows; before == 0 || before+after != 200 {
		t.Errorf("%d rows before it was stopped and %d after, want 200 together", before, after)
	}
	if want, _ := w.truth("tags"); !cmp.Equal(want, w.warehouse.places()) {
		t.Errorf("rows (-topic +warehouse):\n%s", cmp.Diff(want, w.warehouse.places()))
	}

	mu.Lock()
	batches, gate = 1, make(chan struct{})
	mu.Unlock()
	c.post("/replay", words)
	writes(2)
	var closed sync.WaitGroup
	closed.Go(c.replays.Close)
	eventually(t, "the program is ending", func() bool { return strings.Contains(c.post("/replay", words), "the program is ending") })
	close(gate)
	closed.Wait()
	if now := c.replays.Now(); !now.Stopped || now.Ended.IsZero() {
		t.Errorf("after the end of the process it is %+v", now)
	}
}

// Letters are shown with what they hold, whoever has written it, and each is loaded once.
func TestConsoleLetters(t *testing.T) {
	t.Parallel()
	const hostile = `</pre><script>alert("x")</script>` + "\x1b[31m\u202e"
	w := newWorld(t, 1, "tags")
	broken := w.record("tags", 0, "bad-"+hostile, 10)
	broken.Value = []byte(hostile + strings.Repeat("<b>", 100_000))
	w.produce(broken, w.record("tags", 0, "bad-2", 10), w.record("tags", 0, "bad-3", 10))
	w.produce(w.named("good", "tags", 0, 60)...)
	w.warehouse.refuses = isBad
	w.drain(w.config())
	c := w.console(w.warehouse)
	list := c.get("/dead-letters")
	c.wants(list, "3 wait", "too long", "not a registry frame", `href="/dead-letters/tags/0/`, "/dead-letters/replay?topic=tags")
	pages := []string{list, c.get("/dead-letters?topic=tags")}
	for _, l := range w.letters("tags") {
		page := c.get(fmt.Sprintf("/dead-letters/tags/%d/%d", l.At.Partition, l.At.Offset))
		pages = append(pages, page)
		c.wants(page, "200", "test.tags.dlq", fmt.Sprintf("test.tags, partition 0, offset %d", l.Offset), "memory", "attempt 1", "00000000  ")
		if l.Offset == 0 {
			c.wants(page, "not a registry frame", "&lt;script&gt;", "The beginning.", "300,041 bytes")
		} else {
			c.wants(page, "As a row", "&#34;_id&#34;: &#34;bad-", "too long", `<th scope="row">column</th><td>tag</td>`)
		}
		if len(page) > 1<<20 {
			t.Errorf("the page of a letter has %d bytes", len(page))
		}
	}
	for _, page := range pages {
		for _, bad := range []string{"<script>alert", "</pre><script", "\x1b", "\u202e"} {
			if strings.Contains(page, bad) {
				t.Errorf("a page has %q", bad)
			}
		}
	}
	for _, path := range []string{"/dead-letters/tags/0/4711", "/dead-letters/tags/7/0", "/dead-letters/tags/-1/0", "/dead-letters/none/0/0", "/dead-letters?topic=none", "/dead-letters/replay?topic=none"} {
		c.wants(c.get(path), "404")
	}

	w.warehouse.mu.Lock()
	w.warehouse.refuses = nil
	w.warehouse.mu.Unlock()
	c.wants(c.get("/dead-letters/replay?topic=tags"), `action="/dead-letters/replay"`, "each once")
	c.post("/dead-letters/replay", url.Values{"topic": {"tags"}})
	c.wants(c.until("done."), "Dead letters of test.tags", "2: 2 new", `refused</th><td>1,`)
	c.post("/dead-letters/replay", url.Values{"topic": {"tags"}})
	c.until("0: 0 new")
	c.until("done.")
	for p, n := range w.warehouse.places() {
		if n != 1 {
			t.Errorf("%v is there %d times", p, n)
		}
	}
	if n := w.warehouse.count(); n != 62 {
		t.Errorf("%d rows, want 62", n)
	}
	c.wants(c.get("/dead-letters"), "1 wait", `<td class="n">3</td>`)
}
