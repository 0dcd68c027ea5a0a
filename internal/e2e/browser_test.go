package e2e

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var screenshots = flag.String("screenshots", "", "where TestBrowser leaves a picture of each view")

// browser is a tab of Chromium that looks at the console, and fails the test for a request to elsewhere or a script that fails.
type browser struct {
	*testing.T
	context.Context
	base string
}

// browse starts Chromium, whose executable TEST_CHROMIUM names.
func browse(t *testing.T, at string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(Service(t, "TEST_CHROMIUM")), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("force-prefers-reduced-motion", true), chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closed := chromedp.NewContext(ctx)
	if _, err := chromedp.Run(ctx, chromedp.Steps()); err != nil {
		t.Fatalf("start Chromium: %v", err) // and not Cancel, which waits for ever for one that did not start
	}
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); closed() }) // Cancel waits until Chromium is gone
	b := &browser{T: t, Context: ctx, base: "http://" + at}
	if err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, b.base+"/") {
				t.Errorf("the page asks for %s", e.Request.URL)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("a script failed: %v", e.ExceptionDetails)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// act works in the tab.
func act[T any](b *browser, action chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context, 2*time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func (b *browser) script(text string) { act(b, chromedp.Evaluate[chromedp.Void](text)) }

// see opens a page.
func (b *browser) see(path string) {
	b.Helper()
	resp, err := chromedp.RunResponse(b.Context, chromedp.Navigate(b.base+path))
	if err != nil || resp.Status != 200 {
		b.Fatalf("%s: %v, %v", path, resp, err)
	}
}

// value is what JavaScript makes of an expression.
func value[T any](b *browser, expression string) T {
	b.Helper()
	return act(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits for an expression to be true. It asks from here: the console's policy allows no script that makes others, as chromedp.Poll does.
func (b *browser) until(expression string) {
	b.Helper()
	for began := time.Now(); !value[bool](b, expression); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			b.Fatalf("never: %s", expression)
		}
	}
}

// TestBrowser opens the console of a running pipeline in a browser, as people do.
func TestBrowser(t *testing.T) {
	Service(t, "TEST_CHROMIUM")
	bin, data := program(t), filepath.Join(t.TempDir(), "data")
	r := run(t, bin, "DATA_DIR="+data)
	r.loaded(t, 3000)
	b := browse(t, r.at)
	b.see("/")
	pages := value[[]string](b, `[...document.querySelectorAll("nav a")].map(a => a.getAttribute("href"))`)
	if len(pages) < 5 {
		t.Fatalf("the menu has %v", pages)
	}
	pages = append(pages, "/tables/messages", "/query?sql="+url.QueryEscape("SELECT channel_name, count(*) AS conversations FROM tiledesk.requests GROUP BY 1 ORDER BY 2 DESC"))

	t.Run("each view", func(t *testing.T) { b.with(t).eachView(pages) })
	t.Run("keyboard", func(t *testing.T) { b.with(t).keyboard() })
	t.Run("live, also when the program starts again", func(t *testing.T) {
		b := b.with(t)
		b.see("/")
		// What would be lost if the page were loaded anew.
		b.script(`window.changes = 0; new MutationObserver(() => window.changes++).observe(document.getElementById("live"), {childList: true})`)
		b.until(`window.changes >= 2`)
		r.stop()
		b.until(`document.querySelector("#live.stale") !== null && getComputedStyle(document.querySelector(".stale"), "::before").content.includes("connecting again")`)
		b.script(`window.changes = 0`)
		run(t, bin, "DATA_DIR="+data, "HTTP_ADDR="+r.at)
		b.until(`window.changes >= 2 && document.querySelector("#live.stale") === null`)
	})
}

// with is the same tab for a subtest.
func (b *browser) with(t *testing.T) *browser { return &browser{t, b.Context, b.base} }

// looks are how people look at a page.
var looks = []struct {
	name, scheme  string
	width, height int64
}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 360, 740}}

