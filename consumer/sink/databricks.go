package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dbsql "github.com/databricks/databricks-sql-go"
	dbsqllog "github.com/databricks/databricks-sql-go/logger"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"tilestream/internal/ops"
)

// databricks is what the URL of a SQL warehouse says.
type databricks struct {
	user, secret string // token and a personal access token, or the id and secret of a service principal
	host         string
	port         int
	path         string // of the warehouse
	catalog      string // "": the workspace's default
	schema       string
	volume       string // directory of a volume in which batches wait; "": one of the schema's own
	http         *http.Transport
}

const databricksForm = "databricks://token:TOKEN@HOST/sql/1.0/warehouses/ID?catalog=CATALOG, or with the id and the secret of a service principal in place of token:TOKEN"

// parseDatabricks takes databricksForm, and volume=/Volumes/CATALOG/SCHEMA/VOLUME.
func parseDatabricks(u *url.URL, dataset string) (*databricks, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, ops.Usagef("its parameters cannot be read; special characters are written %%XX")
	}
	for name := range q {
		if name != "catalog" && name != "volume" {
			return nil, ops.Usagef("it has a parameter %q: it takes catalog and volume", name)
		}
	}
	secret, _ := u.User.Password()
	d := &databricks{user: u.User.Username(), secret: secret, host: u.Hostname(), port: 443, path: u.Path, catalog: q.Get("catalog"), schema: databricksDialect.name(dataset), volume: strings.TrimSuffix(q.Get("volume"), "/"),
		http: http.DefaultTransport.(*http.Transport).Clone()}
	if p := u.Port(); p != "" {
		d.port, _ = strconv.Atoi(p) // url.Parse has seen that it is a number
	}
	if d.user == "" || secret == "" || d.host == "" || len(d.path) < 2 {
		return nil, ops.Usagef("not the URL of a SQL warehouse: it takes %s", databricksForm)
	}
	if d.volume != "" && (!strings.HasPrefix(d.volume, "/Volumes/") || strings.Count(d.volume, "/") < 4 || path.Clean(d.volume) != d.volume || strings.ContainsAny(d.volume, "`'\\")) {
		return nil, ops.Usagef("volume=%s is no directory in a volume: it takes /Volumes/CATALOG/SCHEMA/VOLUME", d.volume)
	}
	return d, nil
}

// address is the workspace. The driver speaks HTTP to localhost, and HTTPS to all others.
func (d *databricks) address() string {
	if d.host == "localhost" {
		return "http://localhost:" + strconv.Itoa(d.port)
	}
	return "https://" + d.host + ":" + strconv.Itoa(d.port)
}

// principal signs requests as a service principal (Databricks, "Authorize service principal access with OAuth").
type principal struct{ tokens oauth2.TokenSource }

func (p principal) Authenticate(r *http.Request) error {
	t, err := p.tokens.Token()
	if err != nil {
		return fmt.Errorf("get a token for the service principal: %w", unsigned(err))
	}
	t.SetAuthHeader(r)
	return nil
}

// quietDatabricks ends the driver's log, which would show again what is in the errors, with the statements. It can be told so before its
// first use only.
var quietDatabricks = sync.OnceFunc(func() { _ = dbsqllog.SetLogLevel("disabled") }) // a level that it knows

func (d *databricks) open() (*sql.DB, error) {
	quietDatabricks()
	auth := dbsql.WithAccessToken(d.secret)
	if d.user != "token" {
		credentials := clientcredentials.Config{ClientID: d.user, ClientSecret: d.secret, TokenURL: d.address() + "/oidc/v1/token", Scopes: []string{"all-apis"}}
		within := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: 30 * time.Second, Transport: d.http})
		auth = dbsql.WithAuthenticator(principal{credentials.TokenSource(within)})
	}
	connector, err := dbsql.NewConnector(dbsql.WithServerHostname(d.host), dbsql.WithPort(d.port), dbsql.WithHTTPPath(d.path), auth,
		dbsql.WithTransport(answers{d.http}), dbsql.WithInitialNamespace(d.catalog, ""), dbsql.WithUserAgentEntry("tilestream"), dbsql.WithMaxRows(10_000), dbsql.WithRetries(3, 300*time.Millisecond, 10*time.Second),
		dbsql.WithSessionParams(map[string]string{"timezone": "UTC", "ansi_mode": "true"}))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetConnMaxIdleTime(5 * time.Minute) // a session that nobody uses is ended by the warehouse, which a pool notices too late
	return db, nil
}

// close ends connections that wait for a request; what database/sql keeps is closed before.
func (d *databricks) close() error {
	d.http.CloseIdleConnections()
	return nil
}

func openDatabricks(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	d, err := parseDatabricks(u, dataset)
	if err != nil {
		return nil, err
	}
	db, err := d.open()
	if err != nil {
		return nil, err
	}
	s := &staged{dialect: databricksDialect, db: db, dataset: d.schema, prepared: map[string]string{}, engine: engine{
		stage: d.stage, merge: databricksMerge, create: databricksCreate, properties: databricksProperties,
		raise: databricksRaise, refused: databricksRefused, conflict: databricksConflict, explain: d.explain, close: d.close,
	}}
	if err = s.setup(ctx); err == nil {
		err = d.explain(d.setup(ctx, db))
	}
	if err != nil {
		_ = s.Close() // nothing was opened
		if databricksAway(err) {
			err = fmt.Errorf("%w: %w", errAway, err)
		}
		return nil, err
	}
	return s, nil
}

func readDatabricks(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	d, err := parseDatabricks(u, dataset)
	if err != nil {
		return nil, err
	}
	db, err := d.open()
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		_ = errors.Join(db.Close(), d.close()) // nothing was opened
		return nil, d.explain(err)
	}
	return &Reader{db: db, dataset: d.schema, close: func() error { return errors.Join(db.Close(), d.close()) }, dialect: databricksDialect}, nil
}

// setup finds, or makes, the volume in which batches wait.
func (d *databricks) setup(ctx context.Context, db *sql.DB) error {
	if d.volume != "" {
		return nil
	}
	if err := db.QueryRowContext(ctx, "SELECT current_catalog()").Scan(&d.catalog); err != nil {
		return err
	}
	schema := databricksDialect.quoted(d.schema)
	volumes, err := d.table(ctx, db, "SHOW VOLUMES IN "+schema)
	if err != nil {
		return err
	}
	// Looked at first: CREATE ... IF NOT EXISTS wants the right to create even where there is nothing to do.
	if !slices.ContainsFunc(volumes, func(v map[string]string) bool { return v["volume_name"] == stageVolume }) {
		if _, err := db.ExecContext(ctx, "CREATE VOLUME IF NOT EXISTS "+schema+"."+databricksDialect.quoted(stageVolume)+" COMMENT 'Batches of Tilestream on their way into tables'"); err != nil {
			return fmt.Errorf("create the volume for the stage: %w", err)
		}
	}
	d.volume = "/Volumes/" + d.catalog + "/" + d.schema + "/" + stageVolume
	return nil
}

// stageVolume has no _ in front: what begins so is hidden from Spark's readers.
const stageVolume = "tilestream_stage"
