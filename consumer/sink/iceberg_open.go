package sink

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog/hadoop"
	"github.com/apache/iceberg-go/catalog/rest"
	icebergsql "github.com/apache/iceberg-go/catalog/sql"
	icebergio "github.com/apache/iceberg-go/io"
	_ "github.com/apache/iceberg-go/io/gocloud/s3" // files in s3://
	"github.com/apache/iceberg-go/table"
	"github.com/apache/iceberg-go/utils"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"

	"tilestream/internal/ops"
)

var icebergParameters = []string{"catalog", "uri", "warehouse", "name", "scope", "oauth", "sigv4", "region", "endpoint", "profile"}

// openIcebergFile takes iceberg+file:///DIR, where the directory itself is the catalog, or one with a catalog as openIcebergS3 takes
// it.
func openIcebergFile(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	q, err := icebergQuery(u)
	if err != nil {
		return nil, err
	}
	dir, err := localPath(u)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	s := newIceberg(dataset)
	if q.Get("catalog") == "" {
		if s.cat, err = hadoop.NewCatalog("tilestream", dir, nil); err != nil {
			return nil, err
		}
		return s, nil
	}
	s.location = "file://" + filepath.ToSlash(dir)
	return s, s.connect(ctx, q, nil)
}

// openIcebergS3 takes iceberg+s3://BUCKET/PREFIX?catalog=sql&uri=postgres://... or iceberg+s3://[BUCKET/PREFIX]?catalog=rest&uri=
// https://...[&warehouse=...]. Credentials of S3 come as any AWS tool finds them, if not from the catalog; those of a REST catalog are
// ICEBERG_TOKEN or ICEBERG_CREDENTIAL in the environment.
func openIcebergS3(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	q, err := icebergQuery(u)
	if err != nil {
		return nil, err
	}
	if u.User != nil || u.Port() != "" || u.Opaque != "" || u.Host == "" && q.Get("catalog") != "rest" {
		return nil, ops.Usagef("it takes iceberg+s3://BUCKET/PREFIX?catalog=...&uri=...; credentials come from the environment")
	}
	var load []func(*config.LoadOptions) error
	if q.Get("profile") != "" {
		load = append(load, config.WithSharedConfigProfile(q.Get("profile")))
	}
	if q.Get("region") != "" {
		load = append(load, config.WithRegion(q.Get("region")))
	}
	aws, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, err
	}
	transport := newTransport()
	if b, ok := aws.HTTPClient.(*awshttp.BuildableClient); ok && b.GetTransport().TLSClientConfig != nil { // AWS_CA_BUNDLE
		transport.TLSClientConfig = b.GetTransport().TLSClientConfig
	}
	aws.HTTPClient = &http.Client{Transport: transport} // one for all files: the library opens each table's anew
	props := iceberg.Properties{}
	if e := q.Get("endpoint"); e != "" {
		if !strings.Contains(e, "://") {
			e = "https://" + e
		}
		props[icebergio.S3EndpointURL] = e
	}
	if aws.Region != "" {
		props[icebergio.S3Region] = aws.Region
	} else if q.Get("catalog") != "rest" {
		return nil, ops.Usagef("no region: add region=eu-central-1, or whichever the bucket is in, or set AWS_REGION")
	}
	s := newIceberg(dataset)
	s.scope = func(ctx context.Context) context.Context { return utils.WithAwsConfig(ctx, &aws) }
	s.release = func() error {
		transport.CloseIdleConnections()
		return nil
	}
	if u.Host != "" {
		s.advice = (&s3Objects{bucket: u.Host, arn: "arn:aws:s3:::" + u.Host + strings.TrimRight(u.Path, "/") + "/*"}).advice
		s.location = strings.TrimRight("s3://"+u.Host+u.Path, "/")
	}
	return s, s.connect(s.scope(ctx), q, props)
}

