package ops

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
)

// every is a setting of each kind.
type every struct {
	Text    string            `env:"TEXT"`
	Flag    bool              `env:"FLAG"`
	Number  int16             `env:"NUMBER"`
	Share   float64           `env:"SHARE"`
	Wait    time.Duration     `env:"WAIT"`
	Size    Bytes             `env:"SIZE, default=1MiB"`
	Level   slog.Level        `env:"LEVEL, default=INFO"`
	List    []string          `env:"LIST"`
	Pairs   map[string]string `env:"PAIRS"`
	Secret  Secret            `env:"SECRET"`
	Secrets []Secret          `env:"SECRETS"`
	Under   struct {
		Count uint8 `env:"COUNT"`
	} `env:", prefix=UNDER_"`
}

// Settings are what people type: Load never panics, and an error names the variable and shows neither a secret nor more than
// a line of what it got.
func FuzzLoad(f *testing.F) {
	names := []string{"TEXT", "FLAG", "NUMBER", "SHARE", "WAIT", "SIZE", "LEVEL", "LIST", "PAIRS", "SECRET", "SECRETS", "UNDER_COUNT"}
	for i, v := range []string{"x", "maybe", "40000", "1,5", "5 minutes", "1XB", "LOUD", ",,", "a=b", "pa55", "a,b", "-1", "a:1,a:2", "${HOME}", "\x00", "😀", strings.Repeat("9", 500)} {
		f.Add(i%len(names), v)
	}
	f.Fuzz(func(t *testing.T, which int, value string) {
		name := names[(which%len(names)+len(names))%len(names)]
		var cfg every
		err := Load(t.Context(), envconfig.MapLookuper(map[string]string{name: value}), &cfg)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: %v does not name the variable", name, value, err)
		}
		if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x00\x1b") {
			t.Errorf("%s=%q: %v", name, value, err)
		}
		if strings.HasPrefix(name, "SECRET") && len(value) > 8 && strings.Contains(err.Error(), value) {
			t.Errorf("%s: %v shows the secret", name, err)
		}
	})
}

// However the rest of it is written, what stands before the last @ never shows.
func FuzzRedactURL(f *testing.F) {
	f.Add("http://", "user", "pa55word")
	f.Add("", "user", "pa55word")
	f.Add("http:/", "us er", "pa55 wo\nrd")
	f.Add("http:", "a://b", "p@://x?@")
	f.Fuzz(func(t *testing.T, scheme, user, password string) {
		const marked = "Zq9-secret-9qZ"
		for _, text := range []string{scheme + user + ":" + password + marked + "@host:8081/x", scheme + user + "?access_token=" + marked + "&a=b", scheme + "host/?a=b&password=" + marked} {
			if strings.HasPrefix(text, scheme) && strings.ContainsAny(scheme+user, "?&;=@ \n\t\r\f\v") && !strings.Contains(text, "@") {
				continue
			}
			if got := RedactURL(text); strings.Contains(got, marked) {
				// The scheme ends with the first ://, which a password may hold as well.
				if i := strings.Index(text, "://"); i > strings.Index(text, marked) {
					continue
				}
				t.Errorf("%q is shown as %q", text, got)
			}
		}
	})
}

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"http://host:8081":                        "http://host:8081",
		"http://user:pa55@host:8081":              "http://****@host:8081",
		"http://user:pa 5\n5@host":                "http://****@host",
		"user:pa55@host:8081":                     "****@host:8081",
		"http:/user:pa55@host":                    "****@host",
		"http:user:pa55@host":                     "****@host",
		"http://user:p@55@host/x":                 "http://****@host/x",
		`Post "https://id:pa55@host/token": dial`: `Post "https://****@host/token": dial`,
		"https://host/?token=abc&x=1&api_key=k":   "https://host/?token=****&x=1&api_key=****",
		"ftp://a, see b":                          "ftp://a, see b",
	} {
		if got := RedactURL(in); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", in, got, want)
		}
	}
}
