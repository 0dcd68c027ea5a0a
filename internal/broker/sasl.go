package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"tilestream/internal/ops"
)

const mechanisms = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"

// mechanism returns how to sign in, or nil where nothing is configured.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch m := strings.ToUpper(s.Mechanism); m {
	case "":
		if s.Username != "" || s.Password != "" || s.Token != "" || s.TokenFile != "" || s.OAuth != (OAuth{}) {
			return nil, ops.Usagef("KAFKA_SASL_MECHANISM is not set, other KAFKA_SASL_ variables are: it takes %s", mechanisms)
		}
		return nil, nil
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		if s.Username == "" || s.Password == "" {
			return nil, ops.Usagef("KAFKA_SASL_MECHANISM=%s takes KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD", m)
		}
		user, pass := s.Username, s.Password.Reveal()
		switch m {
		case "PLAIN":
			return plain.Auth{User: user, Pass: pass}.AsMechanism(), nil
		case "SCRAM-SHA-256":
			return scram.Auth{User: user, Pass: pass}.AsSha256Mechanism(), nil
		default:
			return scram.Auth{User: user, Pass: pass}.AsSha512Mechanism(), nil
		}
	case "OAUTHBEARER":
		token, err := s.token()
		if err != nil {
			return nil, err
		}
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			t, err := token(ctx)
			return oauth.Auth{Token: t, Extensions: s.Extensions}, err
		}), nil
	}
	return nil, ops.Usagef("KAFKA_SASL_MECHANISM=%q: it takes %s", s.Mechanism, mechanisms)
}

// token returns the source of bearer tokens. It is asked at every sign-in, so that a token that was renewed is used.
func (s SASL) token() (func(context.Context) (string, error), error) {
	switch {
	case s.OAuth != (OAuth{}):
		if s.Token != "" || s.TokenFile != "" {
			return nil, ops.Usagef("KAFKA_SASL_TOKEN and KAFKA_SASL_OAUTH_ variables are both set: unset one of them")
		}
		return s.OAuth.token()
	case s.TokenFile != "":
		return func(context.Context) (string, error) {
			b, err := os.ReadFile(s.TokenFile)
			if err != nil {
				return "", fmt.Errorf("KAFKA_SASL_TOKEN_FILE: %w", err)
			}
			t := strings.TrimSpace(string(b))
			if t == "" {
				return "", fmt.Errorf("KAFKA_SASL_TOKEN_FILE: %s is empty", s.TokenFile)
			}
			return t, nil
		}, nil
	case s.Token != "":
		return func(context.Context) (string, error) { return strings.TrimSpace(s.Token.Reveal()), nil }, nil
	}
	return nil, ops.Usagef("KAFKA_SASL_MECHANISM=OAUTHBEARER takes KAFKA_SASL_TOKEN, KAFKA_SASL_TOKEN_FILE, or KAFKA_SASL_OAUTH_TOKEN_URL with _CLIENT_ID and _CLIENT_SECRET")
}

// token fetches tokens from the issuer and keeps each until shortly before it ends.
func (o OAuth) token() (func(context.Context) (string, error), error) {
	if o.TokenURL == "" || o.ClientID == "" || o.ClientSecret == "" {
		return nil, ops.Usagef("KAFKA_SASL_OAUTH_TOKEN_URL, KAFKA_SASL_OAUTH_CLIENT_ID and KAFKA_SASL_OAUTH_CLIENT_SECRET go together: set all three")
	}
	cc := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), TokenURL: o.TokenURL, Scopes: strings.Fields(o.Scope),
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: 10 * time.Second})
	source := cc.TokenSource(ctx)
	return func(context.Context) (string, error) {
		t, err := source.Token()
		var refused *oauth2.RetrieveError
		switch {
		case errors.As(err, &refused) && refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests:
			return "", ops.Usagef("KAFKA_SASL_OAUTH_TOKEN_URL: get a token: %s %s: check KAFKA_SASL_OAUTH_CLIENT_ID, KAFKA_SASL_OAUTH_CLIENT_SECRET and KAFKA_SASL_OAUTH_SCOPE",
				refused.Response.Status, refused.ErrorCode)
		case errors.As(err, &refused):
			return "", fmt.Errorf("KAFKA_SASL_OAUTH_TOKEN_URL: get a token: %s %s", refused.Response.Status, refused.ErrorCode)
		case err != nil:
			return "", fmt.Errorf("KAFKA_SASL_OAUTH_TOKEN_URL: get a token: %s", ops.RedactURL(err.Error()))
		}
		return t.AccessToken, nil
	}, nil
}
