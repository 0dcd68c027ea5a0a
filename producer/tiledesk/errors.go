package tiledesk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Error is the final answer of the server, or of the way to it, after every retry.
type Error struct {
	Resource string
	URL      string // what was asked for; holds no secret
	Status   int    // of HTTP; 0 where no answer came
	Message  string // the server's own words, cut short
	Tried    int    // requests that were sent
	Hint     string // what to do about it
	Err      error  // the cause, where it was not the server's answer

	whole bool          // of the project, not of one resource
	again bool          // may pass by itself
	after time.Duration // the server's wish for the next try; 0 without one
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Resource)
	if e.URL != "" {
		fmt.Fprintf(&b, ": %s", e.URL)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %q", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Tried > 1 {
		fmt.Fprintf(&b, " (tried %d times)", e.Tried)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// errNotOffered is the cause where the dialect has no such resource.
var errNotOffered = errors.New("the documented API does not have this resource")

// notMember is what the server answers to a user of another project, and to a subscription where those may not read
// (Tiledesk middleware/has-role.js).
const notMember = "dont belong to the project"

// IsSkippable says whether the error concerns one resource alone: the credential may not read it (403), or the server does
// not have it (404). The others of the project can go on. A wrong project or credential is not skippable.
func IsSkippable(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.whole {
		return false
	}
	return e.Status == http.StatusForbidden || e.Status == http.StatusNotFound || errors.Is(e.Err, errNotOffered)
}

func isForbidden(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusForbidden
}

// hint says what to do about an answer.
func (c *Client) hint(status int, message string) string {
	switch {
	case status == 401 && strings.Contains(message, "project"):
		return "the project bans this address: see its IP filter in the Tiledesk dashboard"
	case status == 401:
		return "check " + c.project.Credential.variables() + ": the server does not know the credential"
	case status == 403 && c.project.Credential.SubscriptionID != "":
		return "a subscription may not read this: use a token, or leave the resource out of TILEDESK_RESOURCES"
	case status == 403 && strings.Contains(message, notMember):
		return fmt.Sprintf("the user of %s is not a member of project %s: invite it, or check TILEDESK_PROJECT_ID", c.project.Credential.variables(), c.project.ID)
	case status == 403:
		return "the role is too low: use a credential with the role owner or admin, or leave the resource out of TILEDESK_RESOURCES"
	case status == 400 && strings.Contains(message, "Invalid project id: "):
		_, got, _ := strings.Cut(message, "Invalid project id: ")
		if got != c.project.ID {
			return fmt.Sprintf("the server took %q for the project id: check the path in TILEDESK_URL (a self-hosted server has no /v3) and TILEDESK_API", got)
		}
		return "check TILEDESK_PROJECT_ID: it takes the 24 hex digits in the dashboard's address, after /project/"
	case status == 400 && strings.Contains(message, "Project not found"):
		return "check TILEDESK_PROJECT_ID: this server has no such project (is TILEDESK_URL the right server?)"
	case status == 400 && message == "Bad Request":
		return "check TILEDESK_TOKEN: the server could not read it"
	case status == 404:
		return "check TILEDESK_URL and TILEDESK_API: this server has no such path (the hosted service wants /v3 at the end, a self-hosted one has none)"
	case status == 429:
		return "lower TILEDESK_REQUESTS_PER_MINUTE: something else uses the project's limit up"
	case status >= 300 && status < 400:
		return "set TILEDESK_URL to the address that the server redirects to, if you trust it: credentials are not sent on to another host"
	case status >= 500:
		return "the server fails: see its log, or try later"
	}
	return ""
}

// maxMessage is how much of the server's words an error holds, in bytes.
const maxMessage = 200

var tags = regexp.MustCompile(`(?s)<(script|style|title).*?</(script|style|title)>|<[^>]*>`)

// message finds the words for people in the body of an error. The server uses four keys for them.
func message(body []byte) string {
	var says struct{ Msg, Error, Err, Message json.RawMessage }
	text := string(body)
	if json.Unmarshal(body, &says) == nil {
		for _, m := range []json.RawMessage{says.Msg, says.Error, says.Err, says.Message} {
			var s string
			if json.Unmarshal(m, &s) == nil && s != "" {
				text = s
				break
			}
		}
	} else if bytes.Contains(body, []byte("<")) {
		text = tags.ReplaceAllString(text, " ")
	}
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > maxMessage {
		text = text[:maxMessage]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
		text += "..."
	}
	return text
}
