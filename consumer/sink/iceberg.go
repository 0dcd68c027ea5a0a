package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"tilestream/internal/ops"
)

// icebergSink is a warehouse of Apache Iceberg tables. Every version of a row is kept, and readers find the newest, as with files. A
// snapshot holds rows and the ledger of their topics; it is committed on condition that the table's branch is still at the snapshot
// whose ledger was read. Where the ledger is, and why: docs/iceberg.md.
type icebergSink struct {
	cat       catalog.Catalog
	namespace table.Identifier
	location  string                                // of all tables, without a / at its end; "": the catalog chooses
	scope     func(context.Context) context.Context // gives what opens files the credentials
	advice    func(error) string                    // what to do about an error of the files; "" if nothing is known
	release   func() error

	mu     sync.Mutex
	homes  map[logKey]string      // table that held a log's ledger when it was last looked at
	tables map[string]*sync.Mutex // one commit of this process at a time to each table, by name in the catalog
}

// icebergNames are names as every engine that reads Iceberg takes them: Athena and BigQuery know few characters, and Parquet files have
// another name where one begins with a digit.
var icebergNames = &dialect{longest: 120, legal: func(rune) bool { return false }, fold: func(name string) string {
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}}

func (s *icebergSink) ident(name string) table.Identifier {
	return append(slices.Clone(s.namespace), icebergNames.name(name))
}

