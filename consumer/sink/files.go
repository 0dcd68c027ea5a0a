package sink

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// files is a warehouse of Parquet files in a directory or in a part of a bucket. Every version of a row is kept; FilesQuery finds the newest. How
// a write becomes visible, why every file that readers can see is committed and what a crash leaves: DESIGN.md, Files.
type files struct {
	store store

	mu       sync.Mutex
	logs     map[logKey]*txlog
	prepared map[string]bool // names of schema files
}

func openFiles(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	dir, err := localPath(u)
	if err != nil {
		return nil, err
	}
	d := disk{root: dir + "/" + element(dataset)}
	// A directory that cannot be made is a mistake in the configuration: better known now than at the first batch.
	if err := d.mkdir("."); err != nil {
		return nil, err
	}
	return newFiles(d), nil
}

func newFiles(s store) *files {
	return &files{store: s, logs: map[logKey]*txlog{}, prepared: map[string]bool{}}
}

func newAttempt() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (f *files) log(k logKey) *txlog {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.logs[k]
	if !ok {
		l = &txlog{store: f.store, key: k}
		f.logs[k] = l
	}
	return l
}

// Next also finishes what crashed writers of the partitions' logs have left: when it returns, all that the offsets cover
// is visible.
func (f *files) Next(ctx context.Context, ps []Partition) (map[Partition]int64, error) {
	next := make(map[Partition]int64, len(ps))
	byLog := map[logKey][]Partition{}
	for _, p := range ps {
		byLog[p.log()] = append(byLog[p.log()], p)
	}
	for k, ps := range byLog {
		l := f.log(k)
		l.mu.Lock()
		err := l.sweep(ctx)
		head := l.head
		l.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("ledger of %s: %w", k.topic, err)
		}
		for _, p := range ps {
			next[p] = head.next(p.ID)
		}
	}
	return next, nil
}

// Write stages the rows where no reader looks, appends a commit to the log, and moves the files to where readers look.
// The middle step is the one that counts. The batch's ranges are of one topic. Every row counts as inserted.
func (f *files) Write(ctx context.Context, b Batch) (Stats, error) {
	w, err := f.begin(b)
	if err != nil {
		return Stats{}, fmt.Errorf("write %s: %w", b.Table.Name, err)
	}
	if b.Rows != nil {
		if err := readable(b.Rows, b.Table.Key); err != nil {
			return Stats{}, err
		}
	}
	if err := w.run(ctx, b); err != nil {
		return Stats{}, fmt.Errorf("write %s: %w", b.Table.Name, err)
	}
	return Stats{Inserted: w.commit.Rows}, nil
}

// write is one Write on its way.
type write struct {
	log    *txlog
	commit commit
	staged pending
}

func (f *files) begin(b Batch) (*write, error) {
	if len(b.Ranges) == 0 {
		return nil, errors.New("the batch has no ranges")
	}
	k := b.Ranges[0].log()
	c := commit{Format: commitFormat, Attempt: newAttempt(), Cluster: k.cluster, Group: k.group, Topic: k.topic, LoadID: b.ID,
		Table: b.Table.Name, Bytes: b.Bytes, StartedAt: time.Now().UTC().Truncate(time.Millisecond), Files: []dataFile{}}
	if b.Rows != nil {
		c.Rows = b.Rows.NumRows()
	}
	seen := map[int32]bool{}
	for _, r := range b.Ranges {
		if r.log() != k {
			return nil, fmt.Errorf("the batch has ranges of %s and %s: files commit one topic and group at a time", k.topic, r.Topic)
		}
		if r.From < 0 || r.To < 0 || r.To < r.From && b.Rows != nil || seen[r.ID] {
			return nil, fmt.Errorf("the batch's range of partition %d, %d to %d, goes back with rows or is not the only one", r.ID, r.From, r.To)
		}
		seen[r.ID] = true
		c.Ranges = append(c.Ranges, commitRange{r.ID, r.From, r.To})
	}
	mark := c.Ranges[0]
	if i := slices.IndexFunc(c.Ranges, func(r commitRange) bool { return r.To > r.From }); i >= 0 {
		mark = c.Ranges[i] // one that moves: that it has moved settles what a crash leaves
	}
	return &write{log: f.log(k), commit: c, staged: pending{attempt: c.Attempt, partition: mark.Partition, from: mark.From}}, nil
}

