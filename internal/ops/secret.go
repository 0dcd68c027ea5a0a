package ops

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a setting that is never shown: every way of printing it gives ****, or nothing where it is empty. What it
// holds comes out through Reveal alone. Keep it in exported fields, and out of the keys of maps: fmt and encoding/json
// take others as they are.
type Secret string

const stars = "****"

// Reveal returns the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// String returns ****, or "" where the secret is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return stars
}

// Format prints String for every verb and flag: %#v, %q and %x would otherwise show the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText serves JSON and whatever else encodes text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue serves handlers of slog that look at values by reflection.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
