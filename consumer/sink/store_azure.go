package sink

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"tilestream/internal/ops"
)

// azureObjects are the blobs of a container.
type azureObjects struct {
	client    *container.Client
	transport *http.Transport
}

// openAzure takes azblob://CONTAINER[/PREFIX][?account=...]. Credentials come from the environment: AZURE_STORAGE_CONNECTION_STRING;
// or the account (AZURE_STORAGE_ACCOUNT) with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; or the account alone, with
// whoever the program runs as: a service principal, a workload or managed identity, or who is logged in with az.
func openAzure(_ context.Context, u *url.URL, dataset string) (Sink, error) {
	q, err := bucketQuery(u, "account")
	if err != nil {
		return nil, err
	}
	account := cmp.Or(q.Get("account"), os.Getenv("AZURE_STORAGE_ACCOUNT"))
	connection := os.Getenv("AZURE_STORAGE_CONNECTION_STRING")
	if account == "" && connection == "" {
		return nil, ops.Usagef("azblob://%s: no storage account: add ?account=NAME, or set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING", u.Host)
	}
	o := &azureObjects{transport: newTransport()}
	options := &container.ClientOptions{ClientOptions: policy.ClientOptions{Transport: &http.Client{Transport: o.transport}}}
	at := "https://" + account + ".blob.core.windows.net/" + u.Host
	key, sas := os.Getenv("AZURE_STORAGE_KEY"), os.Getenv("AZURE_STORAGE_SAS_TOKEN")
	switch {
	case connection != "":
		o.client, err = container.NewClientFromConnectionString(connection, u.Host, options)
	case key != "":
		var shared *container.SharedKeyCredential
		if shared, err = container.NewSharedKeyCredential(account, key); err != nil {
			return nil, ops.Usagef("AZURE_STORAGE_KEY is not a key: it is base64, as the portal shows it")
		}
		o.client, err = container.NewClientWithSharedKeyCredential(at, shared, options)
	case sas != "":
		o.client, err = container.NewClientWithNoCredential(at+"?"+sas, options)
	default:
		var who *azidentity.DefaultAzureCredential
		if who, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options.ClientOptions}); err == nil {
			o.client, err = container.NewClient(at, who, options)
		}
	}
	if err != nil {
		return nil, err
	}
	return newFiles(&bucket{objects: o, url: "azblob://" + u.Host, prefix: bucketPrefix(u.Path, dataset)}), nil
}

func (o *azureObjects) Close() error {
	o.transport.CloseIdleConnections()
	return nil
}

func (o *azureObjects) put(ctx context.Context, key string, data []byte, absent bool) error {
	options := &blockblob.UploadOptions{}
	if absent {
		options.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}}
	}
	_, err := o.client.NewBlockBlobClient(key).Upload(ctx, reader(data), options)
	return azureError(err)
}

func reader(data []byte) io.ReadSeekCloser { return streaming.NopCloser(bytes.NewReader(data)) }

func (o *azureObjects) begin(_ context.Context, key string) (upload, error) {
	return &azureUpload{client: o.client.NewBlockBlobClient(key)}, nil
}

type azureUpload struct {
	client *blockblob.Client
	blocks []string
}

func (u *azureUpload) part(ctx context.Context, data []byte) error {
	id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%08d", len(u.blocks))) // all ids of a blob are of one length
	if _, err := u.client.StageBlock(ctx, id, reader(data), nil); err != nil {
		return azureError(err)
	}
	u.blocks = append(u.blocks, id)
	return nil
}

func (u *azureUpload) finish(ctx context.Context, data []byte) error {
	if err := u.part(ctx, data); err != nil {
		return err
	}
	_, err := u.client.CommitBlockList(ctx, u.blocks, nil)
	return azureError(err)
}

// abort leaves the blocks to Azure, which drops what is not committed within a week, and has no other way.
func (u *azureUpload) abort(context.Context) error { return nil }

// copy waits for the copy, which inside an account is mostly done when the answer comes.
func (o *azureObjects) copy(ctx context.Context, from, to string) error {
	target := o.client.NewBlobClient(to)
	out, err := target.StartCopyFromURL(ctx, o.client.NewBlobClient(from).URL(), nil)
	if err != nil {
		return azureError(err)
	}
	status := out.CopyStatus
	for status != nil && *status == blob.CopyStatusTypePending {
		if err := ops.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		now, err := target.GetProperties(ctx, nil)
		if err != nil {
			return azureError(err)
		}
		status = now.CopyStatus
	}
	if status != nil && *status != blob.CopyStatusTypeSuccess {
		return fmt.Errorf("the copy ended as %s", *status)
	}
	return nil
}

