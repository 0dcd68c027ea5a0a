// Package dashboard is the console: one embedded page, served where the program answers for its health, that shows what is under way and
// what to do about what is not. It reads topics, registry and warehouse, and changes nothing, unless it is allowed to start and stop replays.
package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tilestream/consumer/inspect"
	"tilestream/internal/ops"
)

// Config is who may look, from where.
type Config struct {
	Token       ops.Secret `env:"CONSOLE_TOKEN" help:"what the console asks browsers for; without it, it is for this machine alone"`
	AllowWrites bool       `env:"CONSOLE_ALLOW_WRITES, default=false" help:"true lets who may see the console start and stop replays there; else it only looks"`
}

// Console is an http.Handler of all its pages.
type Console struct {
	Config
	Replays  Replays // set before the first request
	look     inspect.Config
	log      *slog.Logger
	gatherer prometheus.Gatherer // the metrics of this process
	pages    map[string]*template.Template
	sessions sessions
	flow     flow
}

//go:embed pages static
var files embed.FS

// A view is a page in the menu.
type view struct{ Path, Title string }

var menu = []view{{"/", "Flow"}, {"/loads", "Loads"}, {"/tables", "Tables"}, {"/query", "Query"}, {"/dead-letters", "Dead letters"}, {"/replay", "Replay"}, {"/state", "State"}}

// New is the console of what look names.
func New(c Config, look inspect.Config, log *slog.Logger) *Console {
	look.Brief = true
	console := &Console{Config: c, look: look, log: log, gatherer: prometheus.DefaultGatherer, pages: map[string]*template.Template{}}
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"number": number, "ago": ago, "took": took, "plain": plain, "brief": brief, "menu": func() []view { return menu },
	}).ParseFS(files, "pages/layout.html"))
	entries, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, name := range entries {
		if name != "pages/layout.html" {
			console.pages[name[len("pages/"):]] = template.Must(template.Must(layout.Clone()).ParseFS(files, name))
		}
	}
	return console
}

// Route adds the console to the routes of a program.
func (c *Console) Route(mux *http.ServeMux) {
	for pattern, show := range map[string]http.HandlerFunc{
		"GET /{$}":           c.showFlow,
		"GET /events":        c.events,
		"GET /loads":         c.showLoads,
		"GET /tables":        c.showTables,
		"GET /tables/{name}": c.showTable,
		"GET /query":         c.showQuery,
		"GET /query.csv":     c.showCSV,
		"GET /state":         c.showState,

		"GET /dead-letters":                             c.showLetters,
		"GET /dead-letters/{name}/{partition}/{offset}": c.showLetter,
		"GET /dead-letters/replay":                      c.confirmLetters,
		"POST /dead-letters/replay":                     c.act(c.startLetters),
		"GET /replay":                                   c.showReplay,
		"GET /replay/events":                            c.replayEvents,
		"GET /replay/confirm":                           c.confirmReplay,
		"POST /replay":                                  c.act(c.startReplay),
		"GET /replay/stop":                              c.confirmStop,
		"POST /replay/stop":                             c.act(c.stopReplay),
	} {
		mux.Handle(pattern, c.Guard(show))
	}
	mux.Handle("GET /sign-in", headers(http.HandlerFunc(c.showSignIn)))
	mux.Handle("POST /sign-in", headers(http.HandlerFunc(c.signIn)))
	mux.Handle("GET /static/", headers(http.FileServerFS(files)))
}

// render writes a page, or an error in its place: nothing of a page that fails half way.
func (c *Console) render(w http.ResponseWriter, r *http.Request, page, title string, data any) {
	c.renderAs(w, r, http.StatusOK, page, title, data)
}

func (c *Console) renderAs(w http.ResponseWriter, r *http.Request, status int, page, title string, data any) {
	var b bytes.Buffer
	if err := c.pages[page].Execute(&b, struct {
		Title, Path string
		Data        any
	}{title, r.URL.Path, data}); err != nil {
		c.log.Warn("console", "path", r.URL.Path, "error", err)
		http.Error(w, fmt.Sprintf("show %s: %v", page, err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// fail tells what went wrong, on the page where it did.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is there any more
	}
	c.log.Warn("console", "path", r.URL.Path, "error", err)
	c.renderAs(w, r, http.StatusServiceUnavailable, "error.html", "Error", err.Error())
}

// number groups the digits of an int, int64 or float64: 1,234,567.
func number(n any) string {
	var s string
	if f, ok := n.(float64); ok && f < 10 {
		return fmt.Sprintf("%.1f", f)
	} else if ok {
		s = fmt.Sprintf("%.0f", f)
	} else {
		s = fmt.Sprint(n)
	}
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ago is the time since t, as people say it.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return took(time.Since(t)) + " ago"
}

// took is a duration of two digits or three.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
