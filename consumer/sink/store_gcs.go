package sink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"tilestream/internal/ops"
)

// gcsObjects are the objects of a bucket of Google Cloud Storage, by its JSON API
// (cloud.google.com/storage/docs/json_api). Google's own client would add a third to the build and 39 MB to the program, for gRPC.
type gcsObjects struct {
	http      *http.Client
	base      string // the API's address, without a slash at its end
	bucket    string
	transport *http.Transport
}

// openGCS takes gs://BUCKET[/PREFIX]. Credentials are Google's application default: GOOGLE_APPLICATION_CREDENTIALS, who
// is logged in with gcloud, or the machine's service account. STORAGE_EMULATOR_HOST is an emulator, which wants none.
func openGCS(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	if _, err := bucketQuery(u); err != nil {
		return nil, err
	}
	o := &gcsObjects{base: "https://storage.googleapis.com", bucket: u.Host, transport: newTransport()}
	o.http = &http.Client{Transport: o.transport}
	if host := os.Getenv("STORAGE_EMULATOR_HOST"); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		o.base = strings.TrimSuffix(host, "/")
	} else {
		ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, o.http) // tokens are renewed for as long as the sink is open
		who, err := google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/devstorage.read_write")
		if err != nil { // says where it has looked
			return nil, ops.Usagef("gs://%s: no credentials: set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, or run: gcloud auth application-default login (%v)", u.Host, err)
		}
		o.http = &http.Client{Transport: &oauth2.Transport{Base: o.transport, Source: who.TokenSource}}
	}
	return newFiles(&bucket{objects: o, url: "gs://" + u.Host, prefix: bucketPrefix(u.Path, dataset)}), nil
}

func (o *gcsObjects) Close() error {
	o.transport.CloseIdleConnections()
	return nil
}

// gcsError is an answer that is no success.
type gcsError struct {
	status  int
	message string
}

func (e *gcsError) Error() string { return fmt.Sprintf("%s (%d)", e.message, e.status) }

// Is says what the answer means for a store.
func (e *gcsError) Is(target error) bool {
	return target == fs.ErrNotExist && e.status == http.StatusNotFound && !e.noBucket() ||
		target == fs.ErrExist && e.status == http.StatusPreconditionFailed
}

func (e *gcsError) noBucket() bool { return strings.Contains(e.message, "bucket does not exist") }

// do sends a request, tries again what may pass, and returns the body of an answer below 400. header may be nil. Every
// request here may be sent twice.
func (o *gcsObjects) do(ctx context.Context, method, address string, header http.Header, data []byte) (http.Header, []byte, error) {
	const tries = 5
	pauses := ops.Backoff{First: 200 * time.Millisecond, Most: 5 * time.Second}
	for try := 1; ; try++ {
		got, text, err := o.once(ctx, method, address, header, data)
		var answer *gcsError
		// cloud.google.com/storage/docs/retry-strategy: which answers may pass
		passes := !errors.As(err, &answer) || answer.status == 408 || answer.status == 429 || answer.status >= 500
		if err == nil || !passes || try == tries || ctx.Err() != nil {
			return got, text, err
		}
		if ops.Sleep(ctx, pauses.After(try)) != nil {
			return nil, nil, err
		}
	}
}

func (o *gcsObjects) once(ctx context.Context, method, address string, header http.Header, data []byte) (http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(data))
	if err != nil {
		return nil, nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := o.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode >= 400 {
		return nil, nil, &gcsError{response.StatusCode, gcsMessage(response, text)}
	}
	return response.Header, text, nil
}

func gcsMessage(response *http.Response, text []byte) string {
	var body struct{ Error struct{ Message string } }
	if json.Unmarshal(text, &body) == nil && body.Error.Message != "" {
		return body.Error.Message
	}
	first, _, _ := strings.Cut(string(text[:min(len(text), 200)]), "\n")
	return cmp.Or(strings.TrimSpace(first), http.StatusText(response.StatusCode))
}

func (o *gcsObjects) at(key string) string {
	return o.base + "/storage/v1/b/" + url.PathEscape(o.bucket) + "/o/" + url.PathEscape(key)
}

func (o *gcsObjects) uploadAt(q url.Values) string {
	return o.base + "/upload/storage/v1/b/" + url.PathEscape(o.bucket) + "/o?" + q.Encode()
}

func (o *gcsObjects) put(ctx context.Context, key string, data []byte, absent bool) error {
	q := url.Values{"uploadType": {"media"}, "name": {key}}
	if absent {
		q.Set("ifGenerationMatch", "0") // no generation: there is none
	}
	_, _, err := o.do(ctx, http.MethodPost, o.uploadAt(q), http.Header{"Content-Type": {"application/octet-stream"}}, data)
	return err
}

// begin starts a resumable upload (cloud.google.com/storage/docs/performing-resumable-uploads).
func (o *gcsObjects) begin(ctx context.Context, key string) (upload, error) {
	got, _, err := o.do(ctx, http.MethodPost, o.uploadAt(url.Values{"uploadType": {"resumable"}, "name": {key}}), nil, nil)
	if err != nil {
		return nil, err
	}
	session := got.Get("Location")
	if session == "" {
		return nil, errors.New("the answer names no upload session")
	}
	return &gcsUpload{o, session, 0}, nil
}

