//go:build cgo

package sink

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go/table"
	"github.com/duckdb/duckdb-go/v2"
)

// icebergReader shows tables through a DuckDB in memory, which reads the files that the current snapshot of a table lists. Those that are
// not on this machine are copied to dir, until Close.
type icebergReader struct {
	*icebergSink
	dir string
}

// icebergDuck is DuckDB's SQL with the names that columns have in the tables.
var icebergDuck = func() *dialect {
	d := *duckDialect
	d.legal, d.longest, d.fold = icebergNames.legal, icebergNames.longest, icebergNames.fold
	return &d
}()

// icebergFile is a column that names a row's file. Of a record that was loaded twice, it decides where times do not.
const icebergFile = "_tilestream_file"

func readIceberg(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	to, err := destinations[u.Scheme](ctx, u, dataset)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tilestream-reader-")
	if err != nil {
		return nil, errors.Join(err, to.Close())
	}
	s := icebergReader{to.(*icebergSink), dir}
	clean := func() error { return errors.Join(to.Close(), os.RemoveAll(dir)) }
	options := readerOptions()
	options.Set("temp_directory", filepath.Join(dir, "spill"))
	connector, err := duckdb.NewConnector("?"+options.Encode(), nil)
	if err != nil {
		return nil, errors.Join(err, clean())
	}
	db := sql.OpenDB(connector)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close(), clean())
	}
	return &Reader{db: db, dataset: dataset, dialect: icebergDuck, close: func() error { return errors.Join(db.Close(), clean()) }, how: reading{
		begin: duckReadOnly,
		from:  s.from,
		pages: filesPages,
		ledger: func(ctx context.Context) (map[Partition]int64, error) {
			return s.ledgers(s.scope(ctx))
		},
		loads: s.loads,
	}}, nil
}

func (s icebergReader) from(ctx context.Context, _ *View, t Table) (string, error) {
	ctx = s.scope(ctx)
	have, err := s.load(ctx, s.ident(t.Name))
	if err != nil || have == nil {
		return "", err
	}
	files, err := s.files(ctx, have)
	if err != nil {
		return "", err
	}
	var columns []string
	for _, f := range have.Schema().Fields() {
		column := duckQuote(f.Name)
		if k, ok := icebergKind(f); ok {
			column = "CAST(" + column + " AS " + duckDialect.types[k] + ") AS " + column
		}
		columns = append(columns, column)
	}
	rows := fmt.Sprintf("(SELECT %s, %s FROM read_parquet([%s], union_by_name = true, hive_partitioning = false, filename = %s))",
		strings.Join(columns, ", "), duckQuote(icebergFile), strings.Join(files, ", "), duckLiteral(icebergFile))
	if t.Key != "" {
		rows = "(" + newestOf(rows, icebergFile, t) + ")"
	}
	return "(SELECT * EXCLUDE (" + duckQuote(icebergFile) + ") FROM " + rows + ")", nil
}

// files are the literals of the names of the table's files here, and of one that has no rows and every column.
func (s icebergReader) files(ctx context.Context, t *table.Table) ([]string, error) {
	tasks, err := t.Scan().PlanFiles(ctx)
	if err != nil {
		return nil, err
	}
	columns, err := s.columns(ctx, t)
	if err != nil {
		return nil, err
	}
	files := []string{duckLiteral(globbed(columns))}
	for _, task := range tasks {
		if len(task.DeleteFiles)+len(task.EqualityDeleteFiles)+len(task.DeletionVectorFiles) > 0 {
			return nil, fmt.Errorf("another engine has deleted rows of %s without writing its files anew: have that engine rewrite the data files", strings.Join(t.Identifier(), "."))
		}
		name, err := s.local(ctx, t, task.File.FilePath())
		if err != nil {
			return nil, err
		}
		files = append(files, duckLiteral(globbed(name)))
	}
	return files, nil
}

