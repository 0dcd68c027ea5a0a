package sink_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

// startRedshift is the URL of a double of Redshift that ends with the test.
func startRedshift(t testing.TB) string {
	t.Helper()
	return sink.StartRedshift(t, e2e.Service(t, "TEST_POSTGRES_URL"), e2e.Service(t, "TEST_S3_URL"), "redshift/"+rand.Text()+"/it's a b")
}

func TestRedshift(t *testing.T) {
	at := startRedshift(t)
	sinktest.Run(t, func(t testing.TB) sinktest.Destination { return scratch(t, at) })
}

// redshiftRefuses is what docs/redshift.md says of values.
func redshiftRefuses(f arrow.Field, value any) bool {
	text, ok := value.(string)
	return ok && (len(text) > 65535 || f.Name == "_id" && strings.HasSuffix(text, " ") || arrow.TypeEqual(f.Type, sinktest.JSON) && (strings.Contains(text, "1e400") || strings.Contains(text, ".123456789}")))
}
