package broker

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/ops"
)

// FuzzConfig: whatever stands in the settings of TLS, SASL and the registry, a client is made or a usage error says what is
// wrong, without the secret.
func FuzzConfig(f *testing.F) {
	f.Add("PLAIN", "user", "pa55", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "http://h:1/", "h:9092")
	f.Add("oauthbearer", "https://issuer/", "", "", "https://user:pass@h", "[::1]:9092")
	f.Add("", "", "", "x", "user:pass@h", "user:pass@h:1,")
	f.Fuzz(func(t *testing.T, mechanism, user, secret, pem, url, broker string) {
		const marked = "Zq9-secret-9qZ"
		secret += marked
		for _, c := range []Config{
			{UseTLS: true, TLS: TLS{CA: pem}},
			{UseTLS: true, TLS: TLS{Cert: pem, Key: ops.Secret(pem + secret)}},
			{SASL: SASL{Mechanism: mechanism, Username: user, Password: ops.Secret(secret)}},
			{SASL: SASL{Mechanism: mechanism, Token: ops.Secret(secret)}},
			{SASL: SASL{Mechanism: mechanism, OAuth: OAuth{TokenURL: user, ClientID: user, ClientSecret: ops.Secret(secret)}}},
		} {
			c.Brokers = []string{broker}
			checkSecret(t, marked, func() error {
				cl, err := c.NewClient(kgo.MetadataMinAge(0))
				if err == nil {
					cl.Close()
				}
				return err
			})
		}
		scheme, rest, found := strings.Cut(url, "://")
		if !found {
			scheme, rest = "", url
		} else {
			scheme += "://"
		}
		if strings.Contains(scheme, marked) {
			return
		}
		for _, r := range []Registry{
			{URL: scheme + user + ":" + secret + "@" + rest},
			{URL: url, Username: user, Password: ops.Secret(secret)},
			{URL: url, TLS: TLS{CA: pem, Key: ops.Secret(secret)}},
		} {
			checkSecret(t, marked, func() error {
				_, err := Config{Registry: r}.NewRegistry()
				return err
			})
		}
	})
}

func checkSecret(t *testing.T, marked string, make func() error) {
	t.Helper()
	err := make()
	if err == nil {
		return
	}
	if strings.Contains(err.Error(), marked) {
		t.Errorf("the error shows a secret: %v", err)
	}
	if !errors.As(err, new(*ops.UsageError)) {
		t.Errorf("%v is no usage error", err)
	}
}
