package schemas

import (
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		text  string
		want  time.Time
		exact bool
	}{
		{"2026-11-22T12:00:00.000Z", noon, true},
		{"2026-11-22T12:00:00Z", noon, true},
		{"2026-11-22T12:00Z", noon, true},
		{"2026-11-22T12:00:00", noon, true},
		{"2026-11-22 12:00:00z", noon, true},
		{"2026-11-22T14:00:00+02:00", noon, true},
		{"2026-11-22T06:30:00.0-0530", noon, true},
		{"2026-11-22T13:00+01", noon, true},
		{"2026-11-22T12:00:00.904Z", noon.Add(904 * time.Millisecond), true},
		{"2026-11-22T12:00:00.9Z", noon.Add(900 * time.Millisecond), true},
		{"2026-11-22T12:00:00.904000000000Z", noon.Add(904 * time.Millisecond), true},
		{"2026-11-22T12:00:00.9045Z", noon.Add(904 * time.Millisecond), false},
		{"1969-12-31T23:59:59.9999Z", time.Date(1969, 12, 31, 23, 59, 59, 999e6, time.UTC), false},
		{"2026-11-22", noon.Add(-12 * time.Hour), true},
		{"2024-02-29", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), true},
		{"0001-01-01T00:00:00Z", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), true},
		{"9999-12-31T23:59:59.999Z", time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), true},
	}
	for _, tt := range tests {
		ms, exact, ok := parseDate([]byte(tt.text))
		if !ok || ms != tt.want.UnixMilli() || exact != tt.exact {
			t.Errorf("%s: got %s, exact %v, ok %v, want %s, %v", tt.text, time.UnixMilli(ms).UTC(), exact, ok, tt.want, tt.exact)
		}
	}
	for _, text := range []string{
		"", "now", "1763812650904", "2026", "2026-11", "2026-11-22T", "2026-11-22T12", "2026-11-22T13+01", "2026-13-01", "2026-00-10", "2026-02-30", "2026-02-00", "2025-02-29",
		"2026-11-22T24:00:00Z", "2026-11-22T12:60:00Z", "2026-11-22T12:00:60Z", "2026-11-22T12:00:00.Z", "2026-11-22T12:00:00ZZ", "2026-11-22T12:00:00+1",
		"2026-11-22T12:00:00+24:00", "2026-11-22T12:00:00+01:60", "0000-01-01", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"+275760-09-13T00:00:00.000Z", "-000001-01-01T00:00:00Z", "22/11/2026", "2026/11/22", "2026-11-2２",
	} {
		if ms, _, ok := parseDate([]byte(text)); ok {
			t.Errorf("%q is read as %s, want a refusal", text, time.UnixMilli(ms).UTC())
		}
	}
}

// What RFC 3339 allows is read, and as package time reads it.
func FuzzParseDate(f *testing.F) {
	f.Add("2026-11-22T15:17:30.904Z")
	f.Add("2026-11-22T15:17:30+01:00")
	f.Fuzz(func(t *testing.T, text string) {
		ms, _, ok := parseDate([]byte(text))
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return
		}
		want = want.UTC()
		if inRange := want.Year() >= 1 && want.Year() <= 9999; ok != inRange || ok && ms != want.UnixMilli() {
			t.Errorf("%q: got %d, %v, want %d, %v", text, ms, ok, want.UnixMilli(), inRange)
		}
	})
}
