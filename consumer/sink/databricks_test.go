package sink_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

// TestDatabricks needs /Volumes of the emulator to be where its Spark looks for it.
func TestDatabricks(t *testing.T) {
	rawURL := e2e.Service(t, "TEST_DATABRICKS_URL")
	sinktest.Run(t, func(t testing.TB) sinktest.Destination { return databricksIn(t, rawURL) })
}

func TestDatabricksLoads(t *testing.T) {
	t.Parallel()
	wantLoads(t, databricksIn(t, e2e.Service(t, "TEST_DATABRICKS_URL")))
}

// databricksIn is a schema that is dropped when the test ends. It is read as verify reads.
func databricksIn(t testing.TB, rawURL string) sinktest.Destination {
	dataset := newDatabricks(t, rawURL)
	return sinktest.Destination{
		Ahead: true, Slow: true,
		Open: func(t testing.TB) sink.Sink {
			to, err := sink.Open(t.Context(), rawURL, dataset)
			if err != nil {
				t.Fatal(err)
			}
			return to
		},
		Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readThrough(t, rawURL, dataset, table) },
	}
}

func newDatabricks(t testing.TB, rawURL string) string {
	dataset := "tilestream_test_" + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		if err := sink.Drop(t.Context(), rawURL, dataset); err != nil {
			t.Errorf("drop dataset %s: %v", dataset, err)
		}
	})
	return dataset
}
