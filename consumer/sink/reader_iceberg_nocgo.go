//go:build !cgo

package sink

import (
	"context"
	"net/url"
)

func readIceberg(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	return readDuckDB(ctx, u, dataset) // DuckDB reads the files
}
