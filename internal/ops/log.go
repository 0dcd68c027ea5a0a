package ops

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/sethvargo/go-envconfig"
	"golang.org/x/term"
)

type logConfig struct {
	Level  slog.Level `env:"LOG_LEVEL, default=INFO" help:"DEBUG, INFO, WARN or ERROR"`
	Format string     `env:"LOG_FORMAT, default=auto" help:"text, json, or auto: text on a terminal, else json"`
}

// CommonVariables lists the settings that every program has: of its log and its traces.
func CommonVariables() []Variable {
	return append(Variables(&logConfig{}), Variables(&traceConfig{})...)
}

// newLogger makes the program's logger: lines for people on a terminal, JSON for collectors elsewhere.
func newLogger(ctx context.Context, w io.Writer, env envconfig.Lookuper) (*slog.Logger, error) {
	var c logConfig
	if err := Load(ctx, env, &c); err != nil {
		return nil, err
	}
	switch c.Format {
	case "auto":
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) { // a dumb one too
			return slog.New(newConsole(w, c.Level)), nil
		}
		fallthrough
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: c.Level})), nil
	case "text":
		return slog.New(newConsole(w, c.Level)), nil
	}
	return nil, Usagef("LOG_FORMAT=%q: it takes auto, text or json", c.Format)
}

// console prints "15:04:05 INFO  message key=value": what a person reads first comes first. The keys and values are
// slog.TextHandler's.
type console struct {
	slog.Handler // writes keys and values into rest
	out          *output
}

// output is shared by a console and those derived from it.
type output struct {
	Paint
	mu   sync.Mutex
	w    io.Writer
	rest bytes.Buffer
}

func newConsole(w io.Writer, level slog.Level) slog.Handler {
	out := &output{Paint: PaintOn(w), w: w}
	return console{out: out, Handler: slog.NewTextHandler(&out.rest, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return a
		},
	})}
}

func (c console) Handle(ctx context.Context, r slog.Record) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.rest.Reset()
	if err := c.Handler.Handle(ctx, r); err != nil {
		return err
	}
	line := r.Time.AppendFormat(nil, "15:04:05 ")
	level := (r.Level.String() + "     ")[:6]
	switch {
	case r.Level >= slog.LevelError:
		level = c.out.Bad(level)
	case r.Level >= slog.LevelWarn:
		level = c.out.Odd(level)
	}
	line = append(line, level...)
	line = append(line, r.Message...)
	if c.out.rest.Len() > 1 { // more than the newline
		line = append(line, ' ')
	}
	_, err := c.out.w.Write(append(line, c.out.rest.Bytes()...))
	return err
}

func (c console) WithAttrs(as []slog.Attr) slog.Handler {
	return console{c.Handler.WithAttrs(as), c.out}
}

func (c console) WithGroup(name string) slog.Handler {
	return console{c.Handler.WithGroup(name), c.out}
}
