package sink

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
)

// disk is a directory used as an object store: whole objects appear at once under a slash-separated name. An
// absent object is fs.ErrNotExist.
type disk struct {
	root  string
	fault func(op, name string) error // tests: called before each step; an error fails the step
}

// errUnsure marks an error after which a commit may have happened.
var errUnsure = errors.New("it may be committed: the ledger tells")

func (d disk) step(op, name string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, name)
}

func (d disk) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// create writes a new object under a name that nobody else uses or reads yet, and returns its size. Its content is on
// the medium then; its name is after syncDir. After an error nothing is left of it.
func (d disk) create(name string, write func(io.Writer) error) (size int64, err error) {
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

// createIfAbsent makes the object at the name, all of it at once and on the medium, unless there is one: then it is fs.ErrExist. Of
// several callers, in any process, one wins. temp is a name that nobody else writes; it is fs.ErrNotExist where somebody
// has removed it on the way. errUnsure: the object may be there.
func (d disk) createIfAbsent(name, temp string, data []byte) error {
	if _, err := d.create(temp, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
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

// move gives an object its final name. It may be called again, by anyone, for the same two names. A power cut may undo
// it: then the object still has its first name.
func (d disk) move(from, to string) error {
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

// remove removes an object that may be gone already.
func (d disk) remove(name string) error {
	if err := d.step("remove", name); err != nil {
		return err
	}
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d disk) read(name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

// list returns the last elements of the names below a directory, in order. An absent directory is empty.
func (d disk) list(dir string) ([]string, error) {
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
