package sink

import (
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"tilestream/internal/e2e"
)

func TestSnowflakeCrash(t *testing.T) {
	at := e2e.Emulator(t, "TEST_SNOWFLAKE_URL")
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
		f, err := parseSnowflake(u, prefix+name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.sink(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(at, "account=fakesnow") {
			SnowflakeWithoutMerge(s)
		}
		return s
	})
}
