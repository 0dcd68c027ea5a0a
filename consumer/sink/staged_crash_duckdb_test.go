//go:build cgo

package sink

import (
	"path/filepath"
	"testing"
)

func TestStagedCrash(t *testing.T) {
	dir := t.TempDir()
	crashStaged(t, func(t testing.TB, name string) *staged {
		s, err := OpenTrial(t.Context(), filepath.Join(dir, name+".duckdb"), "Test set", false)
		if err != nil {
			t.Fatal(err)
		}
		return s.(*staged)
	})
}
