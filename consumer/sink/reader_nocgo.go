//go:build !cgo

package sink

import (
	"context"
	"net/url"

	"tilestream/internal/ops"
)

func readDuckDB(context.Context, *url.URL, string) (*Reader, error) {
	return nil, ops.Usagef("%s: build with CGO_ENABLED=1 to read this warehouse", noDuckDB)
}

func readFiles(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	return readDuckDB(ctx, u, dataset) // DuckDB reads the files
}

func readBucket(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	return readDuckDB(ctx, u, dataset)
}
