package tiledesk

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sethvargo/go-envconfig"

	"tilestream/internal/ops"
)

// The places of the hosted service: one address per dialect.
const (
	hostedV3         = "https://api.tiledesk.com/v3"
	hostedDocumented = "https://api.tiledesk.com"
)

// Config names the Tiledesk projects to read, and how to reach them.
type Config struct {
	URL                string     `env:"TILEDESK_URL" help:"address of the Tiledesk API; unset: the hosted service"`
	ProjectIDs         []string   `env:"TILEDESK_PROJECT_ID" help:"one project id, or several separated by commas"`
	Token              ops.Secret `env:"TILEDESK_TOKEN" help:"a JWT, with or without JWT in front, or an API token"`
	Email              string     `env:"TILEDESK_EMAIL" help:"sign-in instead of a token, with TILEDESK_PASSWORD"`
	Password           ops.Secret `env:"TILEDESK_PASSWORD" help:"password of TILEDESK_EMAIL"`
	SubscriptionID     string     `env:"TILEDESK_SUBSCRIPTION_ID" help:"a credential tied to no person, with TILEDESK_SUBSCRIPTION_SECRET"`
	SubscriptionSecret ops.Secret `env:"TILEDESK_SUBSCRIPTION_SECRET" help:"the x-hook-secret of the subscription"`
	API                API        `env:"TILEDESK_API, default=auto" help:"which API the server speaks; auto finds out"`
	RequestsPerMinute  int        `env:"TILEDESK_REQUESTS_PER_MINUTE, default=180" help:"budget of each project, shared by its resources"`
}

// API is the dialect that a server speaks.
type API string

// The dialects. Auto asks the server.
const (
	Auto       API = "auto"
	V3         API = "v3"         // the server as it is: /{project}/requests, Authorization: JWT
	Documented API = "documented" // as described: /projects/{project}/requests, x-auth-token
)

// UnmarshalText takes the name of a dialect.
func (a *API) UnmarshalText(text []byte) error {
	switch API(text) {
	case Auto, V3, Documented:
		*a = API(text)
		return nil
	}
	return ops.Usagef("%q is not %s", text, a.Takes())
}

// Takes says which names there are.
func (*API) Takes() string { return "auto, v3 or documented" }

// Credential is one of three: a token, a sign-in, or a subscription with its secret.
type Credential struct {
	Token              ops.Secret
	Email              string
	Password           ops.Secret
	SubscriptionID     string
	SubscriptionSecret ops.Secret
}

// Project is one Tiledesk project: where it is, by which credential it is read, and how fast.
type Project struct {
	ID                string
	URL               string // without a slash at the end; empty: the hosted service
	API               API    // empty: Auto
	Credential        Credential
	RequestsPerMinute int // 0: 180
}

