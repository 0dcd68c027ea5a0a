package sink

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"tilestream/internal/ops"
)

// s3Objects are the objects of a bucket on S3, or on a server that speaks its protocol and has conditional writes.
type s3Objects struct {
	client    *s3.Client
	bucket    string
	arn       string // of everything that is ours, for messages
	transport *http.Transport
}

// openS3 takes s3://BUCKET[/PREFIX][?region=...][&endpoint=...][&profile=...]. Credentials come as any AWS tool finds
// them: environment, shared files, single sign-on, the role of the machine. An endpoint is another server than Amazon's; the
// bucket is then in the path, as most of them want it.
func openS3(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	q, err := bucketQuery(u, "region", "endpoint", "profile")
	if err != nil {
		return nil, err
	}
	o, err := newS3(ctx, u.Host, q)
	if err != nil {
		return nil, err
	}
	prefix := bucketPrefix(u.Path, dataset)
	o.arn += "/" + prefix + "*"
	return newFiles(&bucket{objects: o, url: "s3://" + u.Host, prefix: prefix}), nil
}

// newS3 takes the parameters region, endpoint and profile, and leaves connecting to the first request.
func newS3(ctx context.Context, bucket string, q url.Values) (*s3Objects, error) {
	var load []func(*config.LoadOptions) error
	if q.Get("profile") != "" {
		load = append(load, config.WithSharedConfigProfile(q.Get("profile")))
	}
	if q.Get("region") != "" {
		load = append(load, config.WithRegion(q.Get("region")))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, err
	}
	if c.Region == "" {
		return nil, ops.Usagef("s3://%s: no region: add ?region=eu-central-1, or whichever the bucket is in, or set AWS_REGION", bucket)
	}
	transport := newTransport()
	if b, ok := c.HTTPClient.(*awshttp.BuildableClient); ok && b.GetTransport().TLSClientConfig != nil { // AWS_CA_BUNDLE
		transport.TLSClientConfig = b.GetTransport().TLSClientConfig
	}
	client := s3.NewFromConfig(c, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // a signature is of one address
		o.DisableLogOutputChecksumValidationSkipped = true                                                                                              // of objects that other tools have written
		if e := q.Get("endpoint"); e != "" {
			if !strings.Contains(e, "://") {
				e = "https://" + e
			}
			o.BaseEndpoint, o.UsePathStyle = aws.String(e), true
		}
	})
	return &s3Objects{client: client, bucket: bucket, arn: "arn:aws:s3:::" + bucket, transport: transport}, nil
}

func (o *s3Objects) Close() error {
	o.transport.CloseIdleConnections()
	return nil
}

func (o *s3Objects) put(ctx context.Context, key string, data []byte, absent bool) error {
	in := &s3.PutObjectInput{Bucket: &o.bucket, Key: &key, Body: bytes.NewReader(data)}
	if absent {
		in.IfNoneMatch = aws.String("*")
	}
	_, err := o.client.PutObject(ctx, in, func(s *s3.Options) {
		s.Retryer = retryConflict(s.Retryer)
	})
	return s3Error(err)
}

func (o *s3Objects) begin(ctx context.Context, key string) (upload, error) {
	out, err := o.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &o.bucket, Key: &key})
	if err != nil {
		return nil, s3Error(err)
	}
	return &s3Upload{s3Objects: o, key: key, id: out.UploadId}, nil
}

type s3Upload struct {
	*s3Objects
	key  string
	id   *string
	done []types.CompletedPart
}

func (u *s3Upload) part(ctx context.Context, data []byte) error {
	n := aws.Int32(int32(len(u.done) + 1))
	out, err := u.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &u.bucket, Key: &u.key, UploadId: u.id, PartNumber: n, Body: bytes.NewReader(data)})
	if err != nil {
		return s3Error(err)
	}
	u.done = append(u.done, types.CompletedPart{PartNumber: n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC64NVME: out.ChecksumCRC64NVME})
	return nil
}

func (u *s3Upload) finish(ctx context.Context, data []byte) error {
	if err := u.part(ctx, data); err != nil {
		return err
	}
	_, err := u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done}})
	return s3Error(err)
}

