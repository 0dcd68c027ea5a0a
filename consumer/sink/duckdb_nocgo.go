//go:build !cgo

package sink

import (
	"context"
	"net/url"

	"tilestream/internal/ops"
)

const noDuckDB = "this build has no DuckDB, which needs cgo and a C compiler"

func openDuckDB(context.Context, *url.URL, string) (Sink, error) {
	return nil, ops.Usagef("%s: build with CGO_ENABLED=1, or take file:// or postgres://", noDuckDB)
}