// Projects returns one project per id in TILEDESK_PROJECT_ID. Each variable VAR can be set for one project alone as
// VAR_<project id>, which lookup must find (and VAR_<project id>_FILE, with ops.Lookuper). A credential of its own takes the
// place of the general one as a whole. The error is a *ops.UsageError.
func (c Config) Projects(lookup envconfig.Lookuper) ([]Project, error) {
	if len(c.ProjectIDs) == 0 {
		return nil, ops.Usagef("TILEDESK_PROJECT_ID is not set: it takes a project id, or several separated by commas")
	}
	env := ops.NewEnv(lookup)
	var out []Project
	for _, id := range c.ProjectIDs {
		id = strings.TrimSpace(id)
		if id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/?#%", r) }) {
			return nil, ops.Usagef("TILEDESK_PROJECT_ID=%q: it takes project ids such as 5f4e3d2c1b0a998877665544, separated by commas", strings.Join(c.ProjectIDs, ","))
		}
		if slices.ContainsFunc(out, func(p Project) bool { return p.ID == id }) {
			return nil, ops.Usagef("TILEDESK_PROJECT_ID names %s twice", id)
		}
		p, err := c.project(id, env)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (c Config) project(id string, env *ops.Env) (Project, error) {
	// own finds VAR_<id>, and says which of the two names counted: errors must name that one.
	own := func(name, general string) (value, from string) {
		if v, ok := env.Lookup(name + "_" + id); ok {
			return v, name + "_" + id
		}
		return general, name
	}
	p := Project{ID: id}
	var from string
	if p.URL, from = own("TILEDESK_URL", c.URL); p.URL != "" {
		u, err := url.Parse(p.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return Project{}, ops.Usagef("%s=%q: it takes an address such as %s, without user, password or parameters", from, ops.RedactURL(p.URL), hostedV3)
		}
		p.URL = strings.TrimRight(p.URL, "/")
	}
	api, from := own("TILEDESK_API", string(c.API))
	if api == "" {
		api = string(Auto)
	}
	if err := p.API.UnmarshalText([]byte(api)); err != nil {
		return Project{}, ops.Usagef("%s=%q: it takes %s", from, api, p.API.Takes())
	}
	rpm, from := own("TILEDESK_REQUESTS_PER_MINUTE", strconv.Itoa(c.RequestsPerMinute))
	n, err := strconv.Atoi(rpm)
	if err != nil || n < 1 {
		return Project{}, ops.Usagef("%s=%q: it takes a whole number, 1 or more", from, rpm)
	}
	p.RequestsPerMinute = n
	p.Credential = c.credential(id, env)
	if err := p.Credential.check(id, p.API); err != nil {
		return Project{}, err
	}
	return p, env.Err()
}

// credential merges the project's own credential over the general one. Where the project has one of another kind, nothing
// of the general one is kept.
func (c Config) credential(id string, env *ops.Env) Credential {
	own := func(name string) string {
		v, _ := env.Lookup(name + "_" + id)
		return v
	}
	o := Credential{
		Token: ops.Secret(own("TILEDESK_TOKEN")),
		Email: own("TILEDESK_EMAIL"), Password: ops.Secret(own("TILEDESK_PASSWORD")),
		SubscriptionID: own("TILEDESK_SUBSCRIPTION_ID"), SubscriptionSecret: ops.Secret(own("TILEDESK_SUBSCRIPTION_SECRET")),
	}
	if o == (Credential{}) {
		return Credential{c.Token, c.Email, c.Password, c.SubscriptionID, c.SubscriptionSecret}
	}
	if o.Email != "" || o.Password != "" {
		o.Email, o.Password = either(o.Email, c.Email), either(o.Password, c.Password)
	}
	if o.SubscriptionID != "" || o.SubscriptionSecret != "" {
		o.SubscriptionID = either(o.SubscriptionID, c.SubscriptionID)
		o.SubscriptionSecret = either(o.SubscriptionSecret, c.SubscriptionSecret)
	}
	return o
}

func either[T ~string](a, b T) T {
	if a != "" {
		return a
	}
	return b
}

// check wants exactly one complete credential that the dialect can use.
func (c Credential) check(id string, api API) error {
	token := c.Token != ""
	signIn := c.Email != "" || c.Password != ""
	subscription := c.SubscriptionID != "" || c.SubscriptionSecret != ""
	switch {
	case !token && !signIn && !subscription:
		return ops.Usagef("project %s has no credential: set TILEDESK_TOKEN, or TILEDESK_EMAIL and TILEDESK_PASSWORD, or "+
			"TILEDESK_SUBSCRIPTION_ID and TILEDESK_SUBSCRIPTION_SECRET (or, for this project alone, the same names with _%s)", id, id)
	case token && signIn:
		return ops.Usagef("project %s has both TILEDESK_TOKEN and TILEDESK_EMAIL/TILEDESK_PASSWORD: unset one of them", id)
	case token && subscription:
		return ops.Usagef("project %s has both TILEDESK_TOKEN and TILEDESK_SUBSCRIPTION_ID/_SECRET: unset one of them", id)
	case signIn && subscription:
		return ops.Usagef("project %s has both TILEDESK_EMAIL/TILEDESK_PASSWORD and TILEDESK_SUBSCRIPTION_ID/_SECRET: unset one of them", id)
	case signIn && c.Email == "":
		return ops.Usagef("TILEDESK_EMAIL is not set for project %s, but TILEDESK_PASSWORD is: a sign-in takes both", id)
	case signIn && c.Password == "":
		return ops.Usagef("TILEDESK_PASSWORD is not set for project %s, but TILEDESK_EMAIL is: a sign-in takes both", id)
	case subscription && c.SubscriptionID == "":
		return ops.Usagef("TILEDESK_SUBSCRIPTION_ID is not set for project %s, but TILEDESK_SUBSCRIPTION_SECRET is: both are needed", id)
	case subscription && c.SubscriptionSecret == "":
		return ops.Usagef("TILEDESK_SUBSCRIPTION_SECRET is not set for project %s, but TILEDESK_SUBSCRIPTION_ID is: both are needed", id)
	case api == Documented && !token:
		return ops.Usagef("TILEDESK_API=documented takes TILEDESK_TOKEN alone, which is not set for project %s", id)
	case strings.ContainsFunc(strings.TrimSpace(c.Token.Reveal()), func(r rune) bool { return r < ' ' || r > '~' }):
		return ops.Usagef("TILEDESK_TOKEN of project %s holds a character that no HTTP header takes: copy it again, on one line", id)
	}
	return nil
}
