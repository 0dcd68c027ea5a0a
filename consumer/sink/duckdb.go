//go:build cgo

package sink

import (
	"context"
	"errors"
	"net/url"
)

const noDuckDB = ""

func openDuckDB(context.Context, *url.URL, string) (Sink, error) {
	return nil, errors.New("under construction")
}
