//go:build cgo

package sink

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

const duckReadOnly = `BEGIN TRANSACTION READ ONLY`

// readDuckDB shares the file where this process has it open, since DuckDB refuses a second opener with other settings; else
// it opens it read-only. In both cases transactions are read-only too.
func readDuckDB(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	path, err := localPath(u)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if strings.ContainsAny(path, "?%") { // the driver takes the path as a URL
		return nil, fmt.Errorf("%s: a path of DuckDB cannot have ? or %% in it", path)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s: nothing has been loaded yet, or WAREHOUSE_URL (DATA_DIR) names another place", path)
	}
	r := &Reader{dataset: dataset, dialect: duckDialect, how: reading{begin: duckReadOnly, pages: duckPages, single: duckSingle, hazards: duckHazards}}
	duckFiles.Lock()
	shared := duckFiles.byPath[path] != nil
	duckFiles.Unlock()
	if shared {
		f, release, err := openDuckFile(path, u.RawQuery)
		if err != nil {
			return nil, err
		}
		r.close = release
		if r.db, err = f.handle(); err != nil {
			return nil, errors.Join(err, release())
		}
		return r, nil
	}
	options := readerOptions()
	options.Set("access_mode", "READ_ONLY")
	options.Set(duckConfined, "false")
	maps.Copy(options, u.Query())
	connector, err := duckdb.NewConnector(path+"?"+options.Encode(), nil)
	if err != nil {
		return nil, heldBy(path, err)
	}
	r.db = sql.OpenDB(connector)
	r.close = r.db.Close
	if err := r.db.PingContext(ctx); err != nil {
		return nil, errors.Join(heldBy(path, err), r.db.Close())
	}
	return r, nil
}

// lockHolder finds the process in DuckDB's words about a file that another one has open.
var lockHolder = regexp.MustCompile(`lock is held in (.*?) \(PID (\d+)\)`)

// heldBy says which process has the file open, and what to do.
func heldBy(path string, err error) error {
	if !strings.Contains(err.Error(), "Conflicting lock") {
		return err
	}
	holder := "another process"
	if m := lockHolder.FindStringSubmatch(err.Error()); m != nil {
		holder = fmt.Sprintf("process %s (%s)", m[2], m[1])
	}
	return &HeldError{holder, path}
}

// duckSingle: of several statements the driver's Query runs all, its Prepare none.
func duckSingle(_ context.Context, conn *sql.Conn, statement string) error {
	return conn.Raw(func(c any) error {
		prepared, err := c.(*duckdb.Conn).Prepare(statement)
		if err != nil {
			return err
		}
		return prepared.Close()
	})
}

// duckPage is how many rows of a table are in memory at a time: the driver takes a result as a whole.
const duckPage = 20_000

// duckPages cuts a table by the numbers that DuckDB gives its rows.
func duckPages(ctx context.Context, v *View, _ Table, from string) ([]string, error) {
	var last sql.NullInt64
	if err := v.conn.QueryRowContext(ctx, `SELECT max(rowid) FROM `+from).Scan(&last); err != nil || !last.Valid {
		return nil, err
	}
	var pages []string
	for at := int64(0); at <= last.Int64; at += duckPage {
		pages = append(pages, fmt.Sprintf("rowid >= %d AND rowid < %d", at, at+duckPage))
	}
	return pages, nil
}

// readerOptions are those of a DuckDB that only reads.
func readerOptions() url.Values {
	options := url.Values{"memory_limit": {duckMemory}}
	for name, value := range duckModest {
		options.Set(name, value)
	}
	return options
}

// readFiles shows files through a DuckDB in memory; ledger and loads are read from the log itself.
func readFiles(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	dir, err := localPath(u)
	if err != nil {
		return nil, err
	}
	at := disk{root: dir + "/" + element(dataset)}
	if _, err := os.Stat(at.root); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no directory %s: nothing has been loaded yet, or WAREHOUSE_URL, WAREHOUSE_DATASET (DATA_DIR) name another place", at.root)
	} else if err != nil {
		return nil, err
	}
	return readStore(ctx, logReader{at}, dataset, dir, logReader{at}.glob, nil)
}

// readBucket shows files of a bucket: those of a table that is asked for are copied to the system's directory for temporary
// files, until Close. So DuckDB needs no extension and no credentials.
func readBucket(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	to, err := destinations[u.Scheme](ctx, u, dataset)
	if err != nil {
		return nil, err
	}
	log := logReader{to.(*files).store}
	dir, err := os.MkdirTemp("", "tilestream-reader-")
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	clean := func() error { return errors.Join(to.Close(), os.RemoveAll(dir)) }
	have := func(ctx context.Context, table string) (bool, error) {
		return log.download(ctx, table, filepath.Join(dir, element(dataset)))
	}
	r, err := readStore(ctx, log, dataset, dir, have, clean)
	if err != nil {
		return nil, errors.Join(err, clean())
	}
	return r, nil
}

// readStore reads the files of tables in dir, where have puts them; it tells whether there are any. clean may be nil.
func readStore(ctx context.Context, log logReader, dataset, dir string, have func(ctx context.Context, table string) (bool, error), clean func() error) (*Reader, error) {
	options := readerOptions()
	options.Set("temp_directory", filepath.Join(os.TempDir(), "tilestream-reader-"+rand.Text())) // to find the newest versions it spills
	connector, err := duckdb.NewConnector("?"+options.Encode(), nil)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	closes := db.Close
	if clean != nil {
		closes = func() error { return errors.Join(db.Close(), clean()) }
	}
	return &Reader{db: db, dataset: dataset, close: closes, dialect: duckDialect, how: reading{
		begin: duckReadOnly,
		from: func(ctx context.Context, _ *View, t Table) (string, error) {
			if some, err := have(ctx, t.Name); err != nil || !some {
				return "", err
			}
			if t.Key == "" { // every version
				return filesIn(dir, dataset, t.Name), nil
			}
			return "(" + FilesQuery(dir, dataset, t) + ")", nil
		},
		pages:  filesPages,
		ledger: log.ledger,
		loads:  log.loads,
		settle: log.settle,
	}}, nil
}

// filesPages cuts a table by a hash of its keys, so that all versions of one are in the same part.
func filesPages(ctx context.Context, v *View, t Table, from string) ([]string, error) {
	var n int64
	if err := v.conn.QueryRowContext(ctx, `SELECT count(*) FROM `+from).Scan(&n); err != nil {
		return nil, err
	}
	const page = 5 * duckPage // each part reads the keys of all files
	parts := n/page + 1
	pages := make([]string, parts)
	for i := range pages {
		pages[i] = fmt.Sprintf("hash(%s) %% %d = %d", duckQuote(t.Key), parts, i)
	}
	return pages, nil
}

// filesIn is all versions in the files of a table.
func filesIn(dir, dataset, table string) string {
	pattern := globbed(filepath.ToSlash(dir)) + "/" + path.Join(element(dataset), element(table)) + "/*/*.parquet"
	return "read_parquet(" + duckLiteral(pattern) + ", union_by_name = true, hive_partitioning = false)"
}
