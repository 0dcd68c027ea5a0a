package ops

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// help prints what a command does, its flags, its subcommands where it has any, and the settings it reads.
func help(w io.Writer, name string, c Command, fs *flag.FlagSet, program Command, subcommands []Command) {
	fmt.Fprintf(w, "%s: %s\n\nUsage: %s\n", name, c.Summary, strings.TrimSpace(name+" [flags] "+c.Args))
	section(w, "Flags", func(row func(...string)) {
		fs.VisitAll(func(f *flag.Flag) {
			arg, usage := flag.UnquoteUsage(f)
			row(strings.TrimSpace("-"+f.Name+" "+arg), usage)
		})
	})
	if c.Name == program.Name {
		section(w, "Commands", func(row func(...string)) {
			for _, s := range subcommands {
				row(s.Name, s.Summary)
			}
		})
	}
	section(w, "Environment (NAME_FILE may hold the path of a file with the value of NAME)", func(row func(...string)) {
		vs := LogVariables()
		if c.Config != nil {
			vs = append(Variables(c.Config), vs...)
		}
		for _, v := range vs {
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
			row(v.Name, text)
		}
	})
	fmt.Fprint(w, "\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done but with dead letters\n")
}

func section(w io.Writer, title string, fill func(row func(...string))) {
	fmt.Fprintf(w, "\n%s:\n", title)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fill(func(cells ...string) { fmt.Fprintln(tab, "  "+strings.Join(cells, "\t")) })
	_ = tab.Flush()
}
