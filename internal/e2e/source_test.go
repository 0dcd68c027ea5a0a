package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"tilestream/schemas"
)

// source is a Tiledesk server, the real one or the stand-in, asked directly: without paging, and without our client.
type source struct{ url, project, token string }

// document is one JSON object, numbers kept as they were written.
type document map[string]any

// call sends a request and decodes the answer, which must be 2xx.
func (s source) call(t testing.TB, method, path string, body any, into any) {
	t.Helper()
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, content)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", s.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if into != nil {
		decode(t, answer, into)
	}
}

func decode(t testing.TB, b []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %.200s", err, b)
	}
}

// documents returns everything that the API lists of a resource, by _id. limit=0 means no limit (API of the server as it is).
func (s source) documents(t testing.TB, r schemas.Resource) map[string]document {
	t.Helper()
	var raw json.RawMessage
	s.call(t, http.MethodGet, fmt.Sprintf("/%s/%s?limit=0&%s", s.project, r.Path, r.Query), nil, &raw)
	if r.Items != "" {
		var envelope map[string]json.RawMessage
		decode(t, raw, &envelope)
		raw = envelope[r.Items]
	}
	var list []document
	decode(t, raw, &list)
	out := map[string]document{}
	for _, d := range list {
		id, _ := d["_id"].(string)
		if id == "" || out[id] != nil {
			t.Fatalf("%s: _id %q is empty or there twice", r.Name, id)
		}
		out[id] = d
	}
	return out
}
