package ops

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
)

var update = flag.Bool("update", false, "write the golden files")

// example is a program with everything that a declaration may have.
func example() []Command {
	var cfg struct {
		Test testConfig
		TLS  testInner `env:", prefix=TLS_" help:"certificates"`
	}
	none := func(context.Context, Options) error { return nil }
	values := map[string][]string{"topic": {"messages", "members", "a b"}, "": {"one", "two"}}
	return []Command{
		{Name: "prog", Summary: "does things", Config: &cfg, Once: "stop at the end", Examples: "  # for ever\n-once", Run: none},
		{Name: "status", Summary: "tells how it is", Config: &testInner{}, JSON: "the same as one JSON object", Run: none},
		{Name: "dlq list", Summary: "lists letters", JSON: "an object for each", Values: values, Config: &cfg, Run: none, Flags: func(fs *flag.FlagSet) {
			fs.String("topic", "", "of this `TOPIC` only")
			fs.String("schema", "", "a `FILE`")
			fs.Int("limit", 100, "the newest `N`")
			fs.Bool("all", false, "others too, which is a long story that does not fit on a line of a hundred characters, and goes on below")
		}},
		{Name: "dlq show", Summary: "shows one", Args: "WHICH", Values: values, Run: none},
	}
}

// ran is what the example prints for a command line, with its exit code.
func ran(t *testing.T, environ []string, args ...string) (string, int) {
	t.Helper()
	var out strings.Builder
	env := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	commands := example()
	code := run(t.Context(), world{args: args, env: NewEnv(envconfig.MapLookuper(env)), environ: environ, stdout: &out, stderr: &out}, commands[0], commands[1:]...)
	return out.String(), code
}

// TestWrongUsage: whoever errs is told what there is.
func TestWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"dlq":                   `prog: there is no command "dlq": did you mean prog dlq list or prog dlq show?`,
		"stat":                  "did you mean prog status?",
		"sttaus":                "did you mean prog status?",
		"dlq lsit -all":         "did you mean prog dlq list?",
		"dlq shwo that":         "did you mean prog dlq show?",
		"nonsense":              "prog: there is no command \"nonsense\"\n  run \"prog -h\" for all of them",
		"-json status":          "flags of a command come after its name, as in prog status -json",
		"-onec":                 "there is no flag -onec: did you mean -once?",
		"dlq list -topc x":      "prog dlq list: there is no flag -topc: did you mean -topic?",
		"dlq list -limit x":     `invalid value "x" for flag -limit`,
		"dlq list -limit 1 two": `prog dlq list: unknown argument "two"`,
		"completion tcsh":       "bash, zsh or fish",
		"completion":            "bash, zsh or fish",
	} {
		if got, code := ran(t, []string{"NAME=x"}, strings.Fields(args)...); code != 2 || !strings.Contains(got, want) {
			t.Errorf("prog %s: code %d, no %q in\n%s", args, code, want, got)
		}
	}
}

// TestMisspelt: a variable that looks like a setting is told of, without its value, also where the setting is missed.
func TestMisspelt(t *testing.T) {
	got, code := ran(t, []string{"NAMES=x", "IN_CUONT=hunter2", "LOGLEVEL=hunter2", "EVERYTHING=1", "PATH=/bin", "IN_KEY=1", "INKEY_=1"})
	want := "NAME is not set: it takes text\n" +
		"  IN_CUONT is set, but is no setting: did you mean IN_COUNT?\n" +
		"  LOGLEVEL is set, but is no setting: did you mean LOG_LEVEL?\n"
	if code != 2 || !strings.Contains(got, want) || strings.Contains(got, "hunter2") || strings.Contains(got, "EVERYTHING") || strings.Contains(got, "INKEY") {
		t.Errorf("code %d, want %q, got\n%s", code, want, got)
	}
	got, code = ran(t, []string{"NAME=x", "IN_CUONT=1", "IN_COUNTT=1", "IN_COUNT=4"})
	if code != 0 || strings.Contains(got, "did you mean") {
		t.Errorf("code %d, %s", code, got)
	}
	if got, code = ran(t, []string{"NAME=x", "IN_COUNTS=1"}); code != 0 || !strings.Contains(got, "IN_COUNTS is set, but is no setting: did you mean IN_COUNT?") {
		t.Errorf("code %d, %s", code, got)
	}
}

