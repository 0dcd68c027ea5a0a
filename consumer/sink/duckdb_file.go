//go:build cgo

package sink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/duckdb/duckdb-go/v2"

	"tilestream/internal/ops"
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

// checkpointThreshold is how far the write-ahead log grows before it is folded into the file. DuckDB's own 16MB is
// reached every other batch, and each time it compresses what has changed: a quarter of the time of loading. The price
// is a second or so of replay after a crash.
const checkpointThreshold = "256MB"

// writerMemory is what DuckDB may take to write, beside MEMORY_LIMIT: by itself it takes four fifths of the machine, and
// keeps what it has read of the file. Past it DuckDB spills. A merge of 32 MiB runs out of memory at 128MiB.
const writerMemory = "1GB"

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
	if !strings.Contains(f.options, "checkpoint_threshold") {
		if _, err := db.Exec(`SET GLOBAL checkpoint_threshold = '` + checkpointThreshold + `'`); err != nil {
			return err
		}
	}
	if strings.Contains(f.options, "memory_limit") {
		return nil
	}
	var text string
	if err := db.QueryRow(`SELECT current_setting('memory_limit')`).Scan(&text); err != nil {
		return err
	}
	var has, most ops.Bytes
	if err := errors.Join(has.UnmarshalText([]byte(text)), most.UnmarshalText([]byte(writerMemory))); err != nil {
		return fmt.Errorf("memory_limit: %w", err)
	}
	if has <= most {
		return nil // a small machine
	}
	_, err := db.Exec(`SET GLOBAL memory_limit = '` + writerMemory + `'`)
	return err
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
		return fmt.Errorf("DuckDB has too little memory: allow it more at the end of WAREHOUSE_URL, ?memory_limit=4GB, or lower BATCH_BYTES: %w", err)
	}
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
