package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// bucket is a part of a bucket as a store: what object stores have in common. What tells them apart is their objects.
type bucket struct {
	objects
	url    string                      // of the bucket, for messages
	prefix string                      // of all keys: empty, or with a slash at its end
	fault  func(op, name string) error // tests: called before each step; an error fails the step

	conditional atomic.Bool // the server has been seen to refuse an object that is there
}

// objects are the requests that a store needs of an object store, on whole keys. An absent object is fs.ErrNotExist. Each
// request is tried again by the vendor's client where that may help.
type objects interface {
	// put makes an object of the data; if absent, only where there is none: then it is fs.ErrExist.
	put(ctx context.Context, key string, data []byte, absent bool) error
	// begin starts an upload in parts.
	begin(ctx context.Context, key string) (upload, error)
	// copy makes the object at to what the one at from is, inside the store.
	copy(ctx context.Context, from, to string) error
	remove(ctx context.Context, key string) error
	exists(ctx context.Context, key string) (bool, error)
	read(ctx context.Context, key string) ([]byte, error)
	readRange(ctx context.Context, key string, from, n int64) (data []byte, size int64, err error)
	// list calls each with all keys that have the prefix and no later slash, and with the others up to that slash.
	list(ctx context.Context, prefix string, each func(key string)) error
	// advice says what to do about an error, where something can be done.
	advice(err error) string
	Close() error
}

// upload is an object on its way in parts, one at a time and all but the last of partSize. The last one goes to finish; the object is there when that has returned, and not before.
type upload interface {
	part(ctx context.Context, data []byte) error
	finish(ctx context.Context, data []byte) error
	abort(ctx context.Context) error
}

// partSize is what one upload takes of memory. S3 takes 10,000 parts of at least 5 MiB, so a file can have 80 GB.
const partSize = 8 << 20

func (b *bucket) step(op, name string) error {
	if b.fault == nil {
		return nil
	}
	return b.fault(op, name)
}

func (b *bucket) path(name string) string { return b.url + "/" + b.key(name) }

func (b *bucket) key(name string) string { return b.prefix + name }

// explained says what was tried, and what to do about what came back.
func (b *bucket) explained(what, name string, err error) error {
	if err == nil {
		return nil
	}
	if advice := b.advice(err); advice != "" {
		return fmt.Errorf("%s %s: %w: %s", what, b.path(name), err, advice)
	}
	return fmt.Errorf("%s %s: %w", what, b.path(name), err)
}

func (b *bucket) create(ctx context.Context, name string, write func(io.Writer) error) (size int64, err error) {
	if err := b.step("create", name); err != nil {
		return 0, err
	}
	p := &parts{ctx: ctx, bucket: b, name: name}
	if err := write(p); err != nil {
		return 0, errors.Join(err, p.abort())
	}
	if err := p.finish(); err != nil {
		return 0, errors.Join(b.explained("write", name, err), p.abort())
	}
	return p.size, nil
}

// createIfAbsent is one conditional request. The client repeats it where the answer is lost, and of all tries only the last one's
// answer is known: so only "there is one" is taken for an answer, and whatever else is no success leaves open what happened.
func (b *bucket) createIfAbsent(ctx context.Context, name, _ string, data []byte) error {
	if err := b.step("commit", name); err != nil {
		return err
	}
	err := b.put(ctx, b.key(name), data, true)
	if err == nil && !b.conditional.Load() {
		return b.probe(ctx, name, data)
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnsure, b.explained("write", name, err))
}

// probe asks for the object that has just been made once more, once in a process: a server that does not know conditions passes over
// them, says yes to both of two who commit, and so loses what one of them has loaded.
func (b *bucket) probe(ctx context.Context, name string, data []byte) error {
	switch err := b.put(ctx, b.key(name), data, true); {
	case errors.Is(err, fs.ErrExist):
		b.conditional.Store(true)
		return nil
	case err == nil:
		return b.explained("write", name, errors.New("the server has written an object that was there though it was asked not to (If-None-Match): it knows no conditional writes, so it cannot keep two consumers apart; use one that does, such as Amazon S3 or MinIO"))
	default:
		return fmt.Errorf("%w: %w", errUnsure, b.explained("write", name, err))
	}
}

