package sink

import (
	"net/url"
	"strings"
	"testing"
)

func TestRedacted(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"postgres://ann:s3cret@db:5432/x?sslmode=disable", "postgres://ann:****@db:5432/x?sslmode=disable"},
		{"postgres://ann@db/x", "postgres://ann@db/x"},
		{"postgres://:s3cret@db/x", "postgres://:****@db/x"},
		{"postgres://db/x?user=ann&password=s3cret&sslpassword=s3cret", "postgres://db/x?password=****&sslpassword=****&user=ann"},
		{"postgres://ann:s3cret/x@db/x", "postgres://****"},
		{"iceberg+s3://b/p?catalog=sql&uri=postgres%3A%2F%2Fann%3As3cret%40db%2Fx", "iceberg+s3://b/p?catalog=sql&uri=postgres%3A%2F%2Fann%3A****%40db%2Fx"},
		{"duckdb://a b/x.duckdb", "duckdb://****"},
		{"duckdb://./a b/x.duckdb", "duckdb://./a%20b/x.duckdb"},
		{"file:///data/w", "file:///data/w"},
	} {
		got := Redacted(c.in)
		if got != c.want {
			t.Errorf("Redacted(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct{ url, dataset, want string }{
		{"mysql://ann:s3cret@db/x", "tiledesk", `unknown kind of warehouse "mysql": it takes azblob://, `},
		{"postgres://ann:s3cret/x@db/x", "tiledesk", "not a URL"},
		{"postgres://ann:s3cret@db:port/x", "tiledesk", "not a URL"},
		{"warehouse.duckdb", "tiledesk", "unknown kind of warehouse"},
		{"", "tiledesk", "unknown kind of warehouse"},
		{"postgres://ann:s3cret@db/x", "", "WAREHOUSE_DATASET is empty"},
	} {
		_, err := Open(t.Context(), c.url, c.dataset)
		if err == nil {
			t.Errorf("Open(%q) took it", c.url)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%q) = %v, want %q in it", c.url, err, c.want)
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%q) shows the password: %v", c.url, err)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for _, path := range []string{"a/b.duckdb", "/a/b.duckdb", "/a b/ü?.duckdb", "../b", "a b/c%20"} {
		u, err := url.Parse(localURL("duckdb", path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := localPath(u)
		if got != path && got != "./"+path || err != nil {
			t.Errorf("localPath(%s) = %q, %v, want %q", u, got, err, path)
		}
	}
	for raw, want := range map[string]string{"duckdb://a/b.duckdb": "a/b.duckdb", "duckdb:a/b": "a/b", "duckdb:///a": "/a"} {
		u, _ := url.Parse(raw)
		if got, err := localPath(u); got != want || err != nil {
			t.Errorf("localPath(%s) = %q, %v, want %q", raw, got, err, want)
		}
	}
}
