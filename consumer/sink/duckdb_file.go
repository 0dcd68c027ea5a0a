//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/duckdb/duckdb-go/v2"
)

// duckFile is an open DuckDB file, shared by all sinks of this process that write to it: one transaction writes at a
// time, any number read beside it.
type duckFile struct {
	path, options string
	writing       chan struct{} // holds one token: a lock that a context can give up waiting for

	mu   sync.Mutex
	db   *sql.DB // nil until the next use where DuckDB has given the file up
	uses int
}

var duckFiles = struct {
	sync.Mutex
	byPath map[string]*duckFile
}{byPath: map[string]*duckFile{}}

// duckMemory is what DuckDB may take in this process, and most of what Memory counts for it: by itself it takes four fifths of the machine,
// and keeps what it has read of the file. Past it DuckDB spills, all but what a join works on: see duckSlice.
const duckMemory = "192MiB"

// duckModest has DuckDB give back what it does not use. Its allocator keeps as much again as is in use, for seconds;
// a second thread takes a third more of CPU time for the same rows, and buffers of its own.
var duckModest = map[string]string{
	"threads":                      "1",
	"allocator_flush_threshold":    "16MiB",
	"allocator_background_threads": "true",
}

// Nothing that runs in the warehouse may read or write other files: a question of a user's, or whatever got into one.
const duckConfined = "enable_external_access"

// checkpointThreshold is how far the write-ahead log grows before it is folded into the file. DuckDB's own 16MB is
// reached every other batch, and each time it compresses what has changed. Rows wait for it uncompressed: were they more than
// duckMemory, each merge would read them from where they were spilled.
const checkpointThreshold = "64MiB"

// openDuckFile opens the file, or shares the one that is open. release closes it with its last user.
func openDuckFile(path, options string) (f *duckFile, release func() error, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, nil, err
	}
	if strings.ContainsAny(path, "?%") { // the driver takes the path as a URL
		return nil, nil, fmt.Errorf("%s: a path of DuckDB cannot have ? or %% in it", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, nil, err
	}
	duckFiles.Lock()
	defer duckFiles.Unlock()
	f, ok := duckFiles.byPath[path]
	if !ok {
		f = &duckFile{path: path, options: options, writing: make(chan struct{}, 1)}
	}
	if _, err := f.handle(); err != nil {
		return nil, nil, err
	}
	duckFiles.byPath[path] = f
	f.uses++
	return f, f.release, nil
}

func (f *duckFile) release() error {
	duckFiles.Lock()
	defer duckFiles.Unlock()
	if f.uses--; f.uses > 0 {
		return nil
	}
	delete(duckFiles.byPath, f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.db == nil {
		return nil
	}
	return f.db.Close()
}

// handle returns the open database.
func (f *duckFile) handle() (*sql.DB, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.db != nil {
		return f.db, nil
	}
	dsn := f.path
	if f.options != "" {
		dsn += "?" + f.options
	}
	connector, err := duckdb.NewConnector(dsn, nil)
	if err != nil {
		if strings.Contains(err.Error(), "Conflicting lock") {
			err = fmt.Errorf("another program has %s open, and DuckDB lets only one in: stop it first (the consumer while it runs, a shell, a notebook) or query a copy of the file; where several are to work at once, load into PostgreSQL: %w", f.path, err)
		}
		return nil, err
	}
	db := sql.OpenDB(connector)
	if err := registerRows(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := f.configure(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	f.db = db
	return db, nil
}

// configure makes the settings that the options leave open. They are not in the DSN: all of a process that open a file must
// give DuckDB the same ones.
func (f *duckFile) configure(db *sql.DB) error {
	options, err := url.ParseQuery(f.options)
	if err != nil {
		return err
	}
	settings := maps.Clone(duckModest)
	settings["checkpoint_threshold"] = checkpointThreshold
	settings["memory_limit"] = duckMemory
	settings[duckConfined] = "false"
	for _, name := range sortedKeys(settings) {
		if options.Has(name) {
			continue
		}
		if _, err := db.Exec(`SET GLOBAL ` + name + ` = ` + duckLiteral(settings[name])); err != nil {
			return err
		}
	}
	return nil
}

// write runs do in a transaction of its own and commits it where do returns nil.
func (f *duckFile) write(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	select {
	case f.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.writing }()
	return f.transaction(ctx, (*sql.Tx).Commit, do)
}

// read runs do in a transaction beside whatever is being written.
func (f *duckFile) read(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	return f.transaction(ctx, (*sql.Tx).Rollback, do)
}

func (f *duckFile) transaction(ctx context.Context, end func(*sql.Tx) error, do func(ctx context.Context, tx *sql.Tx) error) error {
	db, err := f.handle()
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return f.check(ctx, db, err)
	}
	defer conn.Close()
	// A BEGIN or ROLLBACK that ctx interrupts may leave the connection in a transaction that nobody knows of.
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err == nil {
		if err = do(ctx, tx); err == nil {
			err = end(tx)
		}
		_ = tx.Rollback() // err says more; nothing is left to do where it has ended
	}
	if err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // whatever state it is in: the next use takes another one
	}
	return f.check(ctx, db, err)
}

// check gives the database up after an error that has made it useless, so that the next use opens it again: DuckDB
// refuses all work after a fatal error until the file is reopened (docs, "Database Has Been Invalidated").
func (f *duckFile) check(ctx context.Context, db *sql.DB, err error) error {
	if err == nil {
		return nil
	}
	var e *duckdb.Error
	if errors.As(err, &e) && (e.Type == duckdb.ErrorTypeFatal || strings.Contains(e.Msg, "has been invalidated")) {
		f.mu.Lock()
		if f.db == db {
			f.db = nil
			err = errors.Join(err, db.Close())
		}
		f.mu.Unlock()
		return fmt.Errorf("DuckDB has given up %s and will open it again: %w", f.path, err)
	}
	if e != nil && e.Type == duckdb.ErrorTypeOutOfMemory {
		return fmt.Errorf("DuckDB has too little memory: allow it more at the end of WAREHOUSE_URL, ?memory_limit=1GB: %w", err)
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
