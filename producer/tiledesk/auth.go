package tiledesk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// variables names the settings that the credential comes from.
func (c Credential) variables() string {
	switch {
	case c.Email != "":
		return "TILEDESK_EMAIL and TILEDESK_PASSWORD"
	case c.SubscriptionID != "":
		return "TILEDESK_SUBSCRIPTION_ID and TILEDESK_SUBSCRIPTION_SECRET"
	}
	return "TILEDESK_TOKEN"
}

// session holds the token that requests carry. Its lock is a channel, so that who waits for a sign-in can give up.
type session struct {
	lock  chan struct{}
	token string
}

// token returns the token to send, without a scheme. Where stale is the token in use, a new one is got by a sign-in; streams
// that find the same token stale share one.
func (c *Client) token(ctx context.Context, stale string) (string, error) {
	select {
	case c.session.lock <- struct{}{}:
		defer func() { <-c.session.lock }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if c.session.token != "" && c.session.token != stale {
		return c.session.token, nil
	}
	t, err := c.newToken(ctx)
	if err == nil {
		c.session.token = t
	}
	return t, err
}

func (c *Client) newToken(ctx context.Context) (string, error) {
	switch cred := c.project.Credential; {
	case cred.Email != "":
		return c.signIn(ctx)
	case cred.SubscriptionID != "":
		return subscriptionToken(cred, c.project.ID)
	default:
		return bare(cred.Token.Reveal()), nil
	}
}

// bare cuts the scheme off a token: Tiledesk hands its tokens out as "JWT eyJ...".
func bare(token string) string {
	token = strings.TrimSpace(token)
	scheme, rest, ok := strings.Cut(token, " ")
	if ok && (strings.EqualFold(scheme, "JWT") || strings.EqualFold(scheme, "Bearer")) {
		return strings.TrimSpace(rest)
	}
	return token
}

// subscriptionToken signs the claims by which the server knows a subscription (Tiledesk middleware/passport.js).
func subscriptionToken(c Credential, project string) (string, error) {
	t, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"_id":        c.SubscriptionID,
		"id_project": project,
		"sub":        "subscription",
		"aud":        "https://tiledesk.com/subscriptions/" + c.SubscriptionID,
		"iss":        "https://tiledesk.com",
	}).SignedString([]byte(c.SubscriptionSecret.Reveal()))
	if err != nil {
		return "", fmt.Errorf("sign with TILEDESK_SUBSCRIPTION_SECRET: %w", err)
	}
	return t, nil
}

// signIn gets a token for the e-mail and password (Tiledesk routes/auth.js, POST /auth/signin).
func (c *Client) signIn(ctx context.Context) (string, error) {
	body, err := json.Marshal(map[string]string{"email": c.project.Credential.Email, "password": c.project.Credential.Password.Reveal()})
	if err != nil {
		return "", fmt.Errorf("sign in: %w", err)
	}
	var said struct{ Token string }
	_, err = c.send(ctx, request{
		resource: "sign-in", method: http.MethodPost, url: c.base(V3) + "/auth/signin", body: body,
		read: func(b []byte) error {
			if err := json.Unmarshal(b, &said); err != nil {
				return err
			}
			if said.Token == "" {
				return errors.New("the answer has no token")
			}
			return nil
		},
	})
	return bare(said.Token), err
}

// authorize puts the credential into a request's header. The documented API is told in all the ways that it names; a server
// that reads one of them ignores the others. The real one reads "JWT" alone, and answers 401 to "Bearer".
func (c *Client) authorize(h http.Header, api API, token string) {
	if api == V3 {
		h.Set("Authorization", "JWT "+token)
		return
	}
	h.Set("Authorization", "Bearer "+token)
	h.Set("x-auth-token", token)
	h.Set("x-project-id", c.project.ID)
}

// sameHost lets a redirect pass that stays on the host, or goes from http to https there. net/http takes Authorization off
// a request that leaves the host, but not x-auth-token, and it would post the password again.
func sameHost(req *http.Request, via []*http.Request) error {
	was, now := via[0].URL, req.URL
	same := now.Scheme == was.Scheme && now.Host == was.Host || was.Scheme == "http" && now.Scheme == "https" && now.Hostname() == was.Hostname()
	if !same || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}
