package ops

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// help prints what a command does, its subcommands where it has any, its flags, examples, and the settings it reads. Those that its
// program reads too are named only.
func help(w io.Writer, c Command, commands []Command) {
	program := commands[0]
	p := page{w, PaintOn(w), widthOf(w)}
	p.wrapped("", c.Name+": "+c.Summary)
	fmt.Fprintf(w, "\nUsage: %s\n", strings.TrimSpace(c.Name+" [flags] "+c.Args))
	var rows [][2]string
	if c.Name == program.Name {
		fmt.Fprintf(w, "       %s COMMAND [flags]\n", c.Name)
		for _, s := range commands[1:] {
			rows = append(rows, [2]string{strings.TrimPrefix(s.Name, c.Name+" "), s.Summary})
		}
		p.section("Commands (-h after one tells more)", rows)
	}
	rows = nil
	c.flags(new(Options)).VisitAll(func(f *flag.Flag) {
		arg, usage := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			usage += " (default " + f.DefValue + ")"
		}
		rows = append(rows, [2]string{strings.TrimSpace("-" + f.Name + " " + arg), usage})
	})
	p.section("Flags", rows)
	if c.Examples != "" {
		p.title("Examples")
	}
	for line := range strings.Lines(c.Examples) {
		args, why, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  # ")
		if why != "" {
			p.wrapped("  # ", why)
		}
		fmt.Fprintln(w, "  "+strings.TrimSpace(c.Name+" "+args))
	}
	own, shared := c.variables(), []string(nil)
	if c.Name != program.Name {
		theirs := program.variables()
		own = slices.DeleteFunc(own, func(v Variable) bool {
			both := slices.ContainsFunc(theirs, func(t Variable) bool { return t.Name == v.Name })
			if both && !slices.Contains(shared, v.shown()) {
				shared = append(shared, v.shown())
			}
			return both
		})
	}
	p.section("Settings: environment variables; NAME_FILE may hold the path of a file with the value of NAME", settingRows(own))
	if len(shared) > 0 {
		p.title("Settings that " + program.Name + " has too (" + program.Name + " -h)")
		p.wrapped("  ", strings.Join(shared, ", "))
	}
	fmt.Fprint(w, "\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done but with dead letters\n")
}

// variables are the settings that a command reads, those that every one has included.
func (c Command) variables() []Variable {
	if c.Config == nil {
		return CommonVariables()
	}
	return append(Variables(c.Config), CommonVariables()...)
}

// settingRows is a row for each setting, and one for each family of them.
func settingRows(vs []Variable) (rows [][2]string) {
	for i, v := range vs {
		if name := strings.TrimPrefix(v.Name, v.Family); v.Family != "" {
			if i > 0 && vs[i-1].Family == v.Family {
				rows[len(rows)-1][1] += ", " + name
			} else {
				rows = append(rows, [2]string{v.shown(), v.FamilyHelp + ": " + name})
			}
			continue
		}
		text := v.Help
		if text == "" {
			text = v.Takes
		}
		switch {
		case v.Required:
			text += " (required)"
		case v.Default != "":
			text += " (default " + v.Default + ")"
		}
		rows = append(rows, [2]string{v.Name, text})
	}
	return rows
}

func (v Variable) shown() string {
	if v.Family != "" {
		return v.Family + "*"
	}
	return v.Name
}

// page is what help is written on.
type page struct {
	io.Writer
	Paint
	width int
}

// widthOf is how many characters a line of help has at most.
func widthOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return max(60, min(n, 120))
		}
	}
	return 100
}

func (p page) title(text string) { fmt.Fprintf(p, "\n%s\n", p.Title(text+":")) }

// section prints a title and two columns; nothing where there are no rows.
func (p page) section(title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	p.title(title)
	first := 0
	for _, r := range rows {
		first = max(first, len(r[0]))
	}
	for _, r := range rows {
		p.wrapped(fmt.Sprintf("  %-*s  ", first, r[0]), r[1])
	}
}

// wrapped prints text behind a first column, in as many lines as it takes.
func (p page) wrapped(first, text string) {
	line, empty := first, true
	for word := range strings.FieldsSeq(text) {
		if !empty && len(line)+1+len(word) > p.width {
			fmt.Fprintln(p, line)
			line, empty = strings.Repeat(" ", len(first)), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(p, strings.TrimRight(line, " "))
}
