package dashboard

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"tilestream/internal/ops"
	"tilestream/schemas"
)

// Replays is what the process that serves the console can do: it owns the work, one replay at a time. Without Start it can do none.
// Errors are what is wrong with the words, or that one is under way.
type Replays struct {
	Check   func(topic, from, to, into string) error
	Start   func(topic, from, to, into string) error
	Letters func(topic string) error // loads a topic's dead letters once more
	Stop    func()
	Now     func() Replaying
}

// Replaying is a replay that is under way, or the last one that was.
type Replaying struct {
	Topic, From, To, Into string    // From is "" where it is of dead letters
	Began, Ended          time.Time // zero: none yet; and still under way
	Done, All             int64     // offsets; All is 0 until they are counted, and of dead letters
	ETA                   string    // at the pace so far
	Rows                  int64
	Inserted              int64
	Updated               int64
	Unchanged             int64
	Refused               int64 // dead letters
	Stopped               bool  // before its end
	Failed                string
}

// Runs tells that it is under way.
func (r Replaying) Runs() bool { return !r.Began.IsZero() && r.Ended.IsZero() }

// Percent is how much of it is done.
func (r Replaying) Percent() float64 { return 100 * float64(r.Done) / float64(max(1, r.All)) }

// State is how it is, in a word that the style sheet knows.
func (r Replaying) State() string {
	switch {
	case r.Failed != "":
		return "bad"
	case r.Runs():
		return "busy"
	case r.Stopped || r.Refused > 0:
		return "late"
	case r.Began.IsZero():
		return "idle"
	}
	return "ok"
}

// confirmation says what a button will do before it does it.
type confirmation struct {
	What    []string
	Command string // does the same
	Action  string // "": the console may not
	Fields  [][2]string
	Button  string
	Back    string
}

func (c *Console) replaying() any {
	if c.Replays.Now == nil {
		return Replaying{}
	}
	return c.Replays.Now()
}

func (c *Console) showReplay(w http.ResponseWriter, r *http.Request) {
	c.render(w, r, "replay.html", "Replay", struct {
		Now       any
		Resources []schemas.Resource
		Dataset   string
		Writes    bool
	}{c.replaying(), c.look.Resources, c.look.Dataset, c.writes()})
}

func (c *Console) replayEvents(w http.ResponseWriter, r *http.Request) {
	c.stream(w, r, "replay.html", c.replaying)
}

// words are those of a replay, from a page or its address.
func words(r *http.Request) (topic, from, to, into string) {
	value := func(name string) string { return strings.TrimSpace(r.FormValue(name)) }
	return value("topic"), value("from"), value("to"), value("into")
}

func (c *Console) confirmReplay(w http.ResponseWriter, r *http.Request) {
	topic, from, to, into := words(r)
	if c.Replays.Check != nil {
		if err := c.Replays.Check(topic, from, to, into); err != nil {
			c.refuse(w, r, err)
			return
		}
	}
	p := confirmation{Back: "/replay", Button: "Start the replay", Fields: [][2]string{{"topic", topic}, {"from", from}, {"to", to}, {"into", into}}}
	until := "the end of the topic as it is when the replay begins"
	if to != "" {
		until = to + ", which is not included"
	}
	p.What = []string{"The records of " + topic + " from " + from + " to " + until + " are loaded once more, beside live loading."}
	if into == "" || into == c.look.Dataset {
		p.What = append(p.What, "They go into the table of live loading. The newest version wins: what is whole stays as it is, and what was missing, or has got a column since, is filled in.")
	} else {
		p.What = append(p.What, "They go into the dataset "+into+", which is created where there is none. The table of live loading stays as it is.")
	}
	p.What = append(p.What, "Live loading goes on, slower. The replay can be stopped; the same words go on where it was.")
	p.Command = "consumer replay -topic " + shell(topic) + " -from " + shell(from)
	if to != "" {
		p.Command += " -to " + shell(to)
	}
	if into != "" {
		p.Command += " -into " + shell(into)
	}
	c.confirm(w, r, "Replay "+topic, "/replay", p)
}

func (c *Console) confirmLetters(w http.ResponseWriter, r *http.Request) {
	res, ok := c.resource(r.FormValue("topic"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	c.confirm(w, r, "Replay the dead letters of "+res.Name, "/dead-letters/replay", confirmation{
		What: []string{
			"The dead letters of " + res.Name + " that wait are loaded once more, each once, as the records they were: newer versions of their rows stay.",
			"What is refused again becomes a letter of the next attempt. Documents that were never published count as seen: Tiledesk has them.",
		},
		Command: "consumer dlq replay -topic " + shell(res.Name), Fields: [][2]string{{"topic", res.Name}},
		Button: "Load them once more", Back: "/dead-letters?topic=" + res.Name,
	})
}

func (c *Console) confirmStop(w http.ResponseWriter, r *http.Request) {
	c.confirm(w, r, "Stop the replay", "/replay/stop", confirmation{
		What:   []string{"The replay ends after the batch that it is at. What it has loaded stays, and the same words go on from there."},
		Button: "Stop it", Back: "/replay",
	})
}

// confirm shows the button where the console may do it, and else the command.
func (c *Console) confirm(w http.ResponseWriter, r *http.Request, title, action string, p confirmation) {
	if c.writes() {
		p.Action = action
	}
	c.render(w, r, "confirm.html", title, struct {
		Title string
		confirmation
		DuckDB bool
	}{title, p, strings.HasPrefix(c.look.Warehouse, "duckdb:")})
}

func (c *Console) startReplay(w http.ResponseWriter, r *http.Request) {
	topic, from, to, into := words(r)
	c.done(w, r, c.Replays.Start(topic, from, to, into))
}

func (c *Console) startLetters(w http.ResponseWriter, r *http.Request) {
	res, ok := c.resource(r.FormValue("topic"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	c.done(w, r, c.Replays.Letters(res.Name))
}

func (c *Console) stopReplay(w http.ResponseWriter, r *http.Request) {
	c.Replays.Stop()
	c.done(w, r, nil)
}

// done leads to where what was begun can be watched.
func (c *Console) done(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/replay", http.StatusSeeOther)
}

// refuse says what is wrong with the words of a request.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var usage *ops.UsageError
	if !errors.As(err, &usage) {
		c.fail(w, r, err)
		return
	}
	c.renderAs(w, r, http.StatusUnprocessableEntity, "refused.html", "That cannot be done", err.Error())
}

// shell quotes a word for a command line.
func shell(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("._:+-", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