func TestHelp(t *testing.T) {
	for file, args := range map[string]string{"help.txt": "-h", "help_dlq_list.txt": "dlq list -h", "help_completion.txt": "completion -h"} {
		got, code := ran(t, nil, strings.Fields(args)...)
		if code != 0 {
			t.Errorf("prog %s: code %d", args, code)
		}
		golden(t, file, got)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it): %s", path, diff)
	}
}

func TestPaint(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Terminal(f) || PaintOn(f).Bad("x") != "x" {
		t.Error("a file is painted")
	}
	if got := Paint(true).Bad("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
}

// lines are what completion proposes for a line, by what asks.
var lines = []struct {
	line string // the last word is not finished
	want string
}{
	{"", "completion|dlq|healthcheck|status"},
	{"s", "status"},
	{"x", ""},
	{"-", "-once|-version"},
	{"dlq ", "list|show"},
	{"dlq l", "list"},
	{"status ", ""},
	{"status -", "-json|-version"},
	{"dlq list -", "-all|-json|-limit|-schema|-topic|-version"},
	{"dlq list -topic ", "a b|members|messages"},
	{"dlq list -topic me", "members|messages"},
	{"dlq list -json -topic mes", "messages"},
	{"dlq list -limit ", ""},
	{"dlq list -all -", "-all|-json|-limit|-schema|-topic|-version"},
	{"dlq show t", "two"},
	{"completion ", "bash|fish|zsh"},
}

// TestCompletion asks the shells that are installed.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	prog := filepath.Join(dir, "prog")
	if err := os.WriteFile(prog, []byte("#!/bin/sh\nOPS_TEST_PROGRAM=1 exec "+self+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for shell, ask := range map[string]string{
		"bash": `source <(prog completion bash)
			while IFS= read -r LINE; do
				IFS=' ' read -ra COMP_WORDS <<<"prog $LINE"; [[ $LINE == *" " || $LINE == "" ]] && COMP_WORDS+=("")
				COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _prog; printf '%s\n' "${COMPREPLY[@]}" ==
			done`,
		"zsh": `autoload -U compinit; compinit -u -D; source <(prog completion zsh)
			_describe() { print -l -- "${(@)${(P)3}%%:*}" }; _files() { print files }
			while IFS= read -r LINE; do
				words=(prog ${(z)LINE}); [[ $LINE == *" " || $LINE == "" ]] && words+=(""); CURRENT=$#words; _prog; print -- '=='
			done`,
		"fish": `prog completion fish | source; while read LINE; complete -C "prog $LINE" | string replace -r '\t.*' ''; echo ==; end`,
	} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not installed", shell)
			}
			var typed strings.Builder
			for _, l := range lines {
				typed.WriteString(l.line + "\n")
			}
			cmd := exec.CommandContext(t.Context(), shell, "-c", ask)
			if shell == "zsh" {
				cmd.Args = []string{shell, "-f", "-c", ask}
			}
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(typed.String())
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir, "GORACE=atexit_sleep_ms=0") // a second each, else
			out, err := cmd.Output()
			proposed := strings.Split(string(out), "==\n")
			if err != nil || len(proposed) != len(lines)+1 {
				t.Fatalf("%v: %s", err, out)
			}
			for i, l := range lines {
				got := strings.FieldsFunc(proposed[i], func(r rune) bool { return r == '\n' })
				if slices.Sort(got); strings.Join(got, "|") != l.want {
					t.Errorf("%q: got %q, want %q", l.line, got, l.want)
				}
			}
		})
	}
}