func newIceberg(dataset string) *icebergSink {
	return &icebergSink{namespace: table.Identifier{icebergNames.name(dataset)}, homes: map[logKey]string{}, tables: map[string]*sync.Mutex{},
		scope: func(ctx context.Context) context.Context { return ctx }, advice: func(error) string { return "" }, release: func() error { return nil }}
}

func icebergQuery(u *url.URL) (url.Values, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, ops.Usagef("its parameters cannot be read; special characters are written %%XX")
	}
	for name := range q {
		if !slices.Contains(icebergParameters, name) {
			return nil, ops.Usagef("unknown parameter %q: it takes %s", name, strings.Join(icebergParameters, ", "))
		}
	}
	return q, nil
}

// connect opens the catalog that the parameters name.
func (s *icebergSink) connect(ctx context.Context, q url.Values, props iceberg.Properties) (err error) {
	release := s.release
	uri, err := url.Parse(q.Get("uri"))
	if err != nil || uri.Host == "" {
		return errors.Join(ops.Usagef("parameter uri is not the URL of a catalog: uri=postgres://... or uri=https://..., with & and ? in it written %%26 and %%3F"), release())
	}
	switch kind := q.Get("catalog"); {
	case kind == "sql" && (uri.Scheme == "postgres" || uri.Scheme == "postgresql"):
		db, err := sql.Open("pgx", uri.String())
		if err != nil {
			return errors.Join(errors.New("parameter uri is no URL that PostgreSQL's driver takes"), release()) // its words may hold the password
		}
		s.release = func() error { return errors.Join(db.Close(), release()) }
		if err := db.PingContext(ctx); err != nil {
			return errors.Join(fmt.Errorf("%w: the catalog's PostgreSQL: %w", errAway, err), s.release())
		}
		for range 3 { // of several that make its tables at once, PostgreSQL refuses all but one, IF NOT EXISTS or not
			if s.cat, err = icebergsql.NewCatalog(cmp.Or(q.Get("name"), "tilestream"), db, icebergsql.Postgres, props); err == nil {
				break
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("open the catalog in PostgreSQL, in its tables iceberg_tables and iceberg_namespace_properties: %w", err), s.release())
		}
	case kind == "rest" && (uri.Scheme == "http" || uri.Scheme == "https"):
		c, err := rest.NewCatalog(ctx, cmp.Or(q.Get("name"), "tilestream"), uri.String(), restOptions(q, props)...)
		if err != nil {
			return errors.Join(fmt.Errorf("open the REST catalog (ICEBERG_TOKEN or ICEBERG_CREDENTIAL say who asks): %w", err), release())
		}
		s.cat = c
		s.release = func() error { return errors.Join(c.Close(), release()) }
	default:
		return errors.Join(ops.Usagef("it takes catalog=sql with uri=postgres://USER:PASSWORD@HOST/DATABASE, or catalog=rest with uri=https://HOST/PATH"), release())
	}
	return nil
}

func restOptions(q url.Values, props iceberg.Properties) []rest.Option {
	options := []rest.Option{rest.WithAdditionalProps(props)}
	if w := q.Get("warehouse"); w != "" {
		options = append(options, rest.WithWarehouseLocation(w))
	}
	if v := os.Getenv("ICEBERG_TOKEN"); v != "" {
		options = append(options, rest.WithOAuthToken(v))
	}
	if v := os.Getenv("ICEBERG_CREDENTIAL"); v != "" {
		options = append(options, rest.WithCredential(v))
	}
	if v := q.Get("scope"); v != "" {
		options = append(options, rest.WithScope(v))
	}
	if v, err := url.Parse(q.Get("oauth")); err == nil && v.Host != "" {
		options = append(options, rest.WithAuthURI(v))
	}
	if v := q.Get("sigv4"); v != "" { // glue or s3tables
		options = append(options, rest.WithSigV4RegionSvc(props[icebergio.S3Region], v))
	}
	return options
}
