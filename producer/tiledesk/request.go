package tiledesk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tilestream/internal/ops"
)

const (
	// requestTimeout ends a request that gets no answer: where the database fails, the real server never answers.
	requestTimeout = 30 * time.Second
	// maxTries bounds retries: a 500 may be the caller's fault and last for ever.
	maxTries = 5
	// maxLimited bounds them for 429, which does pass.
	maxLimited = 10
	// longestWait bounds what Retry-After may ask for.
	longestWait = 5 * time.Minute
)

var backoff = ops.Backoff{First: 500 * time.Millisecond, Most: 30 * time.Second}

// maxBody bounds the body of one answer, in bytes, after it has been decompressed. It is a variable for its test.
var maxBody int64 = 128 << 20

// maxRefusal is how much is read of an answer that is not 200: only its first words are of use.
const maxRefusal = 64 << 10

// request is one call of the API. It can be sent again.
type request struct {
	resource string // for errors
	method   string // "" is GET
	url      string
	api      API
	token    string             // "" sends none
	body     []byte             // JSON, for POST
	read     func([]byte) error // takes the body of a 200; an error means that it is not what it should be
}

// get asks for url with the credential, signing in again once where the server does not know the token any more. It returns
// the time by the server's clock, or by ours where that is behind it. The error is ctx's own, or a final *Error.
func (c *Client) get(ctx context.Context, resource string, api API, url string, read func([]byte) error) (time.Time, error) {
	token, err := c.token(ctx, "")
	if err != nil {
		return time.Time{}, err
	}
	req := request{resource: resource, url: url, api: api, token: token, read: read}
	now, err := c.send(ctx, req)
	var e *Error
	if c.project.Credential.Email != "" && errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		if req.token, err = c.token(ctx, token); err != nil {
			return time.Time{}, err
		}
		now, err = c.send(ctx, req)
	}
	return earlier(now, second(time.Now())), err
}

// earlier returns the earlier of two times. Watermarks go by it: of the server's clock, or that of a proxy in front, and ours, one
// that is ahead would put the watermark over changes that are still to come; one that is behind only has more read twice.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// send tries a request until it is answered, or until it is clear that it will not be.
func (c *Client) send(ctx context.Context, req request) (time.Time, error) {
	for tried := 1; ; tried++ {
		if err := c.budget.wait(ctx); err != nil {
			return time.Time{}, err
		}
		budgetLeft.WithLabelValues(c.project.ID).Set(c.budget.limiter.Tokens())
		now, e := c.try(ctx, req)
		if e == nil {
			return now, nil
		}
		if ctx.Err() != nil {
			return time.Time{}, ctx.Err()
		}
		e.Tried = tried
		limited := e.Status == http.StatusTooManyRequests
		if !e.again || limited && tried >= maxLimited || !limited && tried >= maxTries {
			return time.Time{}, e
		}
		wait := e.after
		if wait == 0 {
			wait = backoff.After(tried)
		}
		c.log.Warn("tiledesk: trying again", "project", c.project.ID, "resource", req.resource, "status", e.Status, "message", e.Message, "cause", e.Err, "in", wait)
		if limited || e.after > 0 {
			c.budget.pause(wait) // the limit is the project's: the other streams would only run into it too
			continue
		}
		if err := ops.Sleep(ctx, wait); err != nil {
			return time.Time{}, err
		}
	}
}

