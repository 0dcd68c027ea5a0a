package sink

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	sf "github.com/snowflakedb/gosnowflake"

	"tilestream/internal/ops"
)

// TestSnowflakeSignIn signs in in each way, and wants the account to get what it takes, and nobody else to get a secret: not in an
// error, where the account refuses it, and not in the driver's log.
func TestSnowflakeSignIn(t *testing.T) {
	quietSnowflake()
	var log bytes.Buffer
	sf.GetLogger().SetOutput(&log)
	t.Cleanup(func() { sf.GetLogger().SetOutput(os.Stderr) })
	key, file := snowflakeKey(t)
	for _, c := range []struct {
		name, pass string
		more       []string
		refused    snowflakeRefusal
		want       snowflakeLogin
	}{
		{"password", "s3cret", nil, snowflakeRefusal{number: 390100, said: "Incorrect username or password was specified."}, snowflakeLogin{Pass: "s3cret"}},
		{"key", "", []string{"private_key", file}, snowflakeRefusal{number: 390144, said: "JWT token is invalid. [0ce9eb56-821d-4ca9-a774-04ae89a0cf5a]"}, snowflakeLogin{Kind: "SNOWFLAKE_JWT"}},
		{"OAuth", "s3cret", []string{"authenticator", "oauth"}, snowflakeRefusal{number: 390318, said: "OAuth access token expired."}, snowflakeLogin{Kind: "OAUTH", Token: "s3cret"}},
		{"access token", "s3cret", []string{"authenticator", "pat"}, snowflakeRefusal{number: 394400, said: "Programmatic access token is invalid."}, snowflakeLogin{Kind: "PROGRAMMATIC_ACCESS_TOKEN", Token: "s3cret"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newSnowflakeDouble(t)
			user := url.User("loader")
			if c.pass != "" {
				user = url.UserPassword("loader", c.pass)
			}
			u := d.url(user, c.more...)
			s, err := d.open(t, u)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			got := d.logins[0]
			secrets := []string{"s3cret", "session-t0ken", "master-t0ken"}
			if c.want.Kind == "SNOWFLAKE_JWT" {
				wantSignedBy(t, key, got.Token)
				secrets = append(secrets, got.Token, base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key))[:40])
				got.Token = ""
			}
			wantQuery := map[string]string{"databaseName": "WAREHOUSE_DB", "warehouse": "LOADING", "roleName": "TILESTREAM"}
			for name, want := range wantQuery {
				if got.Query.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.Query.Get(name), want)
				}
			}
			if got.Session["TIMEZONE"] != "UTC" || got.Session["QUERY_TAG"] != "tilestream" {
				t.Errorf("the session has %v", got.Session)
			}
			if c.pass != "" {
				c.want.User = "loader" // a key's token names it
			}
			c.want.Account, got.Query, got.Session = "org-acc", nil, nil
			if c.want.Kind == "" {
				got.Kind = strings.Replace(got.Kind, "SNOWFLAKE", "", 1) // the kind of passwords is said, or not
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("signed in with (-want +got):\n%s", diff)
			}

			d.signIn = &c.refused
			_, err = Open(t.Context(), u.String(), "tiledesk")
			if err == nil || errors.Is(err, errAway) || !strings.Contains(err.Error(), c.refused.said) || !strings.Contains(err.Error(), "the account has refused the sign-in") {
				t.Errorf("Open: %v, want what came back, and what to do", err)
			}
			for _, secret := range secrets {
				if err != nil && strings.Contains(err.Error(), secret) || strings.Contains(log.String(), secret) {
					t.Errorf("a secret is shown: %v\nlog: %s", err, &log)
				}
			}
		})
	}
}

// wantSignedBy wants a token as Snowflake takes it (Snowflake, "Using key-pair authentication"): signed with the key, and naming account,
// user and the fingerprint of the public key.
func wantSignedBy(t *testing.T, key *rsa.PrivateKey, token string) {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(public)
	var claims jwt.RegisteredClaims
	_, err = jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return key.Public(), nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(time.Second),
		jwt.WithSubject("ORG-ACC.LOADER"), jwt.WithIssuer("ORG-ACC.LOADER.SHA256:"+base64.StdEncoding.EncodeToString(sum[:])))
	if err != nil {
		t.Errorf("the token of the sign-in: %v", err)
	} else if life := claims.ExpiresAt.Sub(claims.IssuedAt.Time); life > time.Hour {
		t.Errorf("the token holds for %s: Snowflake takes an hour at most", life)
	}
}

// snowflakeKey is a key of a user, and the file that holds it.
func snowflakeKey(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, keyFile(t, "PRIVATE KEY", nil, der)
}

func keyFile(t *testing.T, kind string, headers map[string]string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.p8")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Keys that cannot be used are told apart, with what makes one of them that can.
func TestSnowflakeKeys(t *testing.T) {
	t.Parallel()
	key, _ := snowflakeKey(t)
	notPEM := filepath.Join(t.TempDir(), "key.der")
	if err := os.WriteFile(notPEM, x509.MarshalPKCS1PrivateKey(key), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"encrypted":         {keyFile(t, "ENCRYPTED PRIVATE KEY", nil, []byte("s3cret")), "is encrypted, and there is nobody to ask"},
		"encrypted as once": {keyFile(t, "RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, []byte("s3cret")), "is encrypted, and there is nobody to ask"},
		"PKCS#1":            {keyFile(t, "RSA PRIVATE KEY", nil, x509.MarshalPKCS1PrivateKey(key)), "openssl pkcs8 -topk8 -nocrypt -in "},
		"not PEM":           {notPEM, "openssl pkcs8 -topk8 -nocrypt -in "},
		"damaged":           {keyFile(t, "PRIVATE KEY", nil, []byte("s3cret")), "cannot be read as PKCS#8"},
		"not there":         {filepath.Join(t.TempDir(), "nowhere.p8"), "no such file"},
	} {
		_, err := Open(t.Context(), "snowflake://loader@org-acc/WAREHOUSE_DB?private_key="+url.QueryEscape(c.file), "tiledesk")
		var usage *ops.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q in it, the file, and no secret", name, err, c.want)
		}
	}
}
