package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"
	"go.uber.org/goleak"
)

// TestMain is the example program where TestCompletion runs this binary as one.
func TestMain(m *testing.M) {
	if os.Getenv("OPS_TEST_PROGRAM") != "" {
		commands := example()
		Main(commands[0], commands[1:]...)
	}
	goleak.VerifyTestMain(m)
}

func TestSecretNeverPrints(t *testing.T) {
	type config struct {
		Key  Secret
		Keys map[string]Secret
	}
	s := Secret("hunter2")
	c := config{s, map[string]Secret{"a": s}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08s", "%T"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", []any{s})
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil), newConsole(&out, slog.LevelInfo)} {
		slog.New(h).Info("x", "s", s, "c", c.Keys, "p", &s)
	}
	if got := out.String(); strings.Contains(got, "hunter2") || strings.Contains(got, fmt.Sprintf("%x", "hunter2")) || !strings.Contains(got, "****") {
		t.Error(got)
	}
	if got := fmt.Sprintf("%q%v%#v", Secret(""), Secret(""), Secret("")); got != "" {
		t.Errorf("an empty secret prints %q", got)
	}
	if s.Reveal() != "hunter2" {
		t.Error("Reveal")
	}
}

func TestBytes(t *testing.T) {
	tests := []struct {
		in   string
		want Bytes
		out  string
	}{
		{"32MiB", 32 << 20, "32MiB"}, {"1GB", 1e9, "1GB"}, {"1048576", 1 << 20, "1MiB"}, {"1.5GiB", 3 << 29, "1536MiB"},
		{"64 kB", 64000, "64kB"}, {"64k", 64000, "64kB"}, {"2Mi", 2 << 20, "2MiB"}, {"0", 0, "0B"}, {"7b", 7, "7B"}, {"1023", 1023, "1023B"},
	}
	for _, test := range tests {
		var b, again Bytes
		if err := b.UnmarshalText([]byte(test.in)); err != nil || b != test.want || b.String() != test.out {
			t.Errorf("%s: got %d %s %v, want %d %s", test.in, int64(b), b, err, int64(test.want), test.out)
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Errorf("%s comes back as %s", b, again)
		}
	}
	for _, in := range []string{"MiB", "-1", "1XB", "1e30", "NaN", "1MiBB", "9999999TiB", "1 2", "Inf"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q gives %d", in, int64(b))
		}
	}
}

func FuzzBytes(f *testing.F) {
	f.Add("32MiB")
	f.Fuzz(func(t *testing.T, in string) {
		var b, again Bytes
		if b.UnmarshalText([]byte(in)) != nil {
			return
		}
		if b < 0 {
			t.Fatalf("%q gives %d", in, int64(b))
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || b < math.MaxInt64/1024 && again != b {
			t.Fatalf("%q gives %s, which gives %s, %v", in, b, again, err)
		}
	})
}

func TestEnv(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("from a file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := NewEnv(envconfig.MapLookuper(map[string]string{
		"PLAIN": "x", "EMPTY": "", "A_FILE": file, "B": "", "B_FILE": file, "C": "x", "C_FILE": "",
		"BOTH": "x", "BOTH_FILE": file, "GONE_FILE": filepath.Join(dir, "gone"),
	}))
	type answer struct {
		Value string
		OK    bool
	}
	got := map[string]answer{}
	for _, name := range []string{"PLAIN", "EMPTY", "UNSET", "A", "B", "C", "BOTH", "GONE"} {
		v, ok := e.Lookup(name)
		got[name] = answer{v, ok}
	}
	want := map[string]answer{
		"PLAIN": {"x", true}, "EMPTY": {}, "UNSET": {}, "A": {"from a file", true}, "B": {"from a file", true}, "C": {"x", true},
		"BOTH": {}, "GONE": {},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	err := e.Err()
	for _, want := range []string{"BOTH and BOTH_FILE are both set", "GONE_FILE: open " + filepath.Join(dir, "gone")} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

type mode string

func (m *mode) UnmarshalText(text []byte) error {
	if *m = mode(text); *m != "on" {
		return errors.New("no such mode")
	}
	return nil
}

func (*mode) Takes() string { return "on" }

type testConfig struct {
	Name  string        `env:"NAME, required" help:"what it is called"`
	Every time.Duration `env:"EVERY, default=5s"`
	Size  Bytes         `env:"SIZE, default=1MiB"`
	Inner testInner     `env:", prefix=IN_"`
	skip  int
}

type testInner struct {
	Count int32          `env:"COUNT, default=3"`
	Key   Secret         `env:"KEY"`
	On    bool           `env:"ON"`
	Modes []mode         `env:"MODES"`
	Pairs map[string]int `env:"PAIRS, default=a:1,b:2"`
}

func TestLoad(t *testing.T) {
	var c testConfig
	if err := Load(t.Context(), envconfig.MapLookuper(map[string]string{"NAME": "n", "SIZE": "2KiB", "IN_KEY": "k", "IN_COUNT": ""}), &c); err != nil {
		t.Fatal(err)
	}
	want := testConfig{"n", 5 * time.Second, 2048, testInner{Count: 3, Key: "k", Pairs: map[string]int{"a": 1, "b": 2}}, 0}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(testConfig{})); diff != "" {
		t.Error(diff)
	}
}