func (s *icebergSink) lock(name string) func() {
	s.mu.Lock()
	m, ok := s.tables[name]
	if !ok {
		m = new(sync.Mutex)
		s.tables[name] = m
	}
	s.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func (s *icebergSink) explained(doing string, err error) error {
	if advice := s.advice(err); advice != "" {
		return fmt.Errorf("%s: %w: %s", doing, err, advice)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// load returns nil where there is no such table.
func (s *icebergSink) load(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	t, err := s.cat.LoadTable(ctx, ident)
	if errors.Is(err, catalog.ErrNoSuchTable) || errors.Is(err, catalog.ErrNoSuchNamespace) {
		return nil, nil
	}
	return t, err
}

// Next looks into the table that holds the ledger of a topic, or into all where that is not known.
func (s *icebergSink) Next(ctx context.Context, ps []Partition) (map[Partition]int64, error) {
	ctx = s.scope(ctx)
	next := make(map[Partition]int64, len(ps))
	ledgers := map[logKey]icebergLog{}
	for _, p := range ps {
		l, ok := ledgers[p.log()]
		if !ok {
			var err error
			if l, err = s.ledger(ctx, p.log()); err != nil {
				return nil, s.explained("ledger of "+p.Topic, err)
			}
			ledgers[p.log()] = l
		}
		next[p] = l.Next[p.ID]
	}
	return next, nil
}

// Write writes data files that no snapshot has, then commits a snapshot that has them and the ledger. The batch's ranges are of one
// topic. Every row counts as inserted.
func (s *icebergSink) Write(ctx context.Context, b Batch) (Stats, error) {
	w, err := beginIceberg(b)
	if err != nil {
		return Stats{}, fmt.Errorf("write %s: %w", b.Table.Name, err)
	}
	if b.Rows != nil {
		if err := readable(b.Rows, b.Table.Key); err != nil {
			return Stats{}, err
		}
	}
	w.icebergSink = s
	if err := w.run(s.scope(ctx)); err != nil {
		return Stats{}, s.explained("write "+b.Table.Name, err)
	}
	return Stats{Inserted: w.load.Rows}, nil
}

// icebergWrite is one Write on its way.
type icebergWrite struct {
	*icebergSink
	batch Batch
	log   logKey
	load  icebergLoad

	files  []iceberg.DataFile
	target *table.Table // whose schema the files have
}

func beginIceberg(b Batch) (*icebergWrite, error) {
	if len(b.Ranges) == 0 {
		return nil, errors.New("the batch has no ranges")
	}
	w := &icebergWrite{batch: b, log: b.Ranges[0].log(), load: icebergLoad{ID: b.ID, Bytes: b.Bytes, StartedAt: time.Now().UTC().Truncate(time.Millisecond)}}
	if b.Rows != nil {
		w.load.Rows = b.Rows.NumRows()
	}
	seen := map[int32]bool{}
	for _, r := range b.Ranges {
		if r.log() != w.log {
			return nil, fmt.Errorf("the batch has ranges of %s and %s: a snapshot moves one topic and group", w.log.topic, r.Topic)
		}
		if r.From < 0 || r.To < 0 || r.To < r.From && b.Rows != nil || seen[r.ID] {
			return nil, fmt.Errorf("the batch's range of partition %d, %d to %d, goes back with rows or is not the only one", r.ID, r.From, r.To)
		}
		seen[r.ID] = true
		w.load.Ranges = append(w.load.Ranges, loadRange{r.Cluster, r.Group, r.Topic, r.ID, r.From, r.To})
	}
	return w, nil
}

func (w *icebergWrite) run(ctx context.Context) (err error) {
	committed, unsure := false, false
	defer func() {
		if !committed && !unsure && w.files != nil {
			after, cancel := afterwards(ctx)
			defer cancel()
			err = errors.Join(err, removeDataFiles(after, w.target, w.files))
		}
	}()
	ident := w.ident(w.batch.Table.Name)
	for wait := (icebergPause{}); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		conflict, err := func() (bool, error) {
			defer w.lock(ident[len(ident)-1])()
			return w.try(ctx, ident)
		}()
		if err == nil && !conflict {
			committed = true
			return nil
		}
		if errors.Is(err, errNoTable) { // as a batch without rows may find it
			if err := w.prepare(ctx, w.batch.Table); err != nil {
				return err
			}
			continue
		}
		if unsure = errors.Is(err, errUnsure); err != nil {
			return err
		}
		if err := wait.conflict(ctx); err != nil {
			return err
		}
	}
}

var errNoTable = errors.New("there is no such table")

// try reads the ledger, writes the files if that has not been done, and commits. conflict: somebody else has committed, and nothing
// is done.
func (w *icebergWrite) try(ctx context.Context, ident table.Identifier) (conflict bool, err error) {
	t, err := w.icebergSink.load(ctx, ident)
	if err != nil {
		return false, err
	}
	if t == nil {
		return false, errNoTable
	}
	ledger, err := ledgerOf(t)
	if err != nil {
		return false, err
	}
	log, ok := ledger.find(w.log)
	if !ok || log.Moved != "" {
		if log, conflict, err = w.claim(ctx, w.log, ident[len(ident)-1]); conflict || err != nil {
			return conflict, err
		}
	}
	next, err := log.moved(w.load.Ranges)
	if err != nil {
		return false, err
	}
	if err := w.stage(ctx, t); err != nil {
		return false, err
	}
	conflict, err = commitIceberg(ctx, w.cat, t, ledger.with(next), &w.load, func(tx *table.Transaction, about iceberg.Properties) error {
		if len(w.files) == 0 {
			return tx.AddFiles(ctx, nil, about, false) // a snapshot without files: only that moves the branch
		}
		return tx.AddDataFiles(ctx, w.files, about, table.WithoutAutoNameMapping(), table.WithoutDuplicateCheck())
	})
	if err == nil && !conflict {
		w.mu.Lock()
		w.homes[w.log] = ident[len(ident)-1]
		w.mu.Unlock()
	}
	return conflict, err
}

// stage writes the rows as data files of the table, once; again where the table's schema has become another one since.
func (w *icebergWrite) stage(ctx context.Context, t *table.Table) error {
	if w.load.Rows == 0 || w.files != nil && w.target.Schema().ID == t.Schema().ID && w.target.Metadata().TableUUID() == t.Metadata().TableUUID() {
		return nil
	}
	if w.files != nil {
		if err := removeDataFiles(ctx, w.target, w.files); err != nil {
			return err
		}
		w.files = nil
	}
	rows, err := icebergRows(t, w.batch.Rows)
	if err != nil {
		return err
	}
	defer rows.Release()
	w.target = t
	w.files, err = writeDataFiles(ctx, t, rows.Schema(), func(yield func(arrow.RecordBatch, error) bool) {
		rows.Retain()
		yield(rows, nil)
	})
	return err
}

// writeDataFiles writes rows of a part of the table's schema.
func writeDataFiles(ctx context.Context, t *table.Table, schema *arrow.Schema, rows iter.Seq2[arrow.RecordBatch, error]) (files []iceberg.DataFile, err error) {
	for f, err := range table.WriteRecords(ctx, t, schema, rows, table.WithMaxWriteWorkers(1), table.WithRecordBatchBufferSize(2)) {
		if err != nil {
			after, cancel := afterwards(ctx)
			defer cancel()
			return nil, errors.Join(fmt.Errorf("write Parquet: %w", err), removeDataFiles(after, t, files))
		}
		files = append(files, f)
	}
	return files, nil
}

func removeDataFiles(ctx context.Context, t *table.Table, files []iceberg.DataFile) error {
	if len(files) == 0 {
		return nil
	}
	at, err := t.FS(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		if err := at.Remove(f.FilePath()); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// icebergPause waits between tries to commit: somebody else was faster, or holds a version of the metadata.
type icebergPause struct {
	tries int
	since time.Time
}

func (p *icebergPause) conflict(ctx context.Context) error {
	if p.tries++; p.tries == 1 {
		p.since = time.Now()
	}
	if time.Since(p.since) > 5*time.Minute {
		return fmt.Errorf("the table has been changed by others at each of %d tries in 5 minutes: it has too many writers, or its catalog accepts nothing", p.tries)
	}
	most := min(time.Duration(p.tries)*20*time.Millisecond, time.Second)
	return ops.Sleep(ctx, rand.N(most))
}

// Close releases connections.
func (s *icebergSink) Close() error { return s.release() }
