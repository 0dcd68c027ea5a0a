package ops

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal tells whether w is one that can move its cursor: a person looks, and lines may change.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// Paint colours text, or leaves it as it is.
type Paint bool

// PaintOn colours what a person reads on a terminal, unless NO_COLOR is set (https://no-color.org), and nothing else.
func PaintOn(w io.Writer) Paint { return Paint(Terminal(w) && os.Getenv("NO_COLOR") == "") }

// Bad is for what does not work.
func (p Paint) Bad(text string) string { return p.in("31", text) }

// Odd is for what should be looked at.
func (p Paint) Odd(text string) string { return p.in("33", text) }

// Good is for what works.
func (p Paint) Good(text string) string { return p.in("32", text) }

// Title is for headings.
func (p Paint) Title(text string) string { return p.in("1", text) }

func (p Paint) in(style, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}
