package sink

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestElement(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"tiledesk.messages", "tiledesk.messages"},
		{"MkU3OEVBNTcwNTJENDM2Qk-_", "MkU3OEVBNTcwNTJENDM2Qk-_"},
		{"", "%"},
		{".", "%2E"},
		{"..", "%2E."},
		{"../../etc", "%2E.%2F..%2Fetc"},
		{"_tilestream_loads", "%5Ftilestream_loads"},
		{`a\b:c*d?"<>|`, "a%5Cb%3Ac%2Ad%3F%22%3C%3E%7C"},
		{"a\x00b c", "a%00b%20c"},
		{"è", "%C3%A8"},
		{"date=2026-11-22", "date%3D2026-11-22"},
		{strings.Repeat("x", 200), strings.Repeat("x", 200)},
	} {
		if got := element(c.name); got != c.want {
			t.Errorf("element(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	a, b := element(strings.Repeat("x", 300)+"a"), element(strings.Repeat("x", 300)+"b")
	if a == b || len(a) != 200 {
		t.Errorf("long names: %q and %q, want 200 bytes that differ", a, b)
	}
}

func FuzzElement(f *testing.F) {
	for _, s := range []string{"", ".", "..", "/", "_x", "%2E", "~", "a/../b", strings.Repeat("é", 200)} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		e := element(a)
		if e == "" || len(e) > 200 || strings.ContainsAny(e, "/\\:\x00") || strings.HasPrefix(e, ".") || strings.HasPrefix(e, "_") {
			t.Errorf("element(%q) = %q: not one plain element", a, e)
		}
		if path.Dir(path.Join("dir", e)) != "dir" {
			t.Errorf("element(%q) = %q leaves its directory", a, e)
		}
		if a != b && e == element(b) {
			t.Errorf("%q and %q are both %q", a, b, e)
		}
		if !strings.Contains(e, "~") && a != "" {
			if back, err := url.PathUnescape(e); err != nil || back != a {
				t.Errorf("element(%q) = %q, which reads %q, %v", a, e, back, err)
			}
		}
	})
}

func FuzzParsePending(f *testing.F) {
	p := pending{seq: 7, attempt: "0123456789abcdef", partition: 3, from: 42, part: commitPart}
	f.Add(p.String())
	f.Add(p.of(1).String())
	f.Add("000000000001-0123456789abcdef-99999999999-1.0")
	f.Add("000000000001-0123456789abcdef-1-9999999999999999999.0")
	f.Fuzz(func(t *testing.T, name string) {
		p, ok := parsePending(name)
		if !ok {
			return
		}
		if again, ok := parsePending(p.String()); !ok || again != p {
			t.Errorf("%q is %+v, which as a name is %q", name, p, p)
		}
	})
	if back, ok := parsePending(p.String()); !ok || back != p {
		f.Errorf("%q read back is %+v, %v", p, back, ok)
	}
}
