package sink

import (
	"context"
	"errors"
	"io"
)

// store is where a warehouse of files keeps its objects: a directory, or a part of a bucket. Whole objects appear at once
// under slash-separated names, and a listing shows what has been written before it. An absent object is fs.ErrNotExist.
type store interface {
	// create writes a new object under a name that nobody else uses or reads yet, and returns its size. Its content is
	// lasting then; its name is after sync. After an error nothing can be read under the name.
	create(ctx context.Context, name string, write func(io.Writer) error) (size int64, err error)

	// createIfAbsent makes the object at the name, all of it at once and lasting, unless there is one: then it is
	// fs.ErrExist. Of several callers, in any process, one wins. errUnsure: the object may be there. fs.ErrExist can be
	// the caller's own object, where a request was sent twice: its content tells. temp is a name that nobody else writes,
	// for a store that needs one; it is fs.ErrNotExist where somebody has removed it on the way.
	createIfAbsent(ctx context.Context, name, temp string, data []byte) error

	// move gives an object its final name. It may be called again, by anyone, for the same two names. A crash may leave it
	// undone, or the object under both names.
	move(ctx context.Context, from, to string) error

	// remove removes an object that may be gone already.
	remove(ctx context.Context, name string) error

	// read returns all of an object.
	read(ctx context.Context, name string) ([]byte, error)

	// readRange returns up to n bytes of an object from an offset that it has, and the size of the whole.
	readRange(ctx context.Context, name string, from, n int64) (data []byte, size int64, err error)

	// list returns the next elements of the names below a directory, in order. An absent directory is empty.
	list(ctx context.Context, dir string) ([]string, error)

	// sync makes the names that create has made in a directory lasting.
	sync(ctx context.Context, dir string) error

	// path is where the object is, in the words of the store's users.
	path(name string) string

	// Close releases connections.
	Close() error
}

// errUnsure marks an error after which a commit may have happened.
var errUnsure = errors.New("it may be committed: the ledger tells")
