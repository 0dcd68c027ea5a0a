package tiledesk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// dialect is what the client found out about its server. The lock is a channel, so that who waits can give up.
type dialect struct {
	lock chan struct{}
	api  atomic.Pointer[API]
}

// Dialect returns the API that the server speaks, V3 or Documented; "" as long as that is not known.
func (c *Client) Dialect() string {
	if api := c.found.api.Load(); api != nil {
		return string(*api)
	}
	return ""
}

// base is the address in front of the project.
func (c *Client) base(api API) string {
	switch {
	case c.project.URL != "":
		return c.project.URL
	case api == V3:
		return hostedV3
	default:
		return hostedDocumented
	}
}

// dialect returns what the server speaks, and asks it the first time.
func (c *Client) dialect(ctx context.Context) (API, error) {
	if api := c.found.api.Load(); api != nil {
		return *api, nil
	}
	select {
	case c.found.lock <- struct{}{}:
		defer func() { <-c.found.lock }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if api := c.found.api.Load(); api != nil {
		return *api, nil
	}
	api, why, err := c.probe(ctx)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", err
	}
	c.found.api.Store(&api)
	c.log.Info("tiledesk: found the API", "project", c.project.ID, "api", api, "url", c.base(api), "because", why)
	return api, nil
}

// probe asks for requests in both dialects, until one answer settles which it is. Only answers that the other dialect would
// not give count; a bad credential or an outage is returned as the error that it is, and the next poll asks again.
func (c *Client) probe(ctx context.Context) (api API, why string, err error) {
	if c.project.Credential.Token == "" {
		return V3, "only it takes a sign-in or a subscription", nil
	}
	v3 := c.ask(ctx, V3)
	switch {
	case v3 == nil:
		return V3, "it answers /PROJECT/requests", nil
	case v3.Status == 403 && strings.Contains(v3.Message, "you dont"), v3.Status == 400 && strings.Contains(v3.Message, "roject"):
		return V3, "it knows the path /PROJECT/requests", nil // the poll itself will return the error
	case v3.Status == 0 || v3.again && v3.Status != http.StatusOK:
		return "", "", v3 // an outage says nothing
	}
	doc := c.ask(ctx, Documented)
	switch {
	case doc == nil:
		return Documented, "it answers /projects/PROJECT/requests", nil
	case doc.Status == 400 && strings.Contains(doc.Message, "Invalid project id: projects"):
		return V3, `it takes "projects" for a project id`, nil
	case v3.Status == 404 && (doc.Status == 401 || doc.Status == 403):
		return Documented, "it knows the path /projects/PROJECT/requests alone", nil
	case v3.Status == 401 && doc.Status == 404:
		return V3, "it knows the path /PROJECT/requests alone", nil
	case v3.Status != 404 && doc.Status != 401:
		return "", "", v3
	case doc.Status != 404:
		return "", "", doc
	}
	v3.Hint = fmt.Sprintf("neither dialect is there: GET %s gave %d too; check TILEDESK_URL", doc.URL, doc.Status)
	return "", "", v3
}

func (c *Client) ask(ctx context.Context, api API) *Error {
	_, err := c.get(ctx, "probe of the API", api, c.oneRequest(api), isListOfRequests)
	var e *Error
	if err != nil && !errors.As(err, &e) {
		e = &Error{Resource: "probe of the API", Err: err}
	}
	if e != nil {
		e.whole = true
	}
	return e
}

// oneRequest is the shortest question that only a member of the project gets an answer to.
func (c *Client) oneRequest(api API) string {
	id := url.PathEscape(c.project.ID)
	if api == Documented {
		return c.base(api) + "/projects/" + id + "/requests?page=1&perPage=1"
	}
	return c.base(api) + "/" + id + "/requests?limit=1&status=all&no_populate=true"
}

func isListOfRequests(body []byte) error {
	_, err := parseList(body, "requests")
	return err
}
