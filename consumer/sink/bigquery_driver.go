package sink

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	bq "cloud.google.com/go/bigquery"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
)

// requestTime is how long one request may take, its repetitions included: the client repeats it for as long as it may.
const requestTime = time.Minute

// bigQueryLabels are on every job, so that its cost can be told from others in INFORMATION_SCHEMA.JOBS and on the bill.
var bigQueryLabels = map[string]string{"application": "tilestream"}

// bigQueryConnector connects database/sql to BigQuery, as far as staged and Reader need it: a statement is a job; there are no parameters,
// and no transactions beyond a script. There is nothing to connect to: a connection has no state.
type bigQueryConnector struct {
	*bigQuery
	reads bool // it takes nothing but queries
}

func (c bigQueryConnector) Connect(context.Context) (driver.Conn, error) { return bigQueryConn(c), nil }
func (c bigQueryConnector) Driver() driver.Driver                        { return c }
func (c bigQueryConnector) Open(string) (driver.Conn, error)             { return bigQueryConn(c), nil }

type bigQueryConn bigQueryConnector

func (c bigQueryConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (c bigQueryConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (c bigQueryConn) Close() error                        { return nil }

// ExecContext runs a statement, or a script; the result has the rows that DML has changed.
func (c bigQueryConn) ExecContext(ctx context.Context, statement string, _ []driver.NamedValue) (driver.Result, error) {
	job, err := c.run(ctx, statement)
	if err != nil {
		return nil, err
	}
	if s := job.LastStatus().Statistics; s != nil {
		if q, ok := s.Details.(*bq.QueryStatistics); ok {
			return driver.RowsAffected(q.NumDMLAffectedRows), nil
		}
	}
	return driver.RowsAffected(0), nil
}

// QueryContext runs a query, or a script that ends with one.
func (c bigQueryConn) QueryContext(ctx context.Context, statement string, _ []driver.NamedValue) (driver.Rows, error) {
	job, err := c.run(ctx, statement)
	if err != nil {
		return nil, err
	}
	rows, err := job.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the result of job %s: %w", job.ID(), err)
	}
	return &bigQueryRows{rows: rows}, nil
}

// run runs a statement as a job, and waits until it has ended.
func (c bigQueryConn) run(ctx context.Context, statement string) (*bq.Job, error) {
	if c.reads && !strings.HasPrefix(statement, "SELECT ") {
		return nil, errors.New("the connection is read-only")
	}
	q := c.client.Query(statement)
	q.JobID, q.Labels, q.MaxBytesBilled = "tilestream_"+rand.Text(), bigQueryLabels, c.limit
	return c.await(ctx, q.JobID, func(ctx context.Context) (*bq.Job, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		return q.Run(ctx)
	})
}

// await starts a job and waits until it has ended. What it says of a failed job is a *bq.Error. The id tells a job whose start was
// reported to nobody from one that was not started. A job that nobody waits for any longer is cancelled, as far as that can be had:
// one that commits all the same does so before the next one, or is refused by it.
func (b *bigQuery) await(ctx context.Context, id string, start func(context.Context) (*bq.Job, error)) (*bq.Job, error) {
	job, err := start(ctx)
	if err != nil && mayHaveStarted(err) {
		within, cancel := context.WithTimeout(ctx, requestTime)
		found, unknown := b.client.JobFromIDLocation(within, id, b.location)
		cancel()
		if unknown == nil {
			job, err = found, nil
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			b.cancel(ctx, id)
		}
		return nil, err
	}
	for pause := 50 * time.Millisecond; !job.LastStatus().Done(); pause = min(pause*3/2, 2*time.Second) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			b.cancel(ctx, id)
			return nil, ctx.Err()
		}
		within, cancel := context.WithTimeout(ctx, requestTime)
		_, err := job.Status(within)
		cancel()
		if err != nil {
			b.cancel(ctx, id)
			return nil, fmt.Errorf("ask for job %s: %w", id, err)
		}
	}
	return job, job.LastStatus().Err()
}

// mayHaveStarted tells a reply that was lost, or that says the job is there, from a refusal.
func mayHaveStarted(err error) bool {
	var answer *googleapi.Error
	return !errors.As(err, &answer) || answer.Code == http.StatusConflict || answer.Code >= 500
}

// cancel asks for the end of a job, and waits a while for it.
func (b *bigQuery) cancel(ctx context.Context, id string) {
	within, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	job, err := b.client.JobFromIDLocation(within, id, b.location)
	if err != nil || job.Cancel(within) != nil {
		return
	}
	for !job.LastStatus().Done() {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-within.Done():
			return
		}
		if _, err := job.Status(within); err != nil {
			return
		}
	}
}

type bigQueryRows struct {
	rows   *bq.RowIterator
	values []bq.Value
}

func (r *bigQueryRows) Columns() []string {
	names := make([]string, len(r.rows.Schema))
	for i, f := range r.rows.Schema {
		names[i] = f.Name
	}
	return names
}

func (r *bigQueryRows) Close() error { return nil }

func (r *bigQueryRows) Next(into []driver.Value) error {
	if err := r.rows.Next(&r.values); errors.Is(err, iterator.Done) {
		return io.EOF
	} else if err != nil {
		return err
	}
	for i, v := range r.values {
		into[i] = v
	}
	return nil
}
