package sink

import (
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"tilestream/internal/e2e"
)

func TestRedshiftCrash(t *testing.T) {
	at := StartRedshift(t, e2e.Service(t, "TEST_POSTGRES_URL"), e2e.Service(t, "TEST_S3_URL"), "redshift/"+rand.Text())
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	prefix := "crash_" + strings.ToLower(rand.Text()[:10]) + "_"
	for _, name := range []string{"upsert", "hard", "append", "history", "prepare"} {
		t.Cleanup(func() {
			if err := Drop(t.Context(), at, prefix+name); err != nil {
				t.Error(err)
			}
		})
	}
	crashStaged(t, func(t testing.TB, name string) *staged {
		s, err := newRedshift(t.Context(), u, prefix+name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
