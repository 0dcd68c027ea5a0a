//go:build cgo

package sink

import (
	"path/filepath"
	"testing"
)

func TestStagedCrash(t *testing.T) {
	for name, c := range map[string]struct{ merge, guarded bool }{"with MERGE": {true, false}, "guarded": {true, true}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			open := func(t testing.TB, name string) *staged {
				s, err := OpenTrial(t.Context(), filepath.Join(dir, name+".duckdb"), "Test set", c.merge, c.guarded)
				if err != nil {
					t.Fatal(err)
				}
				return s.(*staged)
			}
			if c.guarded { // tables are made in the same way
				crashWrites(t, open)
			} else {
				crashStaged(t, open)
			}
		})
	}
}
