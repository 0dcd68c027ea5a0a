package tiledesk

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/sethvargo/go-envconfig"

	"tilestream/schemas"
)

// Client reads one project: one credential and one request budget for all its streams. It is safe for concurrent use.
type Client struct {
	project Project
	log     *slog.Logger
	http    *http.Client
	budget  *budget
	session session
	found   dialect

	noMessages atomic.Bool // the role may not read /messages
	noFilter   atomic.Bool // the server is too old for updatedAt filters
}

// transport keeps a connection for each stream; the default keeps two to a host.
var transport = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	return t
}()

// New returns a client of the project. It does no I/O.
func New(p Project, log *slog.Logger) *Client {
	c := &Client{
		project: p, log: log, budget: newBudget(p.RequestsPerMinute),
		http:    &http.Client{Transport: transport, CheckRedirect: sameHost},
		session: session{lock: make(chan struct{}, 1)},
		found:   dialect{lock: make(chan struct{}, 1)},
	}
	if c.project.API != Auto && c.project.API != "" {
		c.found.api.Store(&c.project.API)
	}
	return c
}

// Clients returns a client for each project of the settings; see Projects.
func (c Config) Clients(lookup envconfig.Lookuper, log *slog.Logger) ([]*Client, error) {
	projects, err := c.Projects(lookup)
	if err != nil {
		return nil, err
	}
	var out []*Client
	for _, p := range projects {
		out = append(out, New(p, log))
	}
	return out, nil
}

// Project returns the id of the project that the client reads.
func (c *Client) Project() string { return c.project.ID }

// Pages is one poll of a resource: the pages with what changed since the cursor, until the stream is up to date. It ends
// after its first error, which is ctx's own or a final *Error; the pages before it stand. A poll that finds nothing yields
// no page. The consumer may stop at any page and go on later from that page's Next, in another process too.
func (c *Client) Pages(ctx context.Context, r schemas.Resource, from Cursor) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		stopped := false
		at := from
		page := func(p Page) bool {
			at = p.Next
			stopped = !yield(p, nil)
			return !stopped
		}
		err := c.poll(ctx, r, from, page)
		if from.Walk != nil && err == nil && !stopped {
			// A walk that an earlier poll left in the middle brings the list as it was when that one began, which may be days
			// ago: what has changed since is another walk's.
			err = c.poll(ctx, r, at, page)
		}
		if err != nil && !stopped {
			yield(Page{}, err)
		}
	}
}

// poll finds the walk for a resource. yield returns false when nobody wants more pages; a walk then returns at once.
func (c *Client) poll(ctx context.Context, r schemas.Resource, from Cursor, yield func(Page) bool) error {
	api, err := c.dialect(ctx)
	if err != nil {
		return err
	}
	if api == Documented {
		return c.documented(ctx, r, from, yield)
	}
	switch r.Walk {
	case schemas.UpdatedSince:
		return c.updatedSince(ctx, r, from, yield)
	case schemas.NewestFirst:
		return c.newestFirst(ctx, r, byUpdate, from, yield)
	case schemas.ThroughRequests:
		return c.messages(ctx, r, from, yield)
	default:
		return c.wholeList(ctx, r, from, yield)
	}
}
