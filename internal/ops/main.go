package ops

import (
	"context"
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
	Flags   func(*flag.FlagSet) // declares other flags; nil for none
	Run     func(ctx context.Context, o Options) error
}

// Options is what Run gets besides its Config.
type Options struct {
	Once   bool
	Args   []string           // what follows the flags
	Env    envconfig.Lookuper // for settings whose names are known only at run time
	Log    *slog.Logger
	Stdout io.Writer // results go here; the log goes to stderr
}

// ErrDeadLetters, wrapped in what Run returns, says that the work is done but records were set aside: exit code 3.
var ErrDeadLetters = errors.New("done, but with dead letters")

// Main runs a program and ends the process. The first argument may name one of the subcommands; healthcheck is always
// one. SIGINT and SIGTERM end Run's context, a second one kills the process.
//
// Exit codes: 0 done, or stopped by a signal in good order; 1 failed, or -once or a subcommand was stopped before its end; 2 wrong usage
// or configuration; 3 done, but with dead letters.
func Main(program Command, subcommands ...Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from now on a signal has its default effect: the process ends
	os.Exit(run(ctx, world{args: os.Args[1:], env: Lookuper(), stdout: os.Stdout, stderr: os.Stderr}, program, subcommands...))
}

// world is what a program sees of its process.
type world struct {
	args           []string
	env            envconfig.Lookuper
	stdout, stderr io.Writer
}

func run(ctx context.Context, w world, program Command, subcommands ...Command) int {
	subcommands = append(subcommands, healthcheck)
	c, name, args := program, program.Name, w.args
	for _, s := range subcommands {
		words := strings.Fields(s.Name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			c, name, args = s, program.Name+" "+s.Name, args[len(words):]
			break
		}
	}

	o := Options{Env: w.env, Stdout: w.stdout}
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if c.Once != "" {
		fs.BoolVar(&o.Once, "once", false, c.Once)
	}
	if c.Flags != nil {
		c.Flags(fs)
	}
	version := fs.Bool("version", false, "print the version and exit")
	err := fs.Parse(args)
	o.Args = fs.Args()
	switch {
	case errors.Is(err, flag.ErrHelp):
		help(w.stdout, name, c, fs, program, subcommands)
		return 0
	case err != nil:
		return fail(w.stderr, name, Usagef("%w\nrun %q for help", err, name+" -h"))
	case *version:
		fmt.Fprintln(w.stdout, name, Version())
		return 0
	case len(o.Args) > 0 && c.Args == "":
		return fail(w.stderr, name, Usagef("unknown argument %q\nrun %q for help", o.Args[0], name+" -h"))
	}

	if o.Log, err = newLogger(ctx, w.stderr, w.env); err == nil && c.Config != nil {
		err = Load(ctx, w.env, c.Config)
	}
	if err == nil {
		slog.SetDefault(o.Log)
		err = c.Run(ctx, o)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		if endless := name == program.Name && !o.Once; endless {
			return 0
		}
		err = errors.New("stopped before the end: run it again to go on from there")
	}
	return fail(w.stderr, name, err)
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

// Version says which build this is: the module's version, or the commit it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
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
