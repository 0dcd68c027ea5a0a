package sink

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	bq "cloud.google.com/go/bigquery"
	"google.golang.org/api/option"

	"tilestream/internal/ops"
)

// bigQuery is what the URL of a project says, and the client of it.
type bigQuery struct {
	project, dataset string
	location         string // of the dataset; "": the project's default
	credentials      string // file with the key of a service account; "": application default credentials
	endpoint         string // instead of Google's; "": Google's
	limit            int64  // bytes that one job may be billed for; 0: any number
	client           *bq.Client
	turn             chan struct{} // of this process's transactions, one is at work: see transact
}

const bigQueryForm = "bigquery://PROJECT?location=EU"

// parseBigQuery takes bigQueryForm, and credentials, endpoint and maximum_bytes_billed.
func parseBigQuery(u *url.URL, dataset string) (*bigQuery, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, ops.Usagef("its parameters cannot be read; special characters are written %%XX")
	}
	b := &bigQuery{project: u.Host, dataset: dataset, turn: make(chan struct{}, 1)}
	if b.project == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, ops.Usagef("not the URL of a project: it takes %s", bigQueryForm)
	}
	if bigQueryDialect.name(dataset) != dataset {
		return nil, ops.Usagef("WAREHOUSE_DATASET=%s: a dataset of BigQuery is named with letters, digits and _", dataset)
	}
	for name := range q {
		value := q.Get(name)
		switch name {
		case "location":
			b.location = value
		case "credentials":
			b.credentials = value
		case "endpoint":
			at, err := url.Parse(value)
			if err != nil || at.Host == "" || at.User != nil || at.Scheme != "http" && at.Scheme != "https" {
				return nil, ops.Usagef("its endpoint is no address: it takes http://HOST:PORT or https://HOST")
			}
			b.endpoint = strings.TrimSuffix(value, "/")
		case "maximum_bytes_billed":
			if b.limit, err = strconv.ParseInt(value, 10, 64); err != nil || b.limit <= 0 {
				return nil, ops.Usagef("maximum_bytes_billed=%s: it takes a number of bytes", value)
			}
		default:
			return nil, ops.Usagef("it has a parameter %q: it takes location, credentials, endpoint and maximum_bytes_billed", name)
		}
	}
	return b, nil
}

// open makes a client; a credential is first used by the first request. The statements of a reader are queries.
func (b *bigQuery) open(ctx context.Context, reads bool) (*sql.DB, error) {
	options := []option.ClientOption{option.WithUserAgent("tilestream")}
	if b.endpoint != "" {
		options = append(options, option.WithEndpoint(b.endpoint+"/bigquery/v2/"))
	}
	switch {
	case strings.HasPrefix(b.endpoint, "http://"):
		options = append(options, option.WithoutAuthentication()) // no credential goes over a line that anybody can read
	case b.credentials != "":
		options = append(options, option.WithAuthCredentialsFile(option.ServiceAccount, b.credentials))
	}
	var err error
	// The client keeps the context for renewing tokens.
	if b.client, err = bq.NewClient(context.WithoutCancel(ctx), b.project, options...); err != nil {
		return nil, ops.Usagef("%v: credentials=FILE takes the JSON key of a service account; without it, application default credentials are used: GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login, or the service account of the machine", err)
	}
	b.client.Location = b.location
	return sql.OpenDB(bigQueryConnector{b, reads}), nil
}

// dialect is bigQueryDialect, which asks the project for the columns of a table.
func (b *bigQuery) dialect() *dialect {
	d := *bigQueryDialect
	d.describe = b.columns
	return &d
}

func openBigQuery(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	s, err := newBigQuery(ctx, u, dataset)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func newBigQuery(ctx context.Context, u *url.URL, dataset string) (*staged, error) {
	b, err := parseBigQuery(u, dataset)
	if err != nil {
		return nil, err
	}
	db, err := b.open(ctx, false)
	if err != nil {
		return nil, err
	}
	s := b.staged(db)
	s.engine.close = b.client.Close
	if err := b.reached(ctx, s.setup); err != nil {
		_ = s.Close() // nothing was opened
		return nil, err
	}
	return s, nil
}

// staged is the sink for the project.
func (b *bigQuery) staged(db *sql.DB) *staged {
	s := &staged{dialect: b.dialect(), db: db, dataset: b.dataset, prepared: map[string]string{}, engine: engine{
		stage: b.stage, check: bigQueryCheck, create: bigQueryCreate, refused: bigQueryOvertaken, conflict: bigQueryConflict, explain: b.explain,
	}}
	s.commit = func(ctx context.Context, conn *sql.Conn, batch Batch, steps []statement, started time.Time) (Stats, error) {
		return b.transact(ctx, s, conn, batch, steps, started)
	}
	return s
}

func readBigQuery(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	b, err := parseBigQuery(u, dataset)
	if err != nil {
		return nil, err
	}
	db, err := b.open(ctx, true)
	if err != nil {
		return nil, err
	}
	err = b.reached(ctx, func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, "SELECT 1")
		return b.explain(err)
	})
	if err != nil {
		_ = db.Close()
		_ = b.client.Close() // nothing was opened
		return nil, err
	}
	return &Reader{db: db, dataset: dataset, dialect: b.dialect(), close: func() error {
		err := db.Close()
		if failed := b.client.Close(); err == nil {
			err = failed
		}
		return err
	}}, nil
}

// reached does what is done first. The client would try a host that does not answer for ever.
func (b *bigQuery) reached(ctx context.Context, do func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := do(within)
	if err != nil && ctx.Err() == nil && (within.Err() != nil || bigQueryAway(err)) {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return err
}
