package sink

import (
	"context"
	"errors"
	"net/url"
)

func openPostgres(context.Context, *url.URL, string) (Sink, error) {
	return nil, errors.New("under construction")
}
