package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// download copies the files of a table to the same names in a directory, but for those that are there: a file never
// changes. It tells whether there are any. Where a compaction removes a file that was listed, it lists them again.
func (s logReader) download(ctx context.Context, table, dir string) (some bool, err error) {
	const tries = 5
	for range tries {
		if some, err = s.downloadListed(ctx, table, dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return some, err
}

func (s logReader) downloadListed(ctx context.Context, table, dir string) (some bool, err error) {
	days, err := s.list(ctx, element(table))
	if err != nil {
		return false, err
	}
	for _, day := range days {
		names, err := s.list(ctx, path.Join(element(table), day))
		if err != nil {
			return false, err
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".parquet") {
				continue
			}
			some = true
			if err := s.copyTo(ctx, path.Join(element(table), day, name), dir); err != nil {
				return false, err
			}
		}
	}
	return some, nil
}

func (s logReader) copyTo(ctx context.Context, name, dir string) error {
	local := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(local); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := s.read(ctx, name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(local), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(local, text, 0o600); err != nil {
		return fmt.Errorf("copy %s here to read it: %w", s.path(name), errors.Join(err, os.Remove(local)))
	}
	return nil
}
