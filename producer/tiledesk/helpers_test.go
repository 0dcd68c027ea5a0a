package tiledesk

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tilestream/internal/ops"
	"tilestream/schemas"
)

func TestMain(m *testing.M) {
	code := m.Run()
	transport.CloseIdleConnections()
	if err := goleak.Find(); code == 0 && err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// restart gives the cursor that another process reads from the checkpoint.
func restart(t testing.TB, c Cursor) Cursor {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var out Cursor
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// pull polls a resource once and returns the documents by id, with the cursor at the end. A document that comes twice fails
// the test.
func pull(t testing.TB, c *Client, r schemas.Resource, from Cursor) (map[string]Doc, Cursor) {
	t.Helper()
	docs := map[string]Doc{}
	for p, err := range c.Pages(t.Context(), r, from) {
		if err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		for _, d := range p.Docs {
			if _, ok := docs[d.ID]; ok {
				t.Errorf("%s %s came twice in one poll", r.Name, d.ID)
			}
			docs[d.ID] = d
		}
		from = restart(t, p.Next)
	}
	return docs, from
}

// poll polls once and returns the error at its end.
func pollError(t testing.TB, c *Client, resource string) error {
	t.Helper()
	for _, err := range c.Pages(t.Context(), row(resource, 100), Cursor{}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// server answers in memory, so that waiting for it is no real waiting.
type server func(*http.Request) (*http.Response, error)

func (s server) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s(req)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// reply makes an answer: name, value, name, value are headers.
func reply(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// with returns a v3 client of the server.
func with(s http.RoundTripper) *Client {
	c := New(Project{ID: "5ab0f32757066e0014bfd718", URL: "http://tiledesk.test", API: V3, RequestsPerMinute: 1e9, Credential: Credential{Token: ops.Secret("s3cret")}}, quiet())
	c.http.Transport = s
	return c
}

// recordOf is a document as a list has it.
func recordOf(t *testing.T, doc []byte) record {
	t.Helper()
	l, err := parseList(slices.Concat([]byte("["), doc, []byte("]")), "")
	if err != nil {
		t.Fatal(err)
	}
	return l.records[0]
}