func (w *write) run(ctx context.Context, b Batch) error {
	w.log.mu.Lock()
	err := w.log.stands(ctx, w.commit.Ranges)
	w.staged.seq = w.log.head.Seq + 1
	w.log.mu.Unlock()
	if err != nil {
		return err
	}
	if err = w.stage(ctx, b); err == nil {
		temp := w.staged
		temp.part = commitPart
		w.commit, err = w.log.commit(ctx, w.commit, temp)
	}
	if err != nil {
		if !errors.Is(err, errUnsure) {
			ctx, cancel := afterwards(ctx)
			defer cancel()
			err = errors.Join(err, w.discard(ctx))
		}
		return err
	}
	// Committed: from here on the context counts no more.
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err := w.log.publish(ctx, w.commit, w.staged); err != nil {
		return err
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	_ = w.log.settle(ctx) // of others' writes: what fails stays, and fails the next Next
	return nil
}

// afterwards is a context for what has to be done even if the caller waits no more. What it leaves, the next Next finishes.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// stage writes the rows, a file for each date of extraction.
func (w *write) stage(ctx context.Context, b Batch) error {
	if w.commit.Rows == 0 {
		return nil
	}
	ranges, err := json.Marshal(w.commit.Ranges)
	if err != nil {
		return err
	}
	dates := byDate(b.Rows)
	about := []string{"tilestream.table", b.Table.Name, "tilestream.load_id", b.ID, "tilestream.group", w.commit.Group, "tilestream.topic", w.commit.Topic, "tilestream.ranges", string(ranges)}
	if b.Table.Mode != Upsert {
		about = append(about, modeMark, string(b.Table.Mode)) // compact must not take its versions for superseded ones
	}
	for i, date := range slices.Sorted(maps.Keys(dates)) {
		file := dataFile{date: date}
		rows := counting(b.Rows, dates[date], &file.Rows)
		file.Bytes, err = w.log.store.create(ctx, w.log.pendingName(w.staged.of(i)), func(out io.Writer) error {
			return writeParquet(ctx, out, b.Rows.Schema(), rows, about...)
		})
		if err != nil {
			return fmt.Errorf("write Parquet: %w", err)
		}
		w.commit.Files = append(w.commit.Files, file)
	}
	// A commit that survives a power cut must find its files.
	return w.log.store.sync(ctx, path.Dir(w.log.pendingName(w.staged)))
}

func (w *write) discard(ctx context.Context) error {
	var errs []error
	for i := range w.commit.Files {
		errs = append(errs, w.log.store.remove(ctx, w.log.pendingName(w.staged.of(i))))
	}
	return errors.Join(errs...)
}

// run of rows: from, up to and not including, to.
type run struct{ from, to int64 }

// byDate cuts the rows into runs of one date of extraction. Rows without that time have noDate.
func byDate(rows arrow.RecordBatch) map[string][]run {
	dates := map[string][]run{}
	var at *array.Timestamp
	if i := rows.Schema().FieldIndices("_extracted_at"); len(i) == 1 {
		at, _ = rows.Column(i[0]).(*array.Timestamp)
	}
	if at == nil {
		return map[string][]run{noDate: {{0, rows.NumRows()}}}
	}
	same := func(i, j int) bool {
		return at.IsNull(i) == at.IsNull(j) && (at.IsNull(i) || day(at.Value(i)) == day(at.Value(j)))
	}
	for i := 0; i < at.Len(); {
		from := i
		for i++; i < at.Len() && same(from, i); i++ {
		}
		date := noDate
		if at.IsValid(from) {
			date = at.Value(from).ToTime(arrow.Millisecond).Format(time.DateOnly)
		}
		dates[date] = append(dates[date], run{int64(from), int64(i)})
	}
	return dates
}

// day numbers the days of UTC, from that of the first time that is readable.
func day(t arrow.Timestamp) int64 { return int64(t-firstTime) / (24 * time.Hour).Milliseconds() }

// counting yields the runs as slices, which copy nothing, and counts their rows.
func counting(rows arrow.RecordBatch, runs []run, n *int64) iter.Seq[arrow.RecordBatch] {
	return func(yield func(arrow.RecordBatch) bool) {
		for _, r := range runs {
			part := rows.NewSlice(r.from, r.to)
			*n += part.NumRows()
			if more := yield(part); !more {
				part.Release()
				return
			}
			part.Release()
		}
	}
}

// Close releases the store.
func (f *files) Close() error { return f.store.Close() }
