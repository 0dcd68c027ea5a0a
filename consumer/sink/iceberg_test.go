//go:build cgo

package sink_test

import (
	"crypto/rand"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

func TestIceberg(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, icebergInDir)
	})
	t.Run("S3 and PostgreSQL", func(t *testing.T) {
		t.Parallel()
		icebergURL(t)
		sinktest.Run(t, func(t testing.TB) sinktest.Destination { return icebergAt(t, icebergURL(t)) })
	})
}

func icebergInDir(t testing.TB) sinktest.Destination {
	return icebergAt(t, "iceberg+file://"+filepath.ToSlash(t.TempDir()))
}

// icebergURL is a catalog of its own in PostgreSQL, with its files on S3.
func icebergURL(t testing.TB) string {
	t.Helper()
	at, err := url.Parse(e2e.Service(t, "TEST_S3_URL"))
	if err != nil {
		t.Fatal(err)
	}
	at.Scheme, at.Path = "iceberg+s3", "/"+rand.Text()
	q := at.Query()
	q.Set("catalog", "sql")
	q.Set("name", rand.Text())
	q.Set("uri", e2e.Service(t, "TEST_POSTGRES_URL"))
	at.RawQuery = q.Encode()
	return at.String()
}

func icebergAt(t testing.TB, at string) sinktest.Destination {
	return sinktest.Destination{
		KeepsVersions: true,
		Slow:          true, // a snapshot writes the table's metadata anew
		Open: func(t testing.TB) sink.Sink {
			to, err := sink.Open(t.Context(), at, "tiledesk")
			if err != nil {
				t.Fatal(err)
			}
			return to
		},
		Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readThrough(t, at, "tiledesk", table) },
	}
}

// TestIcebergSettings says what is wrong with a URL, and never its password.
func TestIcebergSettings(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"iceberg+s3://b/p?catalog=sql&uri=postgres%3A%2F%2Fme%3Ahush@127.0.0.1:1%2Fdb&region=eu", "the catalog's PostgreSQL"},
		{"iceberg+s3://b/p?catalog=sql&uri=mysql%3A%2F%2Fme%3Ahush@127.0.0.1%2Fdb&region=eu", "catalog=sql with uri=postgres://"},
		{"iceberg+s3://b/p?catalog=rest&uri=hush&region=eu", "not the URL of a catalog"},
		{"iceberg+s3://b/p?region=eu", "not the URL of a catalog"},
		{"iceberg+s3://?catalog=sql&uri=postgres%3A%2F%2Fx&region=eu", "BUCKET/PREFIX"},
		{"iceberg+s3://b/p?catalogue=sql", "unknown parameter"},
		{"iceberg+file://", "it takes a path"},
	} {
		_, err := sink.Open(t.Context(), c.url, "tiledesk")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "me:hush") || strings.Contains(err.Error(), "me%3Ahush") {
			t.Errorf("Open %s: %v, want %q", c.url, err, c.want)
		}
	}
}

func TestIcebergCrash(t *testing.T) {
	at := icebergURL(t)
	sinktest.Crash(t, icebergAt(t, at), func() *exec.Cmd { return streamForever(t, at, "tiledesk") }, nil)
}