func (u *s3Upload) abort(ctx context.Context) error {
	_, err := u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket, Key: &u.key, UploadId: u.id})
	if err = s3Error(err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// copy is one request, which takes objects up to 5 GB: a file holds at most a batch, which memory limits.
func (o *s3Objects) copy(ctx context.Context, from, to string) error {
	source := strings.ReplaceAll(url.QueryEscape(o.bucket+"/"+from), "+", "%20")
	_, err := o.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &o.bucket, Key: &to, CopySource: &source})
	return s3Error(err)
}

func (o *s3Objects) remove(ctx context.Context, key string) error {
	_, err := o.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &o.bucket, Key: &key})
	return s3Error(err)
}

func (o *s3Objects) exists(ctx context.Context, key string) (bool, error) {
	_, err := o.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.bucket, Key: &key})
	if err = s3Error(err); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (o *s3Objects) read(ctx context.Context, key string) ([]byte, error) {
	out, err := o.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.bucket, Key: &key})
	if err != nil {
		return nil, s3Error(err)
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

func (o *s3Objects) readRange(ctx context.Context, key string, from, n int64) ([]byte, int64, error) {
	out, err := o.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.bucket, Key: &key, Range: aws.String(rangeOf(from, n))})
	if err != nil {
		return nil, 0, s3Error(err)
	}
	defer out.Body.Close()
	size, err := sizeIn(aws.ToString(out.ContentRange))
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(out.Body)
	return data, size, err
}

func (o *s3Objects) list(ctx context.Context, prefix string, each func(string)) error {
	pages := s3.NewListObjectsV2Paginator(o.client, &s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: &prefix, Delimiter: aws.String("/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s3Error(err)
		}
		for _, d := range page.CommonPrefixes {
			each(aws.ToString(d.Prefix))
		}
		for _, c := range page.Contents {
			each(aws.ToString(c.Key))
		}
	}
	return nil
}

// retryConflict also tries again where two conditional writes of a name meet: S3 then answers 409 to one of them, which says
// nothing about who has won ("ConditionalRequestConflict", S3 User Guide, conditional writes).
func retryConflict(r aws.Retryer) aws.Retryer {
	return retryCode{r, "ConditionalRequestConflict"}
}

type retryCode struct {
	aws.Retryer
	code string
}

func (r retryCode) IsErrorRetryable(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == r.code || r.Retryer.IsErrorRetryable(err)
}

// s3Error adds what the error means for a store.
func s3Error(err error) error {
	var api smithy.APIError
	if err == nil || !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode() {
	case "NoSuchKey", "NoSuchUpload", "NotFound":
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case "PreconditionFailed":
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}

func (o *s3Objects) advice(err error) string {
	var api smithy.APIError
	var response *awshttp.ResponseError
	code, status := "", 0
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	switch {
	case code == "NoSuchBucket":
		return "create the bucket, or correct WAREHOUSE_URL"
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || code == "IllegalLocationConstraintException" || status == http.StatusMovedPermanently:
		region := ""
		if response != nil && response.Response != nil {
			region = response.Response.Header.Get("X-Amz-Bucket-Region")
		}
		if region != "" {
			return "the bucket is in region " + region + ": add ?region=" + region + " to WAREHOUSE_URL"
		}
		return "the bucket is in another region: name it in WAREHOUSE_URL, as ?region=..."
	case code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch" || code == "ExpiredToken" || code == "InvalidToken":
		return "the credentials are wrong or have expired: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or AWS_PROFILE"
	case status == http.StatusForbidden:
		return "allow s3:PutObject, s3:GetObject, s3:DeleteObject and s3:AbortMultipartUpload on " + o.arn + ", and s3:ListBucket on arn:aws:s3:::" + o.bucket
	case code == "NotImplemented":
		return "the server lacks what is needed to commit: conditional writes (If-None-Match) and copies"
	case strings.Contains(err.Error(), "get identity: get credentials"):
		return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"
	}
	return ""
}

// bucketQuery returns the parameters of a bucket's URL, all of which have to be known.
func bucketQuery(u *url.URL, known ...string) (url.Values, error) {
	form := u.Scheme + "://BUCKET/PREFIX"
	if u.Host == "" || u.User != nil || u.Port() != "" || u.Opaque != "" {
		return nil, ops.Usagef("it takes %s; credentials come from the environment", form)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, ops.Usagef("its parameters cannot be read; special characters are written %%XX")
	}
	for name := range q {
		if !slices.Contains(known, name) {
			return nil, ops.Usagef("unknown parameter %q: it takes %s", name, cmp.Or(strings.Join(known, ", "), "none"))
		}
	}
	return q, nil
}