func (b *browser) eachView(pages []string) {
	axe, err := os.ReadFile(Service(b.T, "TEST_AXE"))
	if err != nil {
		b.Fatal(err)
	}
	for _, look := range looks {
		if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}}}); err != nil {
			b.Fatal(err)
		}
		act(b, chromedp.EmulateViewport(look.width, look.height))
		for _, page := range pages {
			b.see(page)
			if page == "/" {
				b.until(`!document.getElementById("live").textContent.includes("Looking at")`)
			}
			b.picture(look.name, page)
			if wide := value[int64](b, `document.documentElement.scrollWidth`); wide > look.width {
				b.Errorf("%s is %d wide on a screen of %d", page, wide, look.width)
			}
			b.script(string(axe))
			type violation struct {
				ID, Impact, Help string
				Nodes            []struct{ HTML string }
			}
			for _, v := range value[[]violation](b, `axe.run().then(found => found.violations)`) {
				if v.Impact == "serious" || v.Impact == "critical" {
					b.Errorf("%s, %s: %s (%s): %s, %d such: %v", page, look.name, v.ID, v.Impact, v.Help, len(v.Nodes), v.Nodes[0])
				}
			}
		}
	}
}

// picture keeps what the page looks like, where -screenshots says where.
func (b *browser) picture(look, page string) {
	if *screenshots == "" {
		return
	}
	png := act(b, chromedp.FullScreenshot(100))
	path, _, _ := strings.Cut(page, "?")
	name := cmp.Or(strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"), "flow")
	if err := os.WriteFile(filepath.Join(*screenshots, fmt.Sprintf("%s-%d-%s.png", name, len(page), look)), png, 0o644); err != nil {
		b.Fatal(err)
	}
}

// keyboard reaches what there is to reach by the Tab key, sees where it is, and skips the menu.
func (b *browser) keyboard() {
	b.see("/query")
	type focus struct {
		Text, Outline string
		Main          bool // in the page, past the menu
	}
	next := func() focus {
		act(b, chromedp.KeyEvent(kb.Tab))
		return value[focus](b, `(() => { const a = document.activeElement; return {text: a === document.body ? "BODY" : a.textContent.trim() || a.name, outline: getComputedStyle(a).outlineStyle, main: document.getElementById("main").contains(a)} })()`)
	}
	first := next()
	if first.Text != "Skip to content" {
		b.Errorf("the first stop is %q", first.Text)
	}
	stops, all := 1, value[int](b, `document.querySelectorAll("a, button, textarea, input, select, summary").length`)
	for at := next(); at.Text != "BODY" && stops < 2*all; at = next() {
		if stops++; at.Outline == "none" {
			b.Errorf("at %q nothing shows that it is there", at.Text)
		}
	}
	if stops < all {
		b.Errorf("%d of %d can be reached by Tab", stops, all)
	}
	b.see("/query")
	next()
	act(b, chromedp.KeyEvent(kb.Enter))
	if at := next(); !at.Main {
		b.Errorf("past the menu the next stop is %q", at.Text)
	}
}

// TestBrowserHostile shows texts and questions that want to be more than that.
func TestBrowserHostile(t *testing.T) {
	Service(t, "TEST_CHROMIUM")
	t.Parallel()
	texts := []string{`<script>window.hacked = 1</script>`, `<img src=x onerror="window.hacked = 1"><img src="http://127.0.0.1:1/x.png">`, `"><svg onload=window.hacked=1>`, `</td></table><iframe src="javascript:parent.hacked=1">`,
		`<a href="javascript:window.hacked=1">x</a>`, `{{.}}<style>@import "http://127.0.0.1:1/x.css"</style>`, "javascript:window.hacked=1", "\u202e<b>\u0000"}
	desk := &hostileDesk{docs: map[string][]hostileDoc{}}
	for i, text := range texts {
		raw, err := json.Marshal(map[string]any{"_id": fmt.Sprint("m", i), "text": text, "sender": text, "recipient": text, text: text, "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z"})
		if err != nil {
			t.Fatal(err)
		}
		desk.put(t, "bots", string(raw))
		desk.put(t, "tags", string(raw))
	}
	web := httptest.NewServer(desk)
	defer web.Close()
	r := run(t, program(t), "DATA_DIR="+filepath.Join(t.TempDir(), "data"), "TILEDESK_URL="+web.URL, "TILEDESK_PROJECT_ID=65f1c0de0000000000000001", "TILEDESK_TOKEN=not-looked-at", "TILEDESK_API=v3", "TILEDESK_RESOURCES=bots,tags")
	r.loaded(t, float64(2*len(texts)))
	b := browse(t, r.at)
	ask := func(sql string) string { return "/query?sql=" + url.QueryEscape(sql) }
	for _, page := range []string{"/", "/loads", "/tables", "/tables/bots", "/tables/tags", "/state", ask("SELECT * FROM tiledesk.bots"), ask("SELECT text AS \"<script>window.hacked=1</script>\", count(*) AS n FROM tiledesk.bots GROUP BY 1 ORDER BY 1")} {
		b.see(page)
		if page == "/tables/bots" && !strings.Contains(value[string](b, `document.body.textContent`), texts[0]) {
			t.Errorf("%s does not show %s", page, texts[0])
		}
		if value[bool](b, `window.hacked !== undefined || document.querySelector("main iframe, main img, main style, main [onload], main [onerror], main a[href^='javascript']") !== null`) {
			t.Errorf("a text did something on %s", page)
		}
	}
	for _, sql := range []string{"DROP TABLE tiledesk.bots", "</textarea><script>window.hacked = 1</script>", "SELECT * FROM read_text('/etc/passwd')", "SELECT 1; DELETE FROM tiledesk.bots"} {
		act(b, chromedp.Navigate(b.base+ask(sql)))
		b.until(`document.querySelector("[role=alert]") !== null`)
		if value[bool](b, `window.hacked !== undefined`) || value[string](b, `document.querySelector("textarea").value`) != sql {
			t.Errorf("%s: did something, or is not there to be mended", sql)
		}
	}
}

// TestBrowserHuge opens the pages of a table of a million rows: they stay as small as those of a small one.
func TestBrowserHuge(t *testing.T) {
	Service(t, "TEST_CHROMIUM")
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	bin := program(t)
	r := run(t, bin, "DATA_DIR="+data)
	r.loaded(t, 3000)
	r.stop()
	db, err := sql.Open("duckdb", filepath.Join(data, "tilestream.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO tiledesk.messages BY NAME SELECT 'x' || i AS _id, repeat('long ', 50) AS text, now() AS created_at FROM generate_series(1, 1000000) AS s(i)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r = run(t, bin, "DATA_DIR="+data)
	b := browse(t, r.at)
	for page, most := range map[string]int{"/tables": 1, "/tables/messages": 50, "/query?sql=" + url.QueryEscape("SELECT _id, text FROM tiledesk.messages"): 1000} {
		b.see(page)
		if rows := value[int](b, `Math.max(0, ...[...document.querySelectorAll("table.rows tbody, .rows tbody")].map(t => t.rows.length))`); rows > most {
			t.Errorf("%s shows %d rows", page, rows)
		}
		if size := value[int](b, `document.documentElement.outerHTML.length`); size > 2<<20 {
			t.Errorf("%s is %d bytes long", page, size)
		}
	}
	b.see("/query?sql=" + url.QueryEscape("SELECT count(*) AS n FROM tiledesk.messages"))
	if n := value[float64](b, `Number(document.querySelector("main td").textContent.replaceAll(",", ""))`); n < 1e6 {
		t.Errorf("there are %v rows", n)
	}
}
