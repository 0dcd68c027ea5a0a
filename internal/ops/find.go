package ops

import (
	"errors"
	"flag"
	"slices"
	"strings"
)

// find returns the command that the words of a command line name, its program's name first, and the words that are left for it. The
// commands have their full names, the program's is the first. The error is a *UsageError that says what may have been meant.
func find(commands []Command, words []string) (Command, []string, error) {
	program := commands[0]
	for _, c := range commands[1:] {
		if name := strings.Fields(c.Name); len(words) >= len(name) && slices.Equal(words[:len(name)], name) {
			return c, words[len(name):], nil
		}
	}
	if len(words) == 1 || strings.HasPrefix(words[1], "-") {
		return program, words[1:], nil
	}
	typed := words
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") }); i > 0 {
		typed = words[:i]
	}
	var names []string
	for _, c := range commands[1:] {
		names = append(names, c.Name)
	}
	var meant []string
	for n := len(typed); n > 1 && len(meant) == 0; n-- { // the last words may be arguments
		meant = near(strings.Join(typed[:n], " "), names)
	}
	return program, nil, Usagef("there is no command %q%s\nrun %q for all of them", strings.Join(typed[1:], " "), didYouMean(meant), program.Name+" -h")
}

// wrongFlags explains what the flag package says of the flags of a command.
func (c Command) wrongFlags(err error, args []string, commands []Command) error {
	hint := ""
	if name, undefined := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); undefined {
		err = errors.New("there is no flag -" + name)
		var have []string
		c.flags(new(Options)).VisitAll(func(f *flag.Flag) { have = append(have, "-"+f.Name) })
		hint = didYouMean(near("-"+name, have))
		if c.Name == commands[0].Name {
			for i := range args {
				if of, _, err := find(commands, append([]string{c.Name}, args[i:]...)); err == nil && of.Name != c.Name {
					hint = ": flags of a command come after its name, as in " + of.Name + " -" + name
					break
				}
			}
		}
	}
	return Usagef("%w%s\nrun %q for help", err, hint, c.Name+" -h")
}

func didYouMean(names []string) string {
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return ": did you mean " + names[0] + "?"
	default:
		return ": did you mean " + strings.Join(names[:n-1], ", ") + " or " + names[n-1] + "?"
	}
}

// near are the names that somebody may have meant: those that begin with what was typed, else those that differ from it least.
func near(typed string, names []string) (meant []string) {
	for _, n := range names {
		if strings.HasPrefix(n, typed) && len(typed) > 1 {
			meant = append(meant, n)
		}
	}
	if len(meant) > 0 {
		return meant
	}
	least := 3 // more mistakes are another word
	for _, n := range names {
		d := mistakes(typed, n)
		if d >= len(n)/2 {
			continue
		}
		if d < least {
			least, meant = d, nil
		}
		if d == least && d < 3 {
			meant = append(meant, n)
		}
	}
	return meant
}

// mistakes counts how many letters have to be put in, left out, changed or swapped with the next to make b of a (optimal string
// alignment).
func mistakes(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

// misspelt finds variables that are set, are no setting, and look like one that is not set: a sentence for each. It tells names
// only, no values.
func misspelt(environ []string, settings []Variable) (said []string) {
	set, known := map[string]bool{}, map[string]bool{}
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); value != "" {
			set[name] = true
		}
	}
	for _, v := range settings {
		known[v.Name], known[v.Name+"_FILE"] = true, true
	}
	for _, v := range settings {
		if set[v.Name] || set[v.Name+"_FILE"] {
			continue
		}
		for _, e := range environ {
			name, _, _ := strings.Cut(e, "=")
			if set[name] && !known[name] && mistakes(name, v.Name) <= min(2, len(v.Name)/6) {
				said = append(said, name+" is set, but is no setting: did you mean "+v.Name+"?")
			}
		}
	}
	return said
}