type gcsUpload struct {
	*gcsObjects
	session string
	sent    int64
}

func (u *gcsUpload) part(ctx context.Context, data []byte) error { return u.send(ctx, data, "*") }

func (u *gcsUpload) finish(ctx context.Context, data []byte) error {
	return u.send(ctx, data, strconv.FormatInt(u.sent+int64(len(data)), 10))
}

// send is not tried again: how much the service has kept would have to be asked. The whole upload is, by whoever writes.
func (u *gcsUpload) send(ctx context.Context, data []byte, total string) error {
	end := u.sent + int64(len(data))
	got, _, err := u.once(ctx, http.MethodPut, u.session, http.Header{"Content-Range": {fmt.Sprintf("bytes %d-%d/%s", u.sent, end-1, total)}}, data)
	if err != nil {
		return err
	}
	if kept := got.Get("Range"); total == "*" && kept != fmt.Sprintf("bytes=0-%d", end-1) {
		return fmt.Errorf("the service has kept %q of %d bytes", kept, end)
	}
	u.sent = end
	return nil
}

func (u *gcsUpload) abort(ctx context.Context) error {
	_, _, err := u.once(ctx, http.MethodDelete, u.session, nil, nil)
	if answer := (*gcsError)(nil); errors.As(err, &answer) && (answer.status == 499 || answer.status == http.StatusNotFound || answer.status == http.StatusGone) {
		return nil // 499 is the success of this request
	}
	return err
}

// copy goes on until the service is done: a large object takes several requests where the storage class or the place differs.
func (o *gcsObjects) copy(ctx context.Context, from, to string) error {
	address := o.at(from) + "/rewriteTo/b/" + url.PathEscape(o.bucket) + "/o/" + url.PathEscape(to)
	q := url.Values{}
	for {
		_, text, err := o.do(ctx, http.MethodPost, address+"?"+q.Encode(), nil, nil)
		if err != nil {
			return err
		}
		var state struct {
			Done         bool
			RewriteToken string
		}
		if err := json.Unmarshal(text, &state); err != nil {
			return err
		}
		if state.Done {
			return nil
		}
		q.Set("rewriteToken", state.RewriteToken)
	}
}

func (o *gcsObjects) remove(ctx context.Context, key string) error {
	_, _, err := o.do(ctx, http.MethodDelete, o.at(key), nil, nil)
	return err
}

func (o *gcsObjects) exists(ctx context.Context, key string) (bool, error) {
	_, _, err := o.do(ctx, http.MethodGet, o.at(key)+"?fields=name", nil, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (o *gcsObjects) read(ctx context.Context, key string) ([]byte, error) {
	_, text, err := o.do(ctx, http.MethodGet, o.at(key)+"?alt=media", nil, nil)
	return text, err
}

func (o *gcsObjects) readRange(ctx context.Context, key string, from, n int64) ([]byte, int64, error) {
	got, data, err := o.do(ctx, http.MethodGet, o.at(key)+"?alt=media", http.Header{"Range": {rangeOf(from, n)}}, nil)
	if err != nil {
		return nil, 0, err
	}
	size, err := sizeIn(got.Get("Content-Range"))
	return data, size, err
}

func (o *gcsObjects) list(ctx context.Context, prefix string, each func(string)) error {
	q := url.Values{"prefix": {prefix}, "delimiter": {"/"}, "fields": {"items(name),prefixes,nextPageToken"}}
	for {
		_, text, err := o.do(ctx, http.MethodGet, strings.TrimSuffix(o.at(""), "/")+"?"+q.Encode(), nil, nil)
		if err != nil {
			return err
		}
		var page struct {
			Items         []struct{ Name string }
			Prefixes      []string
			NextPageToken string
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return err
		}
		for _, p := range page.Prefixes {
			each(p)
		}
		for _, i := range page.Items {
			each(i.Name)
		}
		if page.NextPageToken == "" {
			return nil
		}
		q.Set("pageToken", page.NextPageToken)
	}
}

func (o *gcsObjects) advice(err error) string {
	var answer *gcsError
	if !errors.As(err, &answer) {
		if token := (*oauth2.RetrieveError)(nil); errors.As(err, &token) {
			return "the credentials are refused: renew them, or check GOOGLE_APPLICATION_CREDENTIALS"
		}
		return ""
	}
	switch {
	case answer.status == http.StatusUnauthorized:
		return "the credentials are wrong or have expired: check GOOGLE_APPLICATION_CREDENTIALS, or log in with: gcloud auth application-default login"
	case answer.status == http.StatusForbidden:
		return "give the service account the role roles/storage.objectUser on the bucket " + o.bucket + " (storage.objects.create, get, list, delete)"
	case answer.noBucket() || answer.status == http.StatusNotFound:
		return "create the bucket, or correct WAREHOUSE_URL"
	}
	return ""
}
