package sink

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPGName(t *testing.T) {
	long := strings.Repeat("é", 40)
	for in, want := range map[string]string{
		"_id": "_id", "xmin": "xmin_", "a\x00b": "ab", strings.Repeat("a", 63): strings.Repeat("a", 63),
		strings.Repeat("a", 64): strings.Repeat("a", 54) + "_ffe054fe",
	} {
		if got := pgDialect.name(in); got != want {
			t.Errorf("pgDialect.name(%q) = %q, want %q", in, got, want)
		}
	}
	one, two := pgDialect.name(long+"1"), pgDialect.name(long+"2")
	if one == two || len(one) > 63 || !utf8.ValidString(one) {
		t.Errorf("pgDialect.name of two long names: %q, %q", one, two)
	}
}

func TestAddress(t *testing.T) {
	if got, note := (Config{URL: "postgres://db/x"}).Address("data"); got != "postgres://db/x" || note != "" {
		t.Errorf("Address = %q, %q: want the URL that is set", got, note)
	}
	got, note := Config{}.Address("data")
	switch {
	case noDuckDB == "" && (got != "duckdb://./data/tilestream.duckdb" || note != ""):
		t.Errorf("Address = %q, %q", got, note)
	case noDuckDB != "" && (got != "file://./data/warehouse" || !strings.Contains(note, "cgo")):
		t.Errorf("Address without cgo = %q, %q", got, note)
	}
}