func (o *azureObjects) remove(ctx context.Context, key string) error {
	_, err := o.client.NewBlobClient(key).Delete(ctx, nil)
	return azureError(err)
}

func (o *azureObjects) exists(ctx context.Context, key string) (bool, error) {
	now, err := o.client.NewBlobClient(key).GetProperties(ctx, nil)
	if err = azureError(err); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && (now.CopyStatus == nil || *now.CopyStatus == blob.CopyStatusTypeSuccess), err
}

func (o *azureObjects) read(ctx context.Context, key string) ([]byte, error) {
	out, err := o.client.NewBlobClient(key).DownloadStream(ctx, nil)
	if err != nil {
		return nil, azureError(err)
	}
	body := out.NewRetryReader(ctx, nil)
	defer body.Close()
	return io.ReadAll(body)
}

func (o *azureObjects) readRange(ctx context.Context, key string, from, n int64) ([]byte, int64, error) {
	out, err := o.client.NewBlobClient(key).DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: from, Count: n}})
	if err != nil {
		return nil, 0, azureError(err)
	}
	body := out.NewRetryReader(ctx, nil)
	defer body.Close()
	contentRange := ""
	if out.ContentRange != nil {
		contentRange = *out.ContentRange
	}
	size, err := sizeIn(contentRange)
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(body)
	return data, size, err
}

func (o *azureObjects) list(ctx context.Context, prefix string, each func(string)) error {
	for pages := o.client.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: &prefix}); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return azureError(err)
		}
		for _, p := range page.Segment.BlobPrefixes {
			each(*p.Name)
		}
		for _, b := range page.Segment.BlobItems {
			each(*b.Name)
		}
	}
	return nil
}

// azureError adds what the error means for a store.
func azureError(err error) error {
	if err == nil {
		return nil
	}
	if failed := (*url.Error)(nil); errors.As(err, &failed) { // its address can hold a signature
		err = failed.Err
	}
	response := (*azcore.ResponseError)(nil)
	if errors.As(err, &response) {
		err = &azureAnswer{response}
	}
	switch {
	case bloberror.HasCode(err, bloberror.BlobNotFound) || bloberror.HasCode(err, bloberror.CannotVerifyCopySource) && response.StatusCode == http.StatusNotFound || response != nil && response.StatusCode == http.StatusNotFound && response.ErrorCode == "": // HEAD has no body
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case bloberror.HasCode(err, bloberror.BlobAlreadyExists, bloberror.ConditionNotMet):
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}

// azureAnswer is an error of the service on one line, without the address, which can hold a signature.
type azureAnswer struct{ *azcore.ResponseError }

func (e *azureAnswer) Error() string {
	return fmt.Sprintf("%s (%d)", cmp.Or(e.ErrorCode, "no code"), e.StatusCode)
}

func (e *azureAnswer) Unwrap() error { return e.ResponseError }

func (o *azureObjects) advice(err error) string {
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		var auth *azidentity.AuthenticationFailedError
		if errors.As(err, &auth) || azidentityUnavailable(err) {
			return "no credentials: set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING, log in with az, or give the machine an identity"
		}
		return ""
	}
	switch code := bloberror.Code(response.ErrorCode); {
	case code == bloberror.ContainerNotFound:
		return "create the container, or correct WAREHOUSE_URL"
	case code == bloberror.ContainerBeingDeleted:
		return "the container is being deleted: wait, and create it again"
	case code == bloberror.AuthenticationFailed || response.StatusCode == http.StatusUnauthorized:
		return "the credentials are wrong or have expired: check AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING"
	case response.StatusCode == http.StatusForbidden:
		return "give the identity the role Storage Blob Data Contributor on the container (a SAS needs read, add, create, write, delete and list), and let the account's firewall admit this machine"
	}
	return ""
}

// azidentityUnavailable tells that no way to log in was found; its type is not exported by name of the chain.
func azidentityUnavailable(err error) bool {
	var unavailable interface {
		error
		NonRetriable()
	}
	return errors.As(err, &unavailable)
}
