package sink

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Databricks' driver never closes the last answer of a session, so the timer that it gives each request waits to its end.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.setRequestCancel.func4"))
}
