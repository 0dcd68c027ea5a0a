package sink

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	sf "github.com/snowflakedb/gosnowflake"

	"tilestream/internal/ops"
)

const snowflakeForm = "snowflake://USER:PASSWORD@ACCOUNT/DATABASE?warehouse=WAREHOUSE&role=ROLE, with private_key=FILE for a key, or authenticator=oauth or pat where the password is a token"

// snowflake is what the URL of an account says.
type snowflake struct {
	cfg    sf.Config
	schema string
	http   *http.Transport
}

// parseSnowflake takes snowflakeForm. A host with a port is another server than Snowflake's: it takes account=, and protocol=http.
func parseSnowflake(u *url.URL, dataset string) (*snowflake, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, ops.Usagef("its parameters cannot be read; special characters are written %%XX")
	}
	for name := range q {
		switch name {
		case "warehouse", "role", "private_key", "authenticator", "account", "protocol":
		default:
			return nil, ops.Usagef("it has a parameter %q: it takes warehouse, role, private_key and authenticator", name)
		}
	}
	secret, _ := u.User.Password()
	c := sf.Config{
		Account: strings.TrimSuffix(u.Hostname(), ".snowflakecomputing.com"), User: u.User.Username(), Password: secret, Database: strings.Trim(u.Path, "/"),
		Warehouse: q.Get("warehouse"), Role: q.Get("role"), Application: "tilestream",
		Params: map[string]*string{"QUERY_TAG": ref("tilestream"), "TIMEZONE": ref("UTC"), "CLIENT_TELEMETRY_ENABLED": ref("false")},
	}
	//lint:ignore SA1019 there is no other way yet: without it an account that is away is asked for five minutes
	c.LoginTimeout = 30 * time.Second
	if p := u.Port(); p != "" {
		c.Host, c.Account, c.Protocol = u.Hostname(), q.Get("account"), q.Get("protocol")
		c.Port, _ = strconv.Atoi(p) // url.Parse has seen that it is a number
	}
	if c.User == "" || c.Account == "" || c.Database == "" || strings.Contains(c.Database, "/") {
		return nil, ops.Usagef("not the URL of a Snowflake account: it takes %s", snowflakeForm)
	}
	switch kind := q.Get("authenticator"); {
	case q.Get("private_key") != "":
		c.Authenticator, c.Password = sf.AuthTypeJwt, ""
		if c.PrivateKey, err = privateKey(q.Get("private_key")); err != nil {
			return nil, err
		}
	case kind == "oauth":
		c.Authenticator, c.Token, c.Password = sf.AuthTypeOAuth, secret, ""
	case kind == "pat":
		c.Authenticator, c.Token, c.Password = sf.AuthTypePat, secret, ""
	case kind != "":
		return nil, ops.Usagef("authenticator=%s: it takes oauth or pat; without one, the password or private_key signs in", kind)
	}
	if c.PrivateKey == nil && secret == "" {
		return nil, ops.Usagef("it has neither a password nor a key: it takes %s", snowflakeForm)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	c.Transporter = transport
	return &snowflake{c, snowflakeDialect.name(dataset), transport}, nil
}

func ref(s string) *string { return &s }

// privateKey reads the key of a user (Snowflake, "Key-pair authentication"): PKCS#8 in PEM, not encrypted, since it is a mounted secret.
func privateKey(file string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, ops.Usagef("private_key: %v", err)
	}
	const plain = "this makes one of it: openssl pkcs8 -topk8 -nocrypt -in %[1]s -out plain.p8"
	block, _ := pem.Decode(text)
	switch {
	case block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""):
		return nil, ops.Usagef("private_key: %s is encrypted, and there is nobody to ask for its passphrase: it takes a key that is not, in a mounted secret; "+plain, file)
	case block == nil || block.Type != "PRIVATE KEY":
		return nil, ops.Usagef("private_key: %s is no private key in PKCS#8 and PEM; "+plain, file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, ops.Usagef("private_key: %s cannot be read as PKCS#8", file) // the reason may quote it
	}
	if rsaKey, ok := key.(*rsa.PrivateKey); ok {
		return rsaKey, nil
	}
	return nil, ops.Usagef("private_key: %s is no RSA key: Snowflake takes those only", file)
}

// quietSnowflake ends the driver's log, which would show again what is in the errors, with the statements; and its questions to the
// metadata services of three clouds, where it runs, whose connections stay behind. It can be told so before its first use only.
var quietSnowflake = sync.OnceFunc(func() {
	_ = os.Setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
	_ = sf.GetLogger().SetLogLevel("fatal") // a level that it knows
})

func (f *snowflake) open() *sql.DB {
	quietSnowflake()
	db := sql.OpenDB(sf.NewConnector(sf.SnowflakeDriver{}, f.cfg))
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// close ends connections that wait for a request; what database/sql keeps is closed before.
func (f *snowflake) close() error {
	f.http.CloseIdleConnections()
	return nil
}

func openSnowflake(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	f, err := parseSnowflake(u, dataset)
	if err != nil {
		return nil, err
	}
	s, err := f.sink(ctx)
	if err != nil {
		return nil, err // not s, which would be a Sink
	}
	return s, nil
}

// sink opens the account, and makes what is missing in the schema.
func (f *snowflake) sink(ctx context.Context) (*staged, error) {
	s := &staged{dialect: snowflakeDialect, db: f.open(), dataset: f.schema, prepared: map[string]string{}, engine: engine{
		stage: f.stage, check: snowflakeCheck, lock: snowflakeLock, merge: snowflakeMerge, conflict: snowflakeConflict, explain: f.explain, close: f.close,
	}}
	err := s.setup(ctx)
	if err == nil {
		err = f.explain(f.setup(ctx, s.db))
	}
	if err != nil {
		_ = s.Close() // nothing was opened
		if snowflakeAway(err) {
			err = fmt.Errorf("%w: %w", errAway, err)
		}
		return nil, err
	}
	return s, nil
}

func readSnowflake(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	f, err := parseSnowflake(u, dataset)
	if err != nil {
		return nil, err
	}
	db := f.open()
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(f.explain(err), db.Close(), f.close())
	}
	return &Reader{db: db, dataset: f.schema, close: func() error { return errors.Join(db.Close(), f.close()) }, dialect: snowflakeDialect}, nil
}
