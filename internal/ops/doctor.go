package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Check is one thing that a program needs to work.
type Check struct {
	Name  string // what is looked at, such as "topic tiledesk.messages"
	Needs string // the check without which this one is not worth trying; "" for none
	// Try looks. It returns what it found, in a few words; the error of one that does not work says what to do about it. What
	// works but should be looked at is a *Warning.
	Try func(ctx context.Context) (found string, err error)
}

// Warning is the error of a Check that does not keep the program from working.
type Warning struct{ Err error }

func (w *Warning) Error() string { return w.Err.Error() }
func (w *Warning) Unwrap() error { return w.Err }

// ErrUnwell is what Examine returns where a check failed.
var ErrUnwell = errors.New("not everything works")

// checkTimeout bounds one check: whoever asks a doctor does not want to wait for every retry.
const checkTimeout = 20 * time.Second

// finding is what came of a check, as it is printed.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warning, failed or skipped
	Found  string `json:"found"`
}

// Examine makes the checks in their order and prints what came of each at once: as lines of text, or as a JSON object on each
// line. The error is ErrUnwell, with how many failed, or that of printing.
func Examine(ctx context.Context, o Options, checks []Check) error {
	well := map[string]bool{}
	failed, warned := 0, 0
	width := 0
	for _, c := range checks {
		width = max(width, len(c.Name))
	}
	for _, c := range checks {
		f := finding{Check: c.Name}
		if c.Needs != "" && !well[c.Needs] {
			f.Result, f.Found = "skipped", "not tried, since "+c.Needs+" does not work"
		} else {
			f.Result, f.Found = c.examine(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch f.Result {
		case "failed":
			failed++
		case "warning":
			warned++
			fallthrough
		case "ok":
			well[c.Name] = true
		}
		if err := f.print(o, width); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d checks failed", ErrUnwell, failed, len(checks))
	}
	if o.JSON {
		return nil
	}
	said := fmt.Sprintf("\nAll %d checks are well.\n", len(checks))
	if warned > 0 {
		said = fmt.Sprintf("\nAll %d checks are well, %d with a warning.\n", len(checks), warned)
	}
	_, err := io.WriteString(o.Stdout, said)
	return err
}

func (c Check) examine(ctx context.Context) (result, found string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found, err := c.Try(ctx)
	var warning *Warning
	switch {
	case err == nil:
		return "ok", found
	case errors.As(err, &warning):
		return "warning", err.Error()
	case ctx.Err() != nil:
		return "failed", fmt.Sprintf("no answer within %v: %v", checkTimeout, err)
	}
	return "failed", err.Error()
}

func (f finding) print(o Options, width int) error {
	if o.JSON {
		return o.Encode(f)
	}
	p := PaintOn(o.Stdout)
	mark := map[string]string{"ok": p.Good("ok  "), "warning": p.Odd("warn"), "failed": p.Bad("FAIL"), "skipped": "skip"}[f.Result]
	name := f.Check
	for line := range strings.Lines(f.Found) {
		if _, err := fmt.Fprintf(o.Stdout, "%s  %-*s  %s\n", mark, width, name, strings.TrimRight(line, "\n")); err != nil {
			return err
		}
		mark, name = "    ", ""
	}
	return nil
}

// Skew is the finding of a check that compares a clock of the other side with ours: it differs by up to a little more than the
// time that the question took.
func Skew(whose string, theirs, asked, answered time.Time) (string, error) {
	ours := asked.Add(answered.Sub(asked) / 2)
	ahead := theirs.Sub(ours).Round(time.Second)
	text := fmt.Sprintf("%s differs from ours by %v", whose, ahead.Abs())
	if ahead.Abs() > mostSkew+answered.Sub(asked) {
		return "", &Warning{fmt.Errorf("%s: times in the tables and in what status says of freshness are off by as much; set both clocks by NTP", text)}
	}
	return text, nil
}

// mostSkew is what no one needs to know about: HTTP's Date has whole seconds.
const mostSkew = 5 * time.Second
