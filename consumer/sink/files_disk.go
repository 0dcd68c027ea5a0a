package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
)

// disk is a directory used as an object store.
type disk struct {
	root  string
	fault func(op, name string) error // tests: called before each step; an error fails the step
}

func (d disk) step(op, name string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, name)
}

// Close has nothing to release: no file stays open between calls.
func (d disk) Close() error { return nil }

func (d disk) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// create takes a name for taken where it is: nobody else uses it.
func (d disk) create(_ context.Context, name string, write func(io.Writer) error) (size int64, err error) {
	if err := d.mkdir(path.Dir(name)); err != nil {
		return 0, err
	}
	if err := d.step("create", name); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s is there already", d.path(name)) // not fs.ErrExist, which callers take for a lost race
	} else if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			os.Remove(d.path(name)) // the error that matters is the first one
		}
	}()
	w := &counted{w: f, step: func() error { return d.step("write", name) }}
	if err := write(w); err != nil {
		return 0, err
	}
	if err := d.step("sync", name); err != nil {
		return 0, err
	}
	return w.n, f.Sync()
}

// createIfAbsent links a synced temporary file to the name.
func (d disk) createIfAbsent(ctx context.Context, name, temp string, data []byte) error {
	if _, err := d.create(ctx, temp, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
		return err
	}
	defer os.Remove(d.path(temp)) // if not now, txlog.settle does it
	if err := d.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := d.step("link", name); err != nil {
		return err
	}
	// A link fails where the name is taken; a rename would replace it.
	if err := os.Link(d.path(temp), d.path(name)); errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	} else if err != nil { // over a network file system, after a lost reply, the link may be there
		return fmt.Errorf("%w: %w (the directory must be on a file system with hard links)", errUnsure, err)
	}
	if err := d.syncDir(path.Dir(name)); err != nil {
		return fmt.Errorf("%w: %w", errUnsure, err)
	}
	return nil
}

// move renames. A power cut may undo it: then the object still has its first name.
func (d disk) move(_ context.Context, from, to string) error {
	if err := d.mkdir(path.Dir(to)); err != nil {
		return err
	}
	if err := d.step("rename", to); err != nil {
		return err
	}
	err := os.Rename(d.path(from), d.path(to))
	if errors.Is(err, fs.ErrNotExist) {
		if _, absent := os.Stat(d.path(to)); absent == nil {
			return nil
		}
	}
	return err
}

func (d disk) remove(_ context.Context, name string) error {
	if err := d.step("remove", name); err != nil {
		return err
	}
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d disk) read(_ context.Context, name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

func (d disk) readRange(_ context.Context, name string, from, n int64) ([]byte, int64, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data := make([]byte, max(min(n, about.Size()-from), 0))
	_, err = f.ReadAt(data, from)
	return data, about.Size(), err
}

func (d disk) list(_ context.Context, dir string) ([]string, error) {
	entries, err := os.ReadDir(d.path(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// mkdir makes the directory and its parents, and has each of their entries on the medium.
func (d disk) mkdir(dir string) error {
	if _, err := os.Stat(d.path(dir)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if dir == "." { // DIR itself: what is above it is not ours to sync
		return os.MkdirAll(d.path(dir), 0o777)
	}
	if err := d.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	if err := d.step("mkdir", dir); err != nil {
		return err
	}
	if err := os.Mkdir(d.path(dir), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(path.Dir(dir))
}

func (d disk) sync(_ context.Context, dir string) error { return d.syncDir(dir) }

// syncDir has the directory's entries on the medium. Windows has no such call: its file systems journal them.
func (d disk) syncDir(dir string) error {
	if err := d.step("sync", dir); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(d.path(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// counted counts what is written.
type counted struct {
	w    io.Writer
	n    int64
	step func() error
}

func (c *counted) Write(p []byte) (int, error) {
	if err := c.step(); err != nil {
		return 0, err
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
