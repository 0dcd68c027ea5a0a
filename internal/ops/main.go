package ops

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/sethvargo/go-envconfig"
)

// Command is a program, or one of its subcommands. Main reads flags and settings, so that Run finds them in place:
//
//	var cfg poll.Config
//	ops.Main(ops.Command{
//		Name: "producer", Summary: "polls Tiledesk and publishes every change to Kafka", Config: &cfg,
//		Once: "read everything there is, then exit",
//		Run:  func(ctx context.Context, o ops.Options) error { return poll.Run(ctx, cfg, o.Once) },
//	})
type Command struct {
	Name    string              // of a subcommand: one word or several, such as "dlq list"
	Summary string              // one line: what it does
	Args    string              // the arguments it takes, as help shows them; "" for none
	Config  any                 // pointer to a struct with env tags, filled before Run; nil for none
	Once    string              // what -once does; "" where there is no -once
	JSON    string              // what -json prints in place of text; "" where there is no -json
	Flags   func(*flag.FlagSet) // declares other flags; nil for none
	Values  map[string][]string // words that a flag takes, by its name, and that arguments are, under "": for shells to propose
	Run     func(ctx context.Context, o Options) error

	// Examples are a line each of what may follow the name, and of some behind two spaces and # what it is good for.
	Examples string
}

// Options is what Run gets besides its Config.
type Options struct {
	Once   bool
	JSON   bool               // print by Encode alone
	Args   []string           // what follows the flags
	Env    envconfig.Lookuper // for settings whose names are known only at run time
	Log    *slog.Logger
	Stdout io.Writer // results go here; the log goes to stderr

	version bool
}

// Encode prints a result as a line of JSON.
func (o Options) Encode(v any) error {
	e := json.NewEncoder(o.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// ErrDeadLetters, wrapped in what Run returns, says that the work is done but records were set aside: exit code 3.
var ErrDeadLetters = errors.New("done, but with dead letters")

// Main runs a program and ends the process. The first argument may name one of the subcommands; healthcheck and completion
// always are. SIGINT and SIGTERM end Run's context, a second one kills the process.
//
// Exit codes: 0 done, or stopped by a signal in good order; 1 failed, or -once or a subcommand was stopped before its end; 2 wrong usage
// or configuration; 3 done, but with dead letters.
func Main(program Command, subcommands ...Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from now on a signal has its default effect: the process ends
	os.Exit(run(ctx, world{args: os.Args[1:], env: Lookuper(), environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}, program, subcommands...))
}

// world is what a program sees of its process.
type world struct {
	args           []string
	env            envconfig.Lookuper
	environ        []string // NAME=VALUE, to see what is set by mistake
	stdout, stderr io.Writer
}

func run(ctx context.Context, w world, program Command, subcommands ...Command) int {
	commands := []Command{program}
	for _, s := range append(subcommands, healthcheck()) {
		s.Name = program.Name + " " + s.Name
		commands = append(commands, s)
	}
	commands = append(commands, Command{})
	commands[len(commands)-1] = completion(commands)
	c, args, err := find(commands, append([]string{program.Name}, w.args...))
	if err != nil {
		return fail(w.stderr, program.Name, err)
	}
	o, err := c.Parse(args)
	o.Env, o.Stdout = w.env, w.stdout
	switch {
	case errors.Is(err, flag.ErrHelp):
		help(w.stdout, c, commands)
		return 0
	case err != nil:
		return fail(w.stderr, c.Name, c.wrongFlags(err, args, commands))
	case o.version:
		fmt.Fprintln(w.stdout, c.Name, Version())
		return 0
	case len(o.Args) > 0 && c.Args == "":
		return fail(w.stderr, c.Name, Usagef("unknown argument %q\nrun %q for help", o.Args[0], c.Name+" -h"))
	}

	if o.Log, err = newLogger(ctx, w.stderr, w.env); err == nil && c.Config != nil {
		err = Load(ctx, w.env, c.Config)
	}
	doubts := misspelt(w.environ, c.variables())
	stopTraces := func() {}
	if err == nil {
		stopTraces, err = startTraces(ctx, w.env, serviceOf(program.Name), o.Log)
	}
	if err == nil {
		slog.SetDefault(o.Log)
		if c.Name == program.Name {
			o.Log.Info("starting", "program", c.Name, "version", Version(), "once", o.Once)
			stop := context.AfterFunc(ctx, func() {
				o.Log.Info("stopping: what has begun comes to its end; a second signal ends the program at once")
			})
			defer stop()
		}
		for _, d := range doubts {
			o.Log.Warn(d)
		}
		err = c.Run(ctx, o)
		stopTraces()
	} else if len(doubts) > 0 {
		err = Usagef("%w\n%s", err, strings.Join(doubts, "\n"))
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		if endless := c.Name == program.Name && !o.Once; endless {
			return 0
		}
		err = errors.New("stopped before the end: run it again to go on from there")
	}
	return fail(w.stderr, c.Name, err)
}

// serviceOf is the name of a program among others.
func serviceOf(program string) string {
	if program == "tilestream" {
		return program
	}
	return "tilestream-" + program
}

// Parse reads the flags of a command line, without the command's name, and keeps what follows them.
func (c Command) Parse(args []string) (o Options, err error) {
	fs := c.flags(&o)
	err = fs.Parse(args)
	o.Args = fs.Args()
	return o, err
}

// flags are those of the command; what they are set to goes to o, and where Flags says.
func (c Command) flags(o *Options) *flag.FlagSet {
	fs := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.Once != "" {
		fs.BoolVar(&o.Once, "once", false, c.Once)
	}
	if c.JSON != "" {
		fs.BoolVar(&o.JSON, "json", false, c.JSON)
	}
	if c.Flags != nil {
		c.Flags(fs)
	}
	fs.BoolVar(&o.version, "version", false, "print the version and exit")
	return fs
}

// fail prints the error, if there is one, and returns the exit code that belongs to it. What joined errors say in the same
// words is said once.
func fail(stderr io.Writer, name string, err error) int {
	if err == nil {
		return 0
	}
	var said []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, strings.Join(said, "\n  "))
	var usage *UsageError
	switch {
	case errors.As(err, &usage):
		return 2
	case errors.Is(err, ErrDeadLetters):
		return 3
	}
	return 1
}

// release is the version that a build was given: -ldflags "-X tilestream/internal/ops.release=v1.2.3", as the Dockerfiles do.
var release string

// Version says which build this is: the release, the module's version, or the commit it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := cmp.Or(release, info.Main.Version)
	if v == "" {
		v = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v = s.Value
		}
	}
	return v + " " + info.GoVersion
}
