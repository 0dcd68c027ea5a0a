//go:build cgo

package sink_test

import (
	"path/filepath"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
)

func TestStaged(t *testing.T) {
	for name, guarded := range map[string]bool{"in a transaction": false, "guarded": true} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t testing.TB) sinktest.Destination {
				path := filepath.Join(t.TempDir(), "warehouse.duckdb")
				return sinktest.Destination{
					Ahead: guarded, Slow: guarded, // what does not hang on how it commits is proven by the other
					Open: func(t testing.TB) sink.Sink {
						s, err := sink.OpenTrial(t.Context(), path, "Test set", guarded)
						if err != nil {
							t.Fatal(err)
						}
						return s
					},
					Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readDuckDB(t, path, "Test set", table) },
				}
			})
		})
	}
}
