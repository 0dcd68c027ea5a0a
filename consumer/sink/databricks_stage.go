package sink

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// stage puts rows into a file of the volume. A file that a crash leaves there is read by nobody.
func (d *databricks) stage(ctx context.Context, conn *sql.Conn, name string, rows arrow.RecordBatch) (string, func(context.Context) error, error) {
	var file bytes.Buffer
	rows.Retain()
	// Spark takes times before 1582 in a file without its version for those of another calendar, or for an error.
	if err := writeParquet(ctx, &file, rows.Schema(), slices.Values([]arrow.RecordBatch{rows}), "org.apache.spark.version", "3.5.0"); err != nil {
		return "", nil, err
	}
	path := d.volume + "/" + name + ".parquet"
	if err := d.transfer(ctx, conn, "PUT 'rows.parquet' INTO '"+path+"' OVERWRITE", http.MethodPut, file.Bytes()); err != nil {
		return "", nil, fmt.Errorf("put the batch into %s: %w", d.volume, err)
	}
	return "parquet.`" + path + "`", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // a file that stays does no harm
		defer cancel()
		return d.transfer(ctx, conn, "REMOVE '"+path+"'", http.MethodDelete, nil)
	}, nil
}

// transfer does what the driver does with PUT and REMOVE: the warehouse answers with an address that is signed for one request. The
// driver's own takes a file of the disk, does not end with the context, and loses its errors.
func (d *databricks) transfer(ctx context.Context, conn *sql.Conn, statement, method string, body []byte) error {
	answer, err := d.table(ctx, conn, statement)
	if err != nil {
		return err
	}
	if len(answer) != 1 || answer[0]["presignedUrl"] == "" {
		return fmt.Errorf("the warehouse does not say where to: it answers %d rows", len(answer))
	}
	headers := map[string]string{}
	if h := answer[0]["headers"]; h != "" {
		if err := json.Unmarshal([]byte(h), &headers); err != nil {
			return fmt.Errorf("the warehouse's headers: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, answer[0]["presignedUrl"], bytes.NewReader(body))
	if err != nil {
		return errors.New("the warehouse's address is no URL") // which it is, is secret
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Client{Transport: d.http}).Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, req.URL.Host, unsigned(err))
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if resp.StatusCode/100 != 2 {
		return &transferError{method, req.URL.Host, resp.Status, resp.StatusCode, strings.TrimSpace(string(said))}
	}
	return err
}

// transferError is an answer of the storage below a volume.
type transferError struct {
	method, host, status string
	code                 int
	said                 string
}

func (e *transferError) Error() string {
	return fmt.Sprintf("%s %s: %s: %s", e.method, e.host, e.status, e.said)
}

// unsigned takes the address out of an error, which is as good as a password.
func unsigned(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// table runs a statement of which the result is a few texts.
func (d *databricks) table(ctx context.Context, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, statement string) (out []map[string]string, err error) {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range into {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := map[string]string{}
		for i, c := range columns {
			row[c] = values[i].String
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
