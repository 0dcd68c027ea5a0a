package sink

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tilestream/schemas"
)

// Modes is the write mode of each table by its name; "" is the one of those that are not named.
type Modes map[string]Mode

// UnmarshalText reads a list such as append,messages=upsert.
func (m *Modes) UnmarshalText(text []byte) error {
	out := Modes{}
	for part := range strings.SplitSeq(string(text), ",") {
		name, mode, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			name, mode = "", name
		} else if !slices.ContainsFunc(schemas.Resources, func(r schemas.Resource) bool { return r.Name == name }) {
			return fmt.Errorf("%q names no table", part)
		}
		switch mode {
		case "upsert":
			mode = string(Upsert)
		case string(Append), string(History):
		default:
			return fmt.Errorf("%q is no way to write", part)
		}
		if _, twice := out[name]; twice {
			return fmt.Errorf("%q sets a mode that was set before", part)
		}
		out[name] = Mode(mode)
	}
	*m = out
	return nil
}

// Takes says what a setting of modes looks like.
func (*Modes) Takes() string {
	return "upsert, append or history, TABLE=MODE such as messages=append, or both with commas"
}

// Of is the mode of a table. Tables of Tilestream's own, such as the doctor's, hold what is so now, whatever the others keep.
func (m Modes) Of(table string) Mode {
	if mode, ok := m[table]; ok || strings.HasPrefix(table, "_tilestream_") {
		return mode
	}
	return m[""]
}

// keepsVersions tells whether any table keeps more than the newest.
func (m Modes) keepsVersions() bool {
	for _, mode := range m {
		if mode != Upsert {
			return true
		}
	}
	return false
}

func (m Mode) String() string { return cmp.Or(string(m), "upsert") }

// checkMode sees that a table that was made in the mode it has may be written in the mode it is to have.
func checkMode(t Table, has Mode) error {
	if t.Mode == has {
		return nil
	}
	return fmt.Errorf("table %s was made with WRITE_MODE %s, and WRITE_MODE now says %s: set WRITE_MODE=%[1]s=%[2]s, choose another WAREHOUSE_DATASET, or drop the table and load it again with consumer replay -topic %[1]s -from beginning",
		t.Name, has, t.Mode)
}

// checkDeletes refuses what no mode does.
func checkDeletes(t Table) error {
	if t.HardDelete && t.Mode != Upsert {
		return fmt.Errorf("table %s keeps every version (WRITE_MODE %s), so nothing is removed from it: it takes DELETE_MODE=soft only", t.Name, t.Mode)
	}
	return nil
}
