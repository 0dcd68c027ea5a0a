package ops

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// completion is the subcommand that every program has: it prints a shell's script, which asks it for words in turn. So what a shell
// proposes is what the program that is there has.
func completion(commands []Command) Command {
	name := commands[0].Name
	return Command{
		Name:     name + " completion",
		Summary:  "prints what makes a shell complete commands, flags and topics: bash, zsh or fish",
		Args:     "bash|zsh|fish",
		Values:   map[string][]string{"": {"bash", "fish", "zsh"}},
		Examples: "bash > ~/.local/share/bash-completion/completions/" + name + "\nzsh > ~/.zfunc/_" + name + "  # a directory of $fpath\nfish > ~/.config/fish/completions/" + name + ".fish",
		Run: func(_ context.Context, o Options) error {
			if len(o.Args) > 0 && o.Args[0] == wordsFor {
				for _, c := range candidates(commands, o.Args[1:]) {
					fmt.Fprintln(o.Stdout, c)
				}
				return nil
			}
			if len(o.Args) != 1 || scripts[o.Args[0]] == "" {
				return Usagef("completion takes the name of a shell: bash, zsh or fish")
			}
			_, err := fmt.Fprint(o.Stdout, strings.ReplaceAll(scripts[o.Args[0]], "PROGRAM", name))
			return err
		},
	}
}

const (
	wordsFor  = "words" // argument of completion: the words of the line follow, the last one is not finished
	pathsHere = ":path" // candidate: the shell proposes paths
)

// scripts are those of the shells. Each candidate is a line: what may stand there, a tab, what it is.
var scripts = map[string]string{
	"bash": `_PROGRAM() {
	local word rest
	COMPREPLY=()
	while IFS=$'\t' read -r word rest; do
		if [[ $word == :path ]]; then compopt -o default; else COMPREPLY+=("$word"); fi
	done < <("${COMP_WORDS[0]/#\~/$HOME}" completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _PROGRAM PROGRAM
`,
	"zsh": `#compdef PROGRAM
_PROGRAM() {
	local word rest
	local -a found
	while IFS=$'\t' read -r word rest; do
		if [[ $word == :path ]]; then _files; else found+=("${word//:/\\:}:$rest"); fi
	done < <(${(Q)words[1]/#\~/$HOME} completion words "${(@Q)words[2,CURRENT]}" 2>/dev/null)
	(( $#found )) && _describe -o PROGRAM found
}
if [[ $funcstack[1] == _PROGRAM ]]; then _PROGRAM "$@"; else compdef _PROGRAM PROGRAM; fi
`,
	"fish": `function __PROGRAM_words
	set -l words (commandline -opc)
	set -l out (eval $words[1] completion words (string escape -- $words[2..-1] (commandline -ct)) 2>/dev/null)
	if test "$out" = :path
		__fish_complete_path (commandline -ct)
	else
		printf '%s\n' $out
	end
end
complete -c PROGRAM -f -a '(__PROGRAM_words)'
`,
}

// candidates are what may stand in place of the last word, given those before it.
func candidates(commands []Command, words []string) (out []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	before, typed := words[:len(words)-1], words[len(words)-1]
	add := func(word, what string) {
		if strings.HasPrefix(word, typed) && !slices.ContainsFunc(out, func(have string) bool { return strings.HasPrefix(have, word+"\t") }) {
			out = append(out, word+"\t"+what)
		}
	}
	line := append([]string{commands[0].Name}, before...)
	c, args, err := find(commands, line)
	if err != nil || c.Name == commands[0].Name && len(args) == 0 { // the next word of a command's name, or the program's own flags
		for _, s := range commands[1:] {
			name := strings.Fields(s.Name)
			switch {
			case len(name) <= len(line) || !slices.Equal(name[:len(line)], line):
			case len(name) == len(line)+1:
				add(name[len(line)], s.Summary)
			default:
				add(name[len(line)], "several commands")
			}
		}
	}
	if err != nil {
		return out
	}
	fs := c.flags(new(Options))
	if len(args) > 0 {
		if f := fs.Lookup(strings.TrimLeft(args[len(args)-1], "-")); f != nil && strings.HasPrefix(args[len(args)-1], "-") && !isBool(f) {
			for _, v := range c.Values[f.Name] {
				add(v, "")
			}
			if arg, _ := flag.UnquoteUsage(f); arg == "FILE" {
				out = append(out, pathsHere)
			}
			return out
		}
	}
	if strings.HasPrefix(typed, "-") {
		fs.VisitAll(func(f *flag.Flag) {
			_, usage := flag.UnquoteUsage(f)
			add("-"+f.Name, usage)
		})
		return out
	}
	for _, v := range c.Values[""] {
		add(v, "")
	}
	return out
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}
