package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sethvargo/go-envconfig"
)

// UsageError reports wrong usage or a wrong setting: Main exits with code 2.
type UsageError struct{ Err error }

// Usagef makes a *UsageError; %w works.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Lookuper looks settings up in the environment of the process, by the rules of Env.
func Lookuper() envconfig.Lookuper { return NewEnv(envconfig.OsLookuper()) }

// Env looks settings up by two rules. NAME_FILE may hold the path of a file with the value of NAME, such as a mounted
// secret; one newline at its end is cut. And a variable that is set but empty counts as not set, since that is what
// compose files make of a missing one.
//
// A file that cannot be read, or both NAME and NAME_FILE set, is an error. A Lookup cannot return it, so Env keeps it
// until Err is asked; Load asks.
type Env struct {
	under envconfig.Lookuper
	mu    sync.Mutex
	errs  map[string]error // by variable
}

// NewEnv applies the rules of Env to another source of variables.
func NewEnv(under envconfig.Lookuper) *Env {
	if e, ok := under.(*Env); ok {
		return e
	}
	return &Env{under: under, errs: map[string]error{}}
}

// Lookup returns the value of NAME, or the content of the file that NAME_FILE names.
func (e *Env) Lookup(name string) (string, bool) {
	v, _ := e.under.Lookup(name)
	path, _ := e.under.Lookup(name + "_FILE")
	if path == "" {
		return v, v != ""
	}
	if v != "" {
		return "", e.keep(name, Usagef("%s and %s_FILE are both set: unset one of them", name, name))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", e.keep(name, Usagef("%s_FILE: %w", name, err))
	}
	v = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	return v, v != ""
}

func (e *Env) keep(name string, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errs[name] = err
	return false
}

func (e *Env) failed(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.errs[name] != nil
}

// Err returns what went wrong in the lookups so far, each variable on a line.
func (e *Env) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.errs)) {
		errs = append(errs, e.errs[name])
	}
	return errors.Join(errs...)
}

// Load fills cfg, a pointer to a struct with go-envconfig's env tags. The error is a *UsageError that names every wrong
// variable, what it got (never what a Secret got) and what it takes, each on a line.
func Load(ctx context.Context, from envconfig.Lookuper, cfg any) error {
	env := NewEnv(from)
	err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: cfg, Lookuper: env})
	if err != nil {
		explained := explain(ctx, env, cfg)
		err = cmp.Or(errors.Join(env.Err(), explained), err)
	} else {
		err = env.Err()
	}
	if err != nil {
		return &UsageError{err}
	}
	return nil
}

// explain tries every variable of cfg by itself, since go-envconfig stops at the first error and names fields of Go.
func explain(ctx context.Context, env *Env, cfg any) error {
	var errs []error
	for _, l := range leaves(reflect.TypeOf(cfg), "") {
		if env.failed(l.name) {
			continue
		}
		one := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "X", Type: l.field.Type, Tag: l.field.Tag}}))
		err := envconfig.ProcessWith(ctx, &envconfig.Config{Target: one.Interface(), Lookuper: envconfig.PrefixLookuper(l.prefix, env)})
		switch {
		case err == nil:
		case errors.Is(err, envconfig.ErrMissingRequired):
			errs = append(errs, fmt.Errorf("%s is not set: it takes %s", l.name, takes(l.field.Type)))
		case isSecret(l.field.Type):
			errs = append(errs, fmt.Errorf("%s is not valid: it takes %s", l.name, takes(l.field.Type)))
		default:
			got, _ := env.Lookup(l.name)
			errs = append(errs, fmt.Errorf("%s=%s: it takes %s", l.name, quote(RedactURL(got)), takes(l.field.Type)))
		}
	}
	return errors.Join(errs...)
}

func quote(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return strconv.Quote(s)
}

// A Taker is a type of setting that says in a few words what it takes, for error messages: "auto, v3 or documented".
type Taker interface{ Takes() string }

func takes(t reflect.Type) string {
	if tk, ok := reflect.New(t).Interface().(Taker); ok {
		return tk.Takes()
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "a duration such as 500ms, 30s, 5m or 1h"
	case reflect.TypeFor[Bytes]():
		return "a size such as 32MiB, 1GB or 1048576"
	case reflect.TypeFor[slog.Level]():
		return "DEBUG, INFO, WARN or ERROR"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return takes(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number" + within(t)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, 0 or more"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a comma-separated list, each of it " + takes(t.Elem())
	case reflect.Map:
		return "a comma-separated list of name:value"
	}
	return "text"
}

func within(t reflect.Type) string {
	if bits := t.Bits(); bits < 64 {
		return fmt.Sprintf(" up to %d", int64(1)<<(bits-1)-1)
	}
	return ""
}

func isSecret(t reflect.Type) bool {
	switch {
	case t == reflect.TypeFor[Secret]():
		return true
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map, t.Kind() == reflect.Pointer:
		return isSecret(t.Elem())
	}
	return false
}

// secretParameter is a parameter of a URL that looks like a secret.
var secretParameter = regexp.MustCompile(`(?i)([?&;][^=&;\s]*(?:pass|secret|token|key|credential|sig)[^=&;\s]*=)[^&;\s]*`)

// RedactURL hides the user and password of the URLs in the text, well formed or not, and the parameters that look like
// secrets. Since a password that was not escaped may hold any character, all is hidden from the first :// (the beginning,
// where there is none) up to the last @.
func RedactURL(text string) string {
	if end := strings.LastIndexByte(text, '@'); end >= 0 {
		start := 0
		if i := strings.Index(text[:end], "://"); i >= 0 {
			start = i + len("://")
		}
		text = text[:start] + stars + text[end:]
	}
	return secretParameter.ReplaceAllString(text, "${1}"+stars)
}
