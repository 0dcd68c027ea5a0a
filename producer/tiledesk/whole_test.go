package tiledesk

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// listing is the answer of a list whose documents have one letter each as _id; a capital has the _id of its small letter, and
// other content.
func listing(ids string) string {
	var docs []string
	for _, id := range ids {
		docs = append(docs, fmt.Sprintf(`{"_id":%q,"tag":%q}`, strings.ToLower(string(id)), string(id)))
	}
	return "[" + strings.Join(docs, ",") + "]"
}

// TestDeletions polls a list through a series of answers. A poll that finds nothing is "", one that moves the cursor only
// is ".", ids that came are "+", deleted ones "-".
func TestDeletions(t *testing.T) {
	const many = "abcdefghijkl"
	for name, polls := range map[string][][2]string{
		"one of three":                  {{"abc", "+abc"}, {"ab", "."}, {"ab", "-c"}, {"ab", ""}},
		"missing once":                  {{"abc", "+abc"}, {"ab", "."}, {"abc", "."}, {"ab", "."}, {"abc", "."}, {"abc", ""}},
		"missing once, back changed":    {{"abc", "+abc"}, {"ab", "."}, {"abC", "+c"}, {"abC", ""}},
		"back after its deletion":       {{"abc", "+abc"}, {"ab", "."}, {"ab", "-c"}, {"abc", "+c"}, {"abc", ""}},
		"with a change and an arrival":  {{"abc", "+abc"}, {"ab", "."}, {"aBd", "+bd-c"}},
		"one after the other":           {{"abcd", "+abcd"}, {"abc", "."}, {"ab", "-d"}, {"ab", "-c"}},
		"two of three":                  {{"abc", "+abc"}, {"a", "."}, {"a", "-bc"}},
		"all":                           {{"abc", "+abc"}, {"", "."}, {"", "."}, {"", "."}, {"", "."}, {"", "-abc"}, {"", ""}},
		"the only one":                  {{"a", "+a"}, {"", "."}, {"", "."}, {"", "."}, {"", "."}, {"", "-a"}},
		"all, for a while":              {{"abc", "+abc"}, {"", "."}, {"", "."}, {"", "."}, {"", "."}, {"abc", "."}, {"abc", ""}},
		"all, then some are back":       {{"abc", "+abc"}, {"", "."}, {"", "."}, {"ab", "-c"}, {"ab", ""}},
		"replaced by others":            {{"abc", "+abc"}, {"xyz", "+xyz"}, {"xyz", "-abc"}},
		"half of many":                  {{many, "+" + many}, {"abcdef", "."}, {"abcdef", "-ghijkl"}},
		"more than half of many":        {{many, "+" + many}, {"abcde", "."}, {"abcde", "."}, {"abcde", "."}, {"abcde", "."}, {"abcde", "-fghijkl"}},
		"never there":                   {{"", ""}, {"", ""}, {"a", "+a"}},
		"errors do not count":           {{"abc", "+abc"}, {"!500", "!"}, {"ab", "."}, {"!500", "!"}, {"!401", "!"}, {"ab", "-c"}},
		"no list is no empty list":      {{"abc", "+abc"}, {"!<html>Sign in</html>", "!"}, {"!{}", "!"}, {"!null", "!"}, {`!{"success":true}`, "!"}, {"!", "!"}, {"abc", ""}},
		"half a list":                   {{"abc", "+abc"}, {`![{"_id":"a","tag":"a"},{"_id":"b"`, "!"}, {`![{"_id":"a","tag":"a"},{"_id":"b"`, "!"}, {"abc", ""}},
		"a document that has no _id":    {{"abc", "+abc"}, {`![{"_id":"a","tag":"a"},{}]`, "!"}, {`![{"_id":"a","tag":"a"},{}]`, "!"}, {"abc", ""}},
		"the same document twice in it": {{"abc", "+abc"}, {"aab", "."}, {"aab", "-c"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var answer string
				c := with(server(func(*http.Request) (*http.Response, error) {
					switch body, fails := strings.CutPrefix(answer, "!"); {
					case body == "500":
						return reply(500, "oops"), nil
					case body == "401":
						return reply(401, "Unauthorized"), nil
					case fails:
						return reply(200, body), nil
					}
					return reply(200, listing(answer)), nil
				}))
				var cur Cursor
				for i, p := range polls {
					answer = p[0]
					got := ""
					for page, err := range c.Pages(t.Context(), row("tags", 0), cur) {
						if err != nil {
							got += "!"
							continue
						}
						cur = restart(t, page.Next)
						if got += "."; len(page.Docs)+len(page.Deleted) > 0 {
							got = ""
						}
						for j, d := range page.Docs {
							if got += d.ID; j == 0 {
								got = "+" + d.ID
							}
						}
						if len(page.Deleted) > 0 {
							got += "-" + strings.Join(page.Deleted, "")
						}
					}
					if got != p[1] {
						t.Fatalf("poll %d, of %q: %q, want %q; the cursor is now %+v", i+1, p[0], got, p[1], cur)
					}
				}
			})
		})
	}
}

// A list that has lost most of its documents is told of, with what to look at.
func TestSuspiciousListingWarns(t *testing.T) {
	var log bytes.Buffer
	answer := "abc"
	c := with(server(func(*http.Request) (*http.Response, error) { return reply(200, listing(answer)), nil }))
	c.log = slog.New(slog.NewTextHandler(&log, nil))
	_, cur := pull(t, c, row("tags", 0), Cursor{})
	answer = "ab"
	_, cur = pull(t, c, row("tags", 0), cur)
	if log.Len() > 0 {
		t.Errorf("one deletion of three is nothing to warn of: %s", log.String())
	}
	answer = ""
	pull(t, c, row("tags", 0), cur)
	for _, want := range []string{"level=WARN", "resource=tags", "missing=3", "role"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log: %s", want, log.String())
		}
	}
}
