package tiledesk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sethvargo/go-envconfig"

	"tilestream/internal/ops"
)

func load(env map[string]string) ([]Project, error) {
	var c Config
	look := ops.NewEnv(envconfig.MapLookuper(env))
	if err := ops.Load(context.Background(), look, &c); err != nil {
		return nil, err
	}
	return c.Projects(look)
}

func TestProjects(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token := func(s ops.Secret) Credential { return Credential{Token: s} }
	for _, tt := range []struct {
		name string
		env  map[string]string
		want []Project
	}{
		{"defaults", map[string]string{"TILEDESK_PROJECT_ID": "p1", "TILEDESK_TOKEN": "t"},
			[]Project{{ID: "p1", API: Auto, Credential: token("t"), RequestsPerMinute: 180}}},
		{"list", map[string]string{"TILEDESK_PROJECT_ID": "p1, p2", "TILEDESK_TOKEN": "t", "TILEDESK_URL": "http://x:3000/v3/", "TILEDESK_API": "v3", "TILEDESK_REQUESTS_PER_MINUTE": "60"},
			[]Project{{"p1", "http://x:3000/v3", V3, token("t"), 60}, {"p2", "http://x:3000/v3", V3, token("t"), 60}}},
		{"each its own", map[string]string{"TILEDESK_PROJECT_ID": "p1,p2,p3,p4", "TILEDESK_TOKEN": "t",
			"TILEDESK_TOKEN_p2_FILE": file, "TILEDESK_URL_p2": "https://y", "TILEDESK_API_p2": "documented", "TILEDESK_REQUESTS_PER_MINUTE_p2": "9",
			"TILEDESK_EMAIL_p3": "me@x", "TILEDESK_PASSWORD_p3": "pw",
			"TILEDESK_SUBSCRIPTION_ID_p4": "s", "TILEDESK_SUBSCRIPTION_SECRET_p4": "h"},
			[]Project{
				{"p1", "", Auto, token("t"), 180},
				{"p2", "https://y", Documented, token("from-file"), 9},
				{"p3", "", Auto, Credential{Email: "me@x", Password: "pw"}, 180},
				{"p4", "", Auto, Credential{SubscriptionID: "s", SubscriptionSecret: "h"}, 180},
			}},
		{"half its own", map[string]string{"TILEDESK_PROJECT_ID": "p1", "TILEDESK_EMAIL": "me@x", "TILEDESK_PASSWORD": "pw", "TILEDESK_PASSWORD_p1": "other"},
			[]Project{{"p1", "", Auto, Credential{Email: "me@x", Password: "other"}, 180}}},
	} {
		got, err := load(tt.env)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// Every wrong setting names the variable, what it got and what it takes, and no secret.
func TestWrongSettings(t *testing.T) {
	for _, tt := range []struct{ env, want string }{
		{"", "TILEDESK_PROJECT_ID is not set: it takes"},
		{"TILEDESK_PROJECT_ID=a/b", `TILEDESK_PROJECT_ID="a/b"`},
		{"TILEDESK_PROJECT_ID=p1,p1 TILEDESK_TOKEN=t", "p1 twice"},
		{"TILEDESK_PROJECT_ID=p1", "no credential: set TILEDESK_TOKEN"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_EMAIL=x", "TILEDESK_PASSWORD is not set"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_PASSWORD=hush", "TILEDESK_EMAIL is not set"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_SUBSCRIPTION_ID=x", "TILEDESK_SUBSCRIPTION_SECRET is not set"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_SUBSCRIPTION_SECRET=hush", "TILEDESK_SUBSCRIPTION_ID is not set"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_EMAIL=x TILEDESK_PASSWORD=hush", "unset one"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_SUBSCRIPTION_ID=x", "unset one"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_EMAIL=x TILEDESK_SUBSCRIPTION_ID=x", "unset one"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_EMAIL=x TILEDESK_PASSWORD=hush TILEDESK_API=documented", "TILEDESK_API=documented takes TILEDESK_TOKEN"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush\x01", "TILEDESK_TOKEN of project p1"},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_API=v2", `TILEDESK_API="v2": it takes auto, v3 or documented`},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_API_p1=v2", `TILEDESK_API_p1="v2": it takes auto, v3 or documented`},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_REQUESTS_PER_MINUTE=0", `TILEDESK_REQUESTS_PER_MINUTE="0": it takes a whole number, 1 or more`},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_REQUESTS_PER_MINUTE_p1=lots", `TILEDESK_REQUESTS_PER_MINUTE_p1="lots": it takes`},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_URL=tiledesk.com", `TILEDESK_URL="tiledesk.com": it takes an address`},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_URL_p1=http://u:hush@x", "TILEDESK_URL_p1="},
		{"TILEDESK_PROJECT_ID=p1 TILEDESK_TOKEN=hush TILEDESK_TOKEN_p1_FILE=/nowhere", "TILEDESK_TOKEN_p1_FILE"},
	} {
		env := map[string]string{}
		for _, kv := range strings.Fields(tt.env) {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
		_, err := load(env)
		var u *ops.UsageError
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want %s", tt.env, err, tt.want)
		}
		if !errors.As(err, &u) {
			t.Errorf("%s: %v is no *ops.UsageError", tt.env, err)
		}
	}
}

func TestProjectHidesSecrets(t *testing.T) {
	p := Project{ID: "p", Credential: Credential{Token: "hush", Password: "hush", SubscriptionSecret: "hush"}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, p); strings.Contains(s, "hush") {
			t.Errorf("%s prints %s", format, s)
		}
	}
}
