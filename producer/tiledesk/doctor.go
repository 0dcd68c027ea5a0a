package tiledesk

import (
	"context"
	"fmt"
	"time"

	"tilestream/internal/ops"
	"tilestream/schemas"
)

// Checks look whether the project can be read: credential and address, the server's clock, and each of the resources. They ask
// for one page of each, and change nothing. A resource that the credential may not read is a warning: the others go on.
func (c *Client) Checks(resources []schemas.Resource) []ops.Check {
	project := "project " + c.project.ID
	var now, asked, answered time.Time
	checks := []ops.Check{
		{Name: project, Try: func(ctx context.Context) (string, error) {
			api, err := c.dialect(ctx)
			if err != nil {
				return "", err
			}
			token, err := c.token(ctx, "")
			if err != nil {
				return "", err
			}
			asked = time.Now()
			at, refused := c.try(ctx, request{resource: "one request", url: c.oneRequest(api), api: api, token: token, read: isListOfRequests})
			if refused != nil && !IsSkippable(refused) {
				return "", refused
			}
			now, answered = at, time.Now()
			return fmt.Sprintf("%s speaks %s and takes %s", c.base(api), api, c.project.Credential.variables()), nil
		}},
		{Name: "clock of " + project, Needs: project, Try: func(context.Context) (string, error) {
			if now.IsZero() {
				return "the server did not tell", nil
			}
			// The header has whole seconds, cut off: half a second later is nearer.
			return ops.Skew("the server's clock", now.Add(time.Second/2), asked, answered)
		}},
	}
	for _, r := range resources {
		checks = append(checks, ops.Check{Name: r.Name, Needs: project, Try: func(ctx context.Context) (string, error) {
			return c.firstPage(ctx, r)
		}})
	}
	return checks
}

// firstPage tells what the first page of a resource holds.
func (c *Client) firstPage(ctx context.Context, r schemas.Resource) (string, error) {
	for p, err := range c.Pages(ctx, r, Cursor{}) {
		switch {
		case IsSkippable(err):
			return "", &ops.Warning{Err: fmt.Errorf("skipped: %w", err)}
		case err != nil:
			return "", err
		case p.Total > 0:
			return fmt.Sprintf("%d of %d read", len(p.Docs), p.Total), nil
		default:
			return fmt.Sprintf("%d read", len(p.Docs)), nil
		}
	}
	return "may be read; there are none", nil
}