// try sends a request once. The error has no Tried.
func (c *Client) try(ctx context.Context, req request) (_ time.Time, failed *Error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ctx, span := ops.Trace(ctx, ops.Asks, "tiledesk request", "project", c.project.ID, "resource", req.resource)
	fail := &Error{Resource: req.resource, URL: req.url}
	if req.method == "" {
		req.method = http.MethodGet
	}
	hr, err := http.NewRequestWithContext(ctx, req.method, req.url, bytes.NewReader(req.body))
	if err != nil {
		fail.Err = err
		return time.Time{}, fail
	}
	hr.Header.Set("Accept", "application/json")
	hr.Header.Set("User-Agent", "tilestream")
	if req.body != nil {
		hr.Header.Set("Content-Type", "application/json")
	}
	if req.token != "" {
		c.authorize(hr.Header, req.api, req.token)
	}
	began, status := time.Now(), 0
	defer func() {
		requests.WithLabelValues(c.project.ID, strconv.Itoa(status)).Observe(time.Since(began).Seconds())
		span.Set("http.response.status_code", status)
		if failed != nil {
			span.End(failed)
		} else {
			span.End(nil)
		}
	}()
	resp, err := c.http.Do(hr)
	if err != nil {
		return time.Time{}, c.unanswered(fail, req, err)
	}
	defer resp.Body.Close()
	status = resp.StatusCode
	fail.Status = resp.StatusCode
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // the status counts, however the body ends
		return time.Time{}, c.refused(fail, req, resp, body)
	}
	body, err := readBody(resp)
	readBytes.WithLabelValues(c.project.ID, req.resource).Add(float64(len(body)))
	switch {
	case err != nil:
		return time.Time{}, c.unanswered(fail, req, err)
	case int64(len(body)) > maxBody:
		fail.Err = fmt.Errorf("the answer is longer than %d bytes", maxBody)
		fail.Hint = "is TILEDESK_URL the right server?"
		return time.Time{}, fail
	}
	if err := req.read(body); err != nil {
		fail.Message, fail.Err, fail.again = c.says(req, body), fmt.Errorf("the answer is not what was asked for: %w", err), true
		fail.Hint = "something between here and the server answers in its place, or TILEDESK_URL is wrong"
		return time.Time{}, fail
	}
	return serverTime(resp.Header), nil
}

// readBody reads up to a byte more than maxBody.
func readBody(resp *http.Response) ([]byte, error) {
	var body bytes.Buffer
	body.Grow(int(min(max(resp.ContentLength, 0), 1<<20)) + bytes.MinRead) // the length is what the server says: more is believed when it comes
	_, err := body.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	return body.Bytes(), err
}

// unanswered explains a request that got no answer, or half of one.
func (c *Client) unanswered(e *Error, req request, err error) *Error {
	var ue *url.Error
	if errors.As(err, &ue) { // it repeats method and URL
		err = ue.Err
	}
	if said := c.says(req, []byte(err.Error())); said != err.Error() {
		err = errors.New(said) // it quotes what the server sent, such as a first line that is not HTTP
	}
	e.Err, e.again = err, true
	e.Hint = "check TILEDESK_URL and the way to the server"
	if errors.Is(err, context.DeadlineExceeded) {
		e.Err = fmt.Errorf("no answer within %s: %w", requestTimeout, err)
		e.Hint = "the server hangs, which it does when its database fails: see its log"
	}
	return e
}

// refused explains an answer other than 200.
func (c *Client) refused(e *Error, req request, resp *http.Response, body []byte) *Error {
	e.Message = c.says(req, body)
	e.Hint = c.hint(e.Status, e.Message)
	e.whole = e.Status == http.StatusForbidden && strings.Contains(e.Message, notMember) && c.project.Credential.SubscriptionID == ""
	if to := resp.Header.Get("Location"); to != "" && e.Status < 400 {
		e.Message = c.says(req, []byte("redirected to "+to))
	}
	e.again = e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout || e.Status >= 500
	if e.again {
		e.after = retryAfter(resp.Header.Get("Retry-After"), serverTime(resp.Header))
	}
	return e
}

// says returns what the server says in text, cut short and without the credential: some proxies echo what they got. The
// credential goes first: half of one would not be known again.
func (c *Client) says(req request, text []byte) string {
	text = text[:min(len(text), maxRefusal)]
	cred := c.project.Credential
	for _, secret := range []string{req.token, bare(cred.Token.Reveal()), cred.Password.Reveal(), cred.SubscriptionSecret.Reveal()} {
		if secret == "" {
			continue
		}
		quoted, _ := json.Marshal(secret) // text always has a JSON form
		for _, form := range []string{secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret)} {
			text = bytes.ReplaceAll(text, []byte(form), []byte("****"))
		}
	}
	return message(text)
}

// retryAfter reads a Retry-After header: seconds, or a date by the server's clock (RFC 9110, section 10.2.3). 0 means that
// it says nothing; a wait is at most longestWait.
func retryAfter(v string, now time.Time) time.Duration {
	v = strings.TrimSpace(v)
	if s, err := strconv.ParseFloat(v, 64); err == nil && s == s {
		return time.Duration(max(0, min(s, longestWait.Seconds())) * float64(time.Second))
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return max(0, min(t.Sub(now), longestWait))
}

// serverTime returns the server's clock, in whole seconds; ours where it does not tell.
func serverTime(h http.Header) time.Time {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		return t.UTC()
	}
	return second(time.Now())
}
