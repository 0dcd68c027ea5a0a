package tiledesk

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestErrors: bodies as the real server sends them, or things that stand before it.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		skip   bool
		want   []string
	}{
		{401, "Unauthorized", false, []string{"bots: http://tiledesk.test/5ab0f32757066e0014bfd718/bots?all=true: 401 Unauthorized", "check TILEDESK_TOKEN"}},
		{401, `{"err":"error project ip filter"}`, false, []string{"error project ip filter", "bans this address"}},
		{400, "Bad Request", false, []string{"could not read it"}},
		{400, `{"error":"Invalid project id: 5ab0f32757066e0014bfd718"}`, false, []string{"TILEDESK_PROJECT_ID", "24 hex digits"}},
		{400, `{"error":"Invalid project id: v3"}`, false, []string{"TILEDESK_URL", `"v3"`}},
		{400, `{"error":"Project not found with id: 5ab0f32757066e0014bfd718"}`, false, []string{"TILEDESK_PROJECT_ID", "no such project"}},
		{403, `{"success":false,"msg":"you dont belong to the project."}`, false, []string{"not a member"}},
		{403, `{"success":false,"msg":"you dont have the required role."}`, true, []string{"role is too low", "TILEDESK_RESOURCES"}},
		{404, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<title>Error</title>\n</head>\n<body>\n<pre>Cannot GET /x/bots</pre>\n</body>\n</html>\n", true, []string{`404 Not Found: "Cannot GET /x/bots"`, "TILEDESK_URL"}},
		{400, `{"err":{"code":1}}`, false, []string{`{\"err\":{\"code\":1}}`}},
		{400, strings.Repeat("ä", 5000), false, []string{"ää...\""}},
		{400, "\xff\xfe you sent JWT s3cret", false, []string{"you sent JWT ****"}},
	} {
		err := pollError(t, with(server(func(*http.Request) (*http.Response, error) { return reply(tt.status, tt.body), nil })), "bots")
		if err == nil || IsSkippable(err) != tt.skip {
			t.Errorf("%d %.50s: %v, skippable %t, want %t", tt.status, tt.body, err, IsSkippable(err), tt.skip)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q lacks %q", err, w)
			}
		}
		if strings.Contains(err.Error(), "s3cret") || len(err.Error()) > 700 {
			t.Errorf("%q: too long, or tells the token", err)
		}
	}
}

func TestIsSkippable(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {errors.New("x"), false}, {&Error{Status: 500}, false}, {&Error{Status: 401}, false}, {&Error{Status: 400}, false},
		{&Error{Status: 403}, true}, {&Error{Status: 404}, true}, {fmt.Errorf("poll: %w", &Error{Status: 404}), true},
		{&Error{Err: errNotOffered}, true}, {&Error{Err: errShrinks}, false},
	} {
		if got := IsSkippable(tt.err); got != tt.want {
			t.Errorf("IsSkippable(%v) = %t", tt.err, got)
		}
	}
}