func TestLoadNamesEveryMistake(t *testing.T) {
	var c testConfig
	err := Load(t.Context(), envconfig.MapLookuper(map[string]string{
		"EVERY": "soon", "SIZE": "big", "IN_COUNT": "9999999999", "IN_ON": "maybe", "IN_MODES": "on,off", "IN_PAIRS": "http://u:hunter2@h",
		"IN_KEY": "hunter2", "IN_KEY_FILE": "/nowhere",
	}), &c)
	want := strings.Join([]string{
		"IN_KEY and IN_KEY_FILE are both set: unset one of them",
		"NAME is not set: it takes text",
		`EVERY="soon": it takes a duration such as 500ms, 30s, 5m or 1h`,
		`SIZE="big": it takes a size such as 32MiB, 1GB or 1048576`,
		`IN_COUNT="9999999999": it takes a whole number up to 2147483647`,
		`IN_ON="maybe": it takes true or false`,
		`IN_MODES="on,off": it takes a comma-separated list, each of it on`,
		`IN_PAIRS="http://****@h": it takes a comma-separated list of name:value`,
	}, "\n")
	var usage *UsageError
	if !errors.As(err, &usage) {
		t.Fatalf("got %T", err)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestVariables(t *testing.T) {
	got := Variables(&testConfig{})
	want := []Variable{
		{Name: "NAME", Takes: "text", Help: "what it is called", Required: true},
		{Name: "EVERY", Default: "5s", Takes: "a duration such as 500ms, 30s, 5m or 1h"},
		{Name: "SIZE", Default: "1MiB", Takes: "a size such as 32MiB, 1GB or 1048576"},
		{Name: "IN_COUNT", Default: "3", Takes: "a whole number up to 2147483647"},
		{Name: "IN_KEY", Takes: "text", Secret: true},
		{Name: "IN_ON", Takes: "true or false"},
		{Name: "IN_MODES", Takes: "a comma-separated list, each of it on"},
		{Name: "IN_PAIRS", Default: "a:1,b:2", Takes: "a comma-separated list of name:value"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRun(t *testing.T) {
	var c testConfig
	var got Options
	result := error(nil)
	program := Command{Name: "prog", Summary: "does things", Config: &c, Once: "stop at the end", Run: func(_ context.Context, o Options) error {
		got = o
		return result
	}}
	var n int
	sub := Command{Name: "sub", Summary: "does one thing", Args: "THING", Flags: func(fs *flag.FlagSet) { fs.IntVar(&n, "n", 1, "how `often`") },
		Run: program.Run}
	ok := map[string]string{"NAME": "x"}
	tests := []struct {
		name   string
		args   string
		env    map[string]string
		result error
		code   int
		want   string // in stdout or stderr
	}{
		{"done", "", ok, nil, 0, ""},
		{"failed", "", ok, errors.Join(errors.New("one"), errors.New("two")), 1, "prog: one\n  two\n"},
		{"dead letters", "", ok, fmt.Errorf("5 records: %w", ErrDeadLetters), 3, "prog: 5 records: done, but with dead letters\n"},
		{"usage from within", "", ok, fmt.Errorf("start: %w", Usagef("X is wrong")), 2, "prog: start: X is wrong\n"},
		{"canceled by something else", "", ok, context.Canceled, 1, "prog: context canceled\n"},
		{"wrong setting", "", nil, nil, 2, "prog: NAME is not set: it takes text\n"},
		{"wrong log level", "", map[string]string{"NAME": "x", "LOG_LEVEL": "loud"}, nil, 2, `prog: LOG_LEVEL="loud": it takes DEBUG, INFO, WARN or ERROR`},
		{"wrong log format", "", map[string]string{"NAME": "x", "LOG_FORMAT": "xml"}, nil, 2, `prog: LOG_FORMAT="xml": it takes auto, text or json`},
		{"wrong flag", "-wat", ok, nil, 2, "prog: there is no flag -wat\n  run \"prog -h\" for help\n"},
		{"wrong argument", "wat", ok, nil, 2, "prog: there is no command \"wat\"\n"},
		{"once", "-once", ok, nil, 0, ""},
		{"version", "-version", nil, nil, 0, "prog "},
		{"help", "-h", nil, nil, 0, "-once"},
		{"subcommand", "sub -n 4 it", nil, nil, 0, ""},
		{"subcommand's help", "sub -h", nil, nil, 0, "Usage: prog sub [flags] THING"},
		{"no -once there", "sub -once", nil, nil, 2, "prog sub: there is no flag -once\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, got, n, result = testConfig{}, Options{}, 0, test.result
			var out bytes.Buffer
			w := world{args: strings.Fields(test.args), env: NewEnv(envconfig.MapLookuper(test.env)), stdout: &out, stderr: &out}
			if code := run(t.Context(), w, program, sub); code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("code %d, want %d, with %q in\n%s", code, test.code, test.want, out.String())
			}
			switch test.name {
			case "once":
				if !got.Once || c.Name != "x" {
					t.Errorf("got %+v, %+v", got, c)
				}
			case "subcommand":
				if n != 4 || !cmp.Equal(got.Args, []string{"it"}) {
					t.Errorf("got n %d, args %v", n, got.Args)
				}
			}
		})
	}
}

func TestRunStopped(t *testing.T) {
	tests := []struct {
		args   string
		result error
		want   int
	}{{"", context.Canceled, 0}, {"", fmt.Errorf("read: %w", context.Canceled), 0}, {"-once", context.Canceled, 1}, {"-once", nil, 0}, {"", errors.New("x"), 1}}
	for _, test := range tests {
		ctx, cancel := context.WithCancel(t.Context())
		p := Command{Name: "prog", Once: "once", Run: func(context.Context, Options) error {
			cancel()
			return test.result
		}}
		if got := run(ctx, world{args: strings.Fields(test.args), env: NewEnv(envconfig.MapLookuper(nil)), stdout: io.Discard, stderr: io.Discard}, p); got != test.want {
			t.Errorf("%q with %v: code %d, want %d", test.args, test.result, got, test.want)
		}
	}
}

func TestConsole(t *testing.T) {
	var out strings.Builder
	log := slog.New(newConsole(&out, slog.LevelInfo))
	log.Debug("no")
	log.Info("plain")
	log.With("a", 1).WithGroup("g").Warn("loaded a batch", "rows", 5, "text", "two words", "err", errors.New("x\ny"))
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{"INFO  plain", `WARN  loaded a batch a=1 g.rows=5 g.text="two words" g.err="x\ny"`, ""} {
		if got := lines[i]; len(got) >= 9 && got[9:] != want || len(got) < 9 && got != want {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}
}
