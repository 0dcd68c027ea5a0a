package sink

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FaultyFiles opens a warehouse of files that calls fault before each step on its store; an error fails the step.
func FaultyFiles(ctx context.Context, url, dataset string, fault func(op, name string) error) (Sink, error) {
	to, err := Open(ctx, url, dataset)
	if err != nil {
		return nil, err
	}
	f := to.(*files)
	switch s := f.store.(type) {
	case disk:
		s.fault = fault
		f.store = s
	case *bucket:
		s.fault = fault
	}
	return f, nil
}

// FaultyCompactor opens a warehouse of files to compact it to files of a size, by another clock. fault, which may be nil, is called
// before each step on its store.
func FaultyCompactor(ctx context.Context, url, dataset string, target int64, now func() time.Time, fault func(op, name string) error) (*Compactor, error) {
	to, err := FaultyFiles(ctx, url, dataset, fault)
	if err != nil {
		return nil, err
	}
	return &Compactor{store: to.(*files).store, now: now, target: target}, nil
}

// Mirror copies the objects of a warehouse in a bucket, or those of one table, to a directory, but for those that are there: no object changes.
func Mirror(ctx context.Context, to Sink, dir, table string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	b := to.(*files).store.(*bucket)
	var walk func(prefix string) error
	walk = func(prefix string) error {
		var keys []string
		if err := b.objects.list(ctx, prefix, func(key string) { keys = append(keys, key) }); err != nil {
			return err
		}
		for _, key := range keys {
			if strings.HasSuffix(key, "/") {
				if err := walk(key); err != nil {
					return err
				}
				continue
			}
			name := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(key, b.prefix)))
			if _, err := os.Stat(name); err == nil {
				continue
			}
			text, err := b.objects.read(ctx, key)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(name, text, 0o666); err != nil {
				return err
			}
		}
		return nil
	}
	if table != "" {
		return walk(b.prefix + element(table) + "/")
	}
	return walk(b.prefix)
}

// MakeBucket makes the bucket of a warehouse in an emulator of GCS, or the container of one on Azure.
func MakeBucket(ctx context.Context, to Sink) error {
	switch o := to.(*files).store.(*bucket).objects.(type) {
	case *azureObjects:
		_, err := o.client.Create(ctx, nil)
		return err
	case *gcsObjects:
		_, _, err := o.do(ctx, http.MethodPost, o.base+"/storage/v1/b?project=test", http.Header{"Content-Type": {"application/json"}}, fmt.Appendf(nil, `{"name": %q}`, o.bucket))
		return err
	}
	return nil
}