func (s icebergReader) columns(ctx context.Context, t *table.Table) (name string, err error) {
	name = filepath.Join(s.dir, fmt.Sprintf("%s-%d-%s.parquet", t.Metadata().TableUUID(), t.Schema().ID, rand.Text()))
	var fields []arrow.Field
	for _, f := range t.Schema().Fields() {
		typ, err := table.TypeToArrowType(f.Type, false, false)
		if err != nil {
			return "", err
		}
		fields = append(fields, arrow.Field{Name: f.Name, Type: typ, Nullable: true})
	}
	out, err := os.Create(name)
	if err != nil {
		return "", err
	}
	none := func(func(arrow.RecordBatch) bool) {}
	return name, errors.Join(writeParquet(ctx, out, arrow.NewSchema(fields, nil), none), out.Close())
}

// local is the name of a data file on this machine. A file never changes.
func (s icebergReader) local(ctx context.Context, t *table.Table, at string) (name string, err error) {
	if there, ok := strings.CutPrefix(at, "file://"); ok || strings.HasPrefix(at, "/") {
		return there, nil
	}
	name = filepath.Join(s.dir, t.Metadata().TableUUID().String()+"-"+path.Base(at))
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	from, err := t.FS(ctx)
	if err != nil {
		return "", err
	}
	in, err := from.Open(at)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", at, err)
	}
	defer in.Close()
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return "", fmt.Errorf("copy %s here to read it: %w", at, errors.Join(err, os.Remove(name)))
	}
	return name, nil
}

func (s icebergReader) ledgers(ctx context.Context) (map[Partition]int64, error) {
	logs := map[logKey]icebergLog{}
	for t, err := range s.all(ctx) {
		var ledger icebergLedger
		if err == nil {
			ledger, err = ledgerOf(t)
		}
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		for _, l := range ledger {
			if l.Epoch > logs[l.key()].Epoch {
				logs[l.key()] = l
			}
		}
	}
	out := map[Partition]int64{}
	for k, l := range logs {
		for id, next := range l.Next {
			out[Partition{k.cluster, k.group, k.topic, id}] = next
		}
	}
	return out, nil
}

// loads yields what the snapshots say that have not been expired.
func (s icebergReader) loads(ctx context.Context, name string, n int) iter.Seq2[Load, error] {
	return func(yield func(Load, error) bool) {
		loads, err := s.allLoads(s.scope(ctx), name)
		if err != nil {
			yield(Load{}, fmt.Errorf("read the loads: %w", err))
			return
		}
		if n > 0 {
			loads = loads[:min(n, len(loads))]
		}
		for _, l := range loads {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func (s icebergReader) allLoads(ctx context.Context, name string) ([]Load, error) {
	var loads []Load
	for t, err := range s.all(ctx) {
		if err != nil {
			return nil, err
		}
		ident := t.Identifier()
		its := ident[len(ident)-1]
		if name != "" && icebergNames.name(name) != its {
			continue
		}
		for _, snapshot := range t.Metadata().Snapshots() {
			text, ok := about(&snapshot)[loadMark]
			if !ok {
				continue
			}
			var told icebergLoad
			if err := json.Unmarshal([]byte(text), &told); err != nil {
				return nil, fmt.Errorf("%s of a snapshot of %s: %w", loadMark, its, err)
			}
			l := Load{ID: told.ID, Table: its, Rows: told.Rows, Stats: Stats{Inserted: told.Rows}, Bytes: told.Bytes, Began: told.StartedAt,
				Took: time.UnixMilli(snapshot.TimestampMs).Sub(told.StartedAt)}
			for _, r := range told.Ranges {
				l.Ranges = append(l.Ranges, Range{Partition{r.Cluster, r.Group, r.Topic, r.Partition}, r.From, r.To})
			}
			loads = append(loads, l)
		}
	}
	slices.SortStableFunc(loads, func(a, b Load) int { return b.Began.Add(b.Took).Compare(a.Began.Add(a.Took)) })
	return loads, nil
}
