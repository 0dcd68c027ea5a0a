package broker

import (
	"net/http"
	"net/url"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/internal/ops"
)

// NewRegistry returns a client of the configured schema registry. It does no I/O. Errors are *ops.UsageError. A user and
// password in the URL are used where the variables for them are not set, and never show in errors.
func (c Config) NewRegistry() (*sr.Client, error) {
	r := c.Registry
	if r.URL == "" {
		return nil, ops.Usagef("SCHEMA_REGISTRY_URL is not set: it takes http://host:port or https://host:port")
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The parser's own error would repeat the text, password and all.
		return nil, ops.Usagef("SCHEMA_REGISTRY_URL=%q: it takes http://host:port or https://host:port", ops.RedactURL(r.URL))
	}
	if u.User != nil {
		if r.Username == "" && r.Password == "" {
			pass, _ := u.User.Password()
			r.Username, r.Password = u.User.Username(), ops.Secret(pass)
		}
		u.User = nil
	}
	if r.Password != "" && r.Username == "" {
		return nil, ops.Usagef("SCHEMA_REGISTRY_PASSWORD is set, SCHEMA_REGISTRY_USERNAME is not: set both")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	switch {
	case u.Scheme == "https":
		if transport.TLSClientConfig, err = r.TLS.config("SCHEMA_REGISTRY_TLS_"); err != nil {
			return nil, err
		}
	case !r.TLS.isZero():
		return nil, ops.Usagef("SCHEMA_REGISTRY_TLS_ variables are set, but SCHEMA_REGISTRY_URL does not start with https://")
	}
	opts := []sr.ClientOpt{
		sr.URLs(u.String()),
		sr.UserAgent(clientID),
		sr.HTTPClient(&http.Client{Transport: transport, Timeout: 15 * time.Second}),
	}
	if r.Username != "" {
		opts = append(opts, sr.BasicAuth(r.Username, r.Password.Reveal()))
	}
	cl, err := sr.NewClient(opts...)
	if err != nil {
		return nil, ops.Usagef("schema registry client: %w", err)
	}
	return cl, nil
}
