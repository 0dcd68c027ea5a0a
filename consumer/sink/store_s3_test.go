//go:build cgo

package sink_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

// TestLostReply cuts the connection after the server has taken a commit, so that the client sends it again and meets its own
// object: the write has to count as done, once.
func TestLostReply(t *testing.T) {
	base, err := url.Parse(e2e.Service(t, "TEST_S3_URL"))
	if err != nil {
		t.Fatal(err)
	}
	q := base.Query()
	server, err := url.Parse(q.Get("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cut  int32 // replies in a row
	}{{"of the first try", 1}, {"of all tries", 100}} {
		t.Run(c.name, func(t *testing.T) {
			var left atomic.Int32
			proxy := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) {
					r.SetURL(server)
					r.Out.Host = r.In.Host // it is signed
				},
				ModifyResponse: func(r *http.Response) error {
					if r.Request.Method == http.MethodPut && strings.Contains(r.Request.URL.Path, "/_tilestream_loads/") && left.Add(-1) >= 0 {
						panic(http.ErrAbortHandler)
					}
					return nil
				},
			})
			defer proxy.Close()
			q.Set("endpoint", proxy.URL)
			base.RawQuery = q.Encode()
			to, err := sink.Open(t.Context(), prefixed(t, base.String()), "tiledesk")
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			if err := to.Prepare(t.Context(), crashTable); err != nil {
				t.Fatal(err)
			}
			left.Store(c.cut)
			_, err = to.Write(t.Context(), batchFrom(nil, 2))
			if lost := c.cut > 1; lost == (err == nil) {
				t.Errorf("Write: %v", err)
			}
			left.Store(0)
			next, err := to.Next(t.Context(), crashParts)
			if err != nil || next[sinktest.Part(0)] != 2 || next[sinktest.Part(1)] != 2 {
				t.Errorf("Next: %v, %v, want 2 of both partitions", next, err)
			}
		})
	}
}

// TestBucketMistakes wants errors that say what was tried, what came back and what to do, without a secret.
func TestBucketMistakes(t *testing.T) {
	base := e2e.Service(t, "TEST_S3_URL")
	wrong := strings.Replace(base, "//warehouse", "//no-such-warehouse", 1)
	for _, c := range []struct {
		name, url, secret string
		want              []string
	}{
		{"no bucket", wrong, "", []string{"list s3://no-such-warehouse/", "NoSuchBucket", "create the bucket"}},
		{"wrong key", base, "wr0ngsecret", []string{"SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.secret != "" {
				t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
			}
			to, err := sink.Open(t.Context(), c.url, "tiledesk")
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			_, err = to.Next(t.Context(), crashParts)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Next: %v, want %q in it", err, want)
				}
			}
			if c.secret != "" && err != nil && strings.Contains(err.Error(), c.secret) {
				t.Errorf("Next shows the secret: %v", err)
			}
		})
	}
}

func TestOpenBucketRefuses(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "")
	for _, c := range []struct{ url, want string }{
		{"s3:///prefix", "it takes s3://BUCKET/PREFIX"},
		{"s3://key:s3cret@bucket/x", "credentials come from the environment"},
		{"s3://bucket?secret_key=s3cret", `unknown parameter "secret_key": it takes region, endpoint, profile`},
		{"gs://bucket?project=x", `unknown parameter "project"`},
		{"azblob://container", "no storage account"},
	} {
		_, err := sink.Open(t.Context(), c.url, "tiledesk")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%s): %v, want %q and no secret in it", c.url, err, c.want)
		}
	}
}

// TestBigObject writes a file of several parts; a part whose reply is lost, as often as may be, costs a write and nothing else.
func TestBigObject(t *testing.T) {
	base, err := url.Parse(e2e.Service(t, "TEST_S3_URL"))
	if err != nil {
		t.Fatal(err)
	}
	q := base.Query()
	server, err := url.Parse(q.Get("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	var cut, parts atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Query().Get("partNumber") != "" && parts.Add(1) > 1 && cut.Add(-1) >= 0 {
				panic(http.ErrAbortHandler)
			}
			return nil
		},
	})
	defer proxy.Close()
	q.Set("endpoint", proxy.URL)
	base.RawQuery = q.Encode()
	d := bucketIn(t, base.String())
	big := sinktest.Table("big", sinktest.Column("text", sinktest.String))
	var rows []sinktest.Row
	for i := range 20 {
		noise := make([]byte, 1<<20)
		rand.Read(noise) // Parquet makes none of it smaller
		rows = append(rows, sinktest.Row{"_id": strconv.Itoa(i), "text": base64.StdEncoding.EncodeToString(noise), "_kafka_offset": int64(i)})
	}
	to := d.Open(t)
	defer to.Close()
	if err := to.Prepare(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	b := sink.Batch{ID: "load", Table: big, Ranges: []sink.Range{sinktest.Span(0, 0, 20)}, Rows: sinktest.Record(big.Schema, rows)}
	cut.Store(100)
	if _, err := to.Write(t.Context(), b); err == nil {
		t.Error("Write without an answer to any part: no error")
	}
	if parts.Load() < 2 {
		t.Fatalf("%d parts: the object is too small for this", parts.Load())
	}
	cut.Store(1)
	if _, err := to.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if diff := sinktest.Diff(big, rows, d.Read(t, big)); diff != "" {
		t.Errorf("rows differ (-want +got):\n%.1000s", diff)
	}
}

// TestBucketRefusals answers as S3 does where a bucket is elsewhere, or a right is missing.
func TestBucketRefusals(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
	for _, c := range []struct {
		name, code, region string
		status             int
		want               []string
	}{
		{"another region", "PermanentRedirect", "eu-south-1", http.StatusMovedPermanently, []string{"the bucket is in region eu-south-1", "?region=eu-south-1"}},
		{"a right is missing", "AccessDenied", "", http.StatusForbidden, []string{"s3:PutObject", "arn:aws:s3:::warehouse/x/tiledesk/*", "s3:ListBucket"}},
		{"a token that has expired", "ExpiredToken", "", http.StatusBadRequest, []string{"have expired", "AWS_SESSION_TOKEN"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amz-Bucket-Region", c.region)
				w.WriteHeader(c.status)
				fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message></Error>`, c.code)
			}))
			defer server.Close()
			to, err := sink.Open(t.Context(), "s3://warehouse/x?region=us-east-1&endpoint="+server.URL, "tiledesk")
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			_, err = to.Next(t.Context(), crashParts)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Next: %v, want %q in it", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Next shows the secret: %v", err)
			}
		})
	}
}

// TestNoConditions loads into a server that passes over If-None-Match: nothing may be taken for committed there.
func TestNoConditions(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
		}
	}))
	defer server.Close()
	to, err := sink.Open(t.Context(), "s3://warehouse/x?region=us-east-1&endpoint="+server.URL, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for range 2 {
		_, err = to.Write(t.Context(), sink.Batch{ID: "load", Table: crashTable, Ranges: []sink.Range{sinktest.Span(0, 0, 2)}})
		if err == nil || !strings.Contains(err.Error(), "conditional writes") {
			t.Errorf("Write: %v, want that the server knows no conditional writes", err)
		}
	}
}
