//go:build cgo

package sink_test

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

// buckets are the object stores, and the variables that name a bucket of each.
var buckets = []bucket{
	{"S3", "TEST_S3_URL", false},
	{"GCS", "TEST_GCS_URL", true},
	{"Azure", "TEST_AZURE_URL", true},
}

type bucket struct {
	name, variable string
	slow           bool // its emulator takes many minutes for all of this
}

func (b bucket) url(t testing.TB) string {
	t.Helper()
	if b.slow {
		return e2e.Emulator(t, b.variable)
	}
	return e2e.Service(t, b.variable)
}

func TestBuckets(t *testing.T) {
	for _, b := range buckets {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			base := b.url(t)
			sinktest.Run(t, func(t testing.TB) sinktest.Destination { return bucketIn(t, base) })
		})
	}
}

func bucketIn(t testing.TB, base string) sinktest.Destination {
	at, dir := prefixed(t, base), t.TempDir()
	open := func(t testing.TB) sink.Sink {
		to, err := sink.Open(t.Context(), at, "tiledesk")
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	return sinktest.Destination{KeepsVersions: true, Open: open, Read: func(t testing.TB, table sink.Table) []sinktest.Row {
		mirror(t, at, dir, table.Name)
		return readFiles(t, dir, table)
	}}
}

// prefixed is the URL of an unused part of the bucket. Its name has what needs care in keys.
func prefixed(t testing.TB, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + rand.Text() + "/a b+c'%41&ü?"
	if u.Scheme == "azblob" || os.Getenv("STORAGE_EMULATOR_HOST") != "" && u.Scheme == "gs" {
		u.Host = "t" + strings.ToLower(rand.Text()) // a bucket of its own: the emulators look at all of a bucket's objects to list some
		to, err := sink.Open(t.Context(), u.String(), "tiledesk")
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		if err := sink.MakeBucket(t.Context(), to); err != nil {
			t.Fatal(err)
		}
	}
	return u.String()
}

// mirror copies a warehouse in a bucket, or one table of it, to a directory, where DuckDB reads it without an extension.
func mirror(t testing.TB, at, dir, table string) {
	t.Helper()
	to, err := sink.Open(t.Context(), at, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := sink.Mirror(t.Context(), to, filepath.Join(dir, "tiledesk"), table); err != nil {
		t.Fatal(err)
	}
}
