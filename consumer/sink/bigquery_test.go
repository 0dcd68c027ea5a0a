package sink_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

func TestBigQuery(t *testing.T) {
	at := sink.StartBigQuery(t, e2e.Service(t, "TEST_BIGQUERY_URL"))
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		d := scratch(t, at)
		d.Slow, d.Refuses = true, bigQueryRefuses
		return d
	})
}

// bigQueryRefuses is what docs/bigquery.md says of values.
func bigQueryRefuses(f arrow.Field, value any) bool {
	text, ok := value.(string)
	return ok && arrow.TypeEqual(f.Type, sinktest.JSON) && (strings.Contains(text, "1e400") || strings.Contains(text, ".123456789}"))
}