// move copies inside the store, then removes. Whoever comes second finds the object under its final name, or copies it once
// more: it is never changed.
func (b *bucket) move(ctx context.Context, from, to string) error {
	if err := b.step("copy", to); err != nil {
		return err
	}
	err := b.copy(ctx, b.key(from), b.key(to))
	if errors.Is(err, fs.ErrNotExist) {
		if there, errThere := b.exists(ctx, b.key(to)); errThere == nil && there {
			return nil
		}
	}
	if err != nil {
		return b.explained("copy "+b.path(from)+" to", to, err)
	}
	return b.remove(ctx, from)
}

func (b *bucket) remove(ctx context.Context, name string) error {
	if err := b.step("remove", name); err != nil {
		return err
	}
	err := b.objects.remove(ctx, b.key(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return b.explained("remove", name, err)
}

func (b *bucket) read(ctx context.Context, name string) ([]byte, error) {
	text, err := b.objects.read(ctx, b.key(name))
	return text, b.explained("read", name, err)
}

func (b *bucket) readRange(ctx context.Context, name string, from, n int64) ([]byte, int64, error) {
	data, size, err := b.objects.readRange(ctx, b.key(name), from, n)
	return data, size, b.explained("read", name, err)
}

// rangeOf is the value of a Range header.
func rangeOf(from, n int64) string { return fmt.Sprintf("bytes=%d-%d", from, from+n-1) }

// sizeIn is the size of the whole object in a Content-Range header.
func sizeIn(contentRange string) (int64, error) {
	_, size, _ := strings.Cut(contentRange, "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the answer's Content-Range is %q: it does not say how large the object is", contentRange)
	}
	return n, nil
}

func (b *bucket) list(ctx context.Context, dir string) ([]string, error) {
	prefix := b.key(dir) + "/"
	var names []string
	err := b.objects.list(ctx, prefix, func(key string) {
		// A console's "folder" is an object of the prefix's own name.
		if name := strings.TrimSuffix(strings.TrimPrefix(key, prefix), "/"); name != "" {
			names = append(names, name)
		}
	})
	slices.Sort(names) // directories and objects come apart, and S3 Express in no order
	return slices.Compact(names), b.explained("list", dir, err)
}

// sync has nothing to do: what an object store has confirmed is lasting.
func (b *bucket) sync(context.Context, string) error { return nil }

// parts collects what is written into parts, and uploads each as it is full.
type parts struct {
	ctx    context.Context
	bucket *bucket
	name   string
	buf    bytes.Buffer
	up     upload // nil: nothing has been sent yet
	size   int64
}

func (p *parts) Write(data []byte) (n int, err error) {
	for len(data) > 0 {
		if p.buf.Len() == partSize { // more is coming: this is not the last part
			if err := p.flush(); err != nil {
				return n, p.bucket.explained("write", p.name, err)
			}
		}
		some := data[:min(len(data), partSize-p.buf.Len())]
		p.buf.Write(some)
		data, n = data[len(some):], n+len(some)
		p.size += int64(len(some))
	}
	return n, nil
}

func (p *parts) flush() (err error) {
	if err := p.bucket.step("send", p.name); err != nil {
		return err
	}
	if p.up == nil {
		if p.up, err = p.bucket.begin(p.ctx, p.bucket.key(p.name)); err != nil {
			return err
		}
	}
	if err := p.up.part(p.ctx, p.buf.Bytes()); err != nil {
		return err
	}
	p.buf.Reset()
	return nil
}

// finish sends the rest. Most objects are smaller than a part: they are one request.
func (p *parts) finish() error {
	if p.up == nil {
		if err := p.bucket.step("send", p.name); err != nil {
			return err
		}
		return p.bucket.put(p.ctx, p.bucket.key(p.name), p.buf.Bytes(), false)
	}
	if err := p.bucket.step("finish", p.name); err != nil {
		return err
	}
	return p.up.finish(p.ctx, p.buf.Bytes())
}

// abort has the store forget the parts, which it would keep and charge for; it is done even if the caller waits no more.
func (p *parts) abort() error {
	if p.up == nil {
		return nil
	}
	ctx, cancel := afterwards(p.ctx)
	defer cancel()
	return p.up.abort(ctx)
}

// newTransport is the HTTP transport of one store, so that Close can end its connections. A request that a store
// has taken is answered in seconds; one that is not would hold up its table for ever.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 2 * time.Minute
	return t
}

// bucketPrefix is the prefix of all keys of a dataset.
func bucketPrefix(urlPath, dataset string) string {
	return path.Join(strings.Trim(urlPath, "/"), element(dataset)) + "/"
}
