package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"tilestream/internal/ops"
)

// destinations maps the scheme of a warehouse's URL to what opens it. An opener may leave connecting to the first use.
var destinations = map[string]func(ctx context.Context, u *url.URL, dataset string) (Sink, error){
	"azblob":       openAzure,
	"bigquery":     openBigQuery,
	"databricks":   openDatabricks,
	"duckdb":       openDuckDB,
	"file":         openFiles,
	"gs":           openGCS,
	"iceberg+file": openIcebergFile,
	"iceberg+s3":   openIcebergS3,
	"postgres":     openPostgres,
	"postgresql":   openPostgres,
	"redshift":     openRedshift,
	"s3":           openS3,
	"snowflake":    openSnowflake,
}

// Age is how long a batch should gather rows for a kind of warehouse, by the scheme of its URL, where nobody says otherwise. It weighs
// what a batch costs there (see docs) against how old rows may be.
func Age(scheme string) time.Duration {
	switch scheme {
	case "bigquery": // is billed by the byte that a MERGE reads
		return 15 * time.Minute
	case "snowflake", "redshift", "databricks", "iceberg+s3", "iceberg+file": // computing time, or a snapshot
		return time.Minute
	}
	return 2 * time.Second
}

// Memory is how many bytes a kind of warehouse takes within this process, by the scheme of its URL: DuckDB's memory_limit, what its
// allocators have not given back yet, and its code.
func Memory(scheme string) int64 {
	if scheme == "duckdb" {
		return 384 << 20
	}
	return 0
}

// errAway is in the error of an opener that could not reach the warehouse, or not get an answer: another try may.
var errAway = errors.New("the warehouse is away")

// Open opens the warehouse that the URL names; its tables are in the dataset: a schema, or a directory. A URL that
// cannot be used is an *ops.UsageError. No error holds the URL's password.
func Open(ctx context.Context, rawURL, dataset string) (Sink, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	open, ok := destinations[u.Scheme]
	if !ok {
		return nil, ops.Usagef("WAREHOUSE_URL=%s: unknown kind of warehouse %q: it takes %s", Redacted(rawURL), u.Scheme, schemes())
	}
	if dataset == "" {
		return nil, ops.Usagef("WAREHOUSE_DATASET is empty: it takes the name of a schema, such as tiledesk")
	}
	s, err := open(ctx, u, dataset)
	if err != nil {
		return nil, fmt.Errorf("open warehouse %s: %w", Redacted(rawURL), err)
	}
	return s, nil
}

// parseURL reads WAREHOUSE_URL without ever quoting it.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil { // what url.Parse says may quote a part of the password
		return nil, ops.Usagef("WAREHOUSE_URL is not a URL; special characters in a password are written %%XX (@ is %%40, / is %%2F)")
	}
	return u, nil
}

func schemes() string {
	names := slices.Sorted(maps.Keys(destinations))
	for i := range names {
		names[i] += "://"
	}
	return strings.Join(names, ", ")
}

var secretName = regexp.MustCompile(`(?i)pass|secret|token|key|credential|signature|^sig$`)

// Redacted returns the URL as logs and summaries may show it: the password, and every parameter that looks like a
// secret, is ****.
func Redacted(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		scheme, _, _ := strings.Cut(rawURL, ":")
		return scheme + "://****"
	}
	var user string
	if u.User != nil {
		if user = url.User(u.User.Username()).String(); user != "" || u.User.String() != "" {
			if _, set := u.User.Password(); set {
				user += ":****"
			}
			user += "@"
		}
		u.User = nil
	}
	if u.RawQuery != "" {
		q := u.Query()
		for name := range q {
			if secretName.MatchString(name) {
				q[name] = []string{"****"}
			}
			for i, v := range q[name] {
				if strings.Contains(v, "://") { // the URL of a catalog may have a password of its own
					q[name][i] = Redacted(v)
				}
			}
		}
		u.RawQuery = strings.ReplaceAll(q.Encode(), "%2A%2A%2A%2A", "****")
	}
	return strings.Replace(u.String(), "://", "://"+user, 1)
}

// localPath is the path that a URL of a local warehouse names: duckdb://a/b.duckdb is relative to the working
// directory, duckdb:///a/b.duckdb is not.
func localPath(u *url.URL) (string, error) {
	path := u.Opaque + u.Host + u.Path
	if u.User != nil || path == "" || path == "/" {
		return "", ops.Usagef("it takes a path: %s://relative/path or %s:///absolute/path", u.Scheme, u.Scheme)
	}
	return filepath.FromSlash(path), nil
}

// localURL is the inverse of localPath. A relative path gets a ./ in front, so that none of it has to be a host name.
func localURL(scheme, path string) string {
	u := url.URL{Scheme: scheme, Path: path}
	if !strings.HasPrefix(path, "/") {
		u.Host, u.Path = ".", "/"+strings.TrimPrefix(path, "./")
	}
	return u.String()
}
