package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	"tilestream/internal/ops"
)

// commit is one object of a log. Creating it where there is none is what commits a load: its number is the fence, its
// ledger says how far every partition of the log has come. As rows, these objects are the table _tilestream_loads.
type commit struct {
	Format      int           `json:"format"`
	Seq         int64         `json:"seq"` // 1, 2, 3, ... without a gap
	Attempt     string        `json:"attempt"`
	Cluster     string        `json:"cluster"`
	Group       string        `json:"group"`
	Topic       string        `json:"topic"`
	LoadID      string        `json:"load_id"`
	Table       string        `json:"table"`
	Rows        int64         `json:"rows"`
	Bytes       int64         `json:"bytes"` // as Kafka held the records
	StartedAt   time.Time     `json:"started_at"`
	CommittedAt time.Time     `json:"committed_at"`
	Ranges      []commitRange `json:"ranges"`
	Files       []dataFile    `json:"files"`
	Ledger      []ledgerEntry `json:"ledger"` // all partitions of the log, in order
}

type commitRange struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"`
}

type dataFile struct {
	Path  string `json:"path"` // below the dataset's directory
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
	date  string
}

type ledgerEntry struct {
	Partition int32 `json:"partition"`
	Next      int64 `json:"next"`
}

func (c commit) next(partition int32) int64 {
	if i, ok := slices.BinarySearchFunc(c.Ledger, partition, byPartition); ok {
		return c.Ledger[i].Next
	}
	return 0
}

func byPartition(e ledgerEntry, partition int32) int { return int(e.Partition) - int(partition) }

// moved returns the ledger with each range's partition at its end.
func (c commit) moved(ranges []commitRange) []ledgerEntry {
	out := slices.Clone(c.Ledger)
	for _, r := range ranges {
		i, ok := slices.BinarySearchFunc(out, r.Partition, byPartition)
		if !ok {
			out = slices.Insert(out, i, ledgerEntry{Partition: r.Partition})
		}
		out[i].Next = r.To
	}
	return out
}

// txlog is the log of one topic's loads by one group. head is the newest commit that this process knows: another one may
// have committed since, which creating head's successor finds out.
type txlog struct {
	store store
	key   logKey

	mu        sync.Mutex
	head      commit
	known     bool // head has been read
	leftovers []leftover
}

func (l *txlog) pendingName(p pending) string { return path.Join(pendingDir, l.key.dir(), p.String()) }

// stands returns nil where the ledger stands at the start of every range, or ErrFenced. The caller holds mu.
func (l *txlog) stands(ctx context.Context, ranges []commitRange) error {
	if l.known && l.fenced(ranges) == nil {
		return nil
	}
	if err := l.refresh(ctx); err != nil {
		return err
	}
	return l.fenced(ranges)
}

func (l *txlog) fenced(ranges []commitRange) error {
	for _, r := range ranges {
		if next := l.head.next(r.Partition); next != r.From {
			return fmt.Errorf("%w: partition %d of %s stands at offset %d, the batch starts at %d", ErrFenced, r.Partition, l.key.topic, next, r.From)
		}
	}
	return nil
}

// refresh reads the newest commit: two listings and one object, however long the log is. The caller holds mu.
func (l *txlog) refresh(ctx context.Context) error {
	l.known = false
	seq, err := newestIn(ctx, l.store, path.Join(loadsDir, l.key.dir()))
	if err != nil {
		return fmt.Errorf("find the newest commit: %w", err)
	}
	l.head = commit{}
	if seq > 0 {
		l.head, err = l.read(ctx, seq)
	}
	l.known = err == nil
	return err
}

// newestIn is the greatest number of a log's objects; 0 where it has none.
func newestIn(ctx context.Context, s store, dir string) (seq int64, err error) {
	dirs, err := s.list(ctx, dir)
	if err != nil {
		return 0, err
	}
	for _, name := range slices.Backward(dirs) {
		if !commitDir.MatchString(name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		files, err := s.list(ctx, path.Join(dir, name))
		if err != nil {
			return 0, err
		}
		for _, file := range slices.Backward(files) {
			if m := commitFile.FindStringSubmatch(file); m != nil {
				return strconv.ParseInt(m[1], 10, 64)
			}
		}
		// A directory is made before its first commit: a crash can leave it empty.
	}
	return 0, nil
}

func (l *txlog) read(ctx context.Context, seq int64) (commit, error) {
	name := l.key.commitName(seq)
	text, err := l.store.read(ctx, name)
	if err != nil {
		return commit{}, fmt.Errorf("read commit: %w", err)
	}
	c, err := parseCommit(l.store.path(name), text)
	if err != nil {
		return commit{}, err
	}
	if c.Seq != seq {
		return commit{}, fmt.Errorf("commit %s has number %d in it: it was moved or copied here; restore this file, or %s", l.store.path(name), c.Seq, anotherDataset)
	}
	if have := (logKey{c.Cluster, c.Group, c.Topic}); have != l.key {
		return commit{}, fmt.Errorf("commit %s is of %q, not of %q: the file system takes both names for the same", l.store.path(name), have, l.key)
	}
	return c, nil
}

// parseCommit reads the commit object at path. A newer format may have other types: it is looked at first.
func parseCommit(path string, text []byte) (c commit, err error) {
	err = json.Unmarshal(text, &c)
	if err != nil && c.Format <= commitFormat {
		return commit{}, fmt.Errorf("commit %s is damaged: %w: restore this file, or %s", path, err, anotherDataset)
	}
	return c, ops.CheckFormat("commit "+path, c.Format, commitFormat, anotherDataset)
}

// commit appends c, whose staged files are already in place; it gives c its number, its ledger and its files their
// final names. ErrFenced and errors that are not errUnsure: c is not and will not be in the log.
func (l *txlog) commit(ctx context.Context, c commit, temp pending) (commit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		if err := l.stands(ctx, c.Ranges); err != nil {
			return c, err
		}
		c.Seq, c.Ledger = l.head.Seq+1, l.head.moved(c.Ranges)
		for i := range c.Files {
			c.Files[i].Path = dataName(c.Table, c.Files[i].date, c.Seq, c.Attempt)
		}
		c.CommittedAt = time.Now().UTC().Truncate(time.Millisecond)
		text, err := json.Marshal(c)
		if err != nil {
			return c, fmt.Errorf("encode commit: %w", err)
		}
		err = l.store.createIfAbsent(ctx, l.key.commitName(c.Seq), l.pendingName(temp), append(text, '\n'))
		switch {
		case err == nil:
			l.head = c
			return c, nil
		case errors.Is(err, fs.ErrExist):
		case errors.Is(err, fs.ErrNotExist): // a new owner takes this write for dead: the ledger must have moved
			l.known = false
			if err := l.stands(ctx, c.Ranges); err != nil {
				return c, err
			}
			fallthrough
		default:
			l.known = false
			return c, fmt.Errorf("commit: %w", err)
		}
		// Somebody has taken the number; over a network it can be this very request, sent twice.
		taken, err := l.read(ctx, c.Seq)
		if err == nil {
			err = l.refresh(ctx)
		}
		if err != nil {
			return c, fmt.Errorf("commit: %w: %w", errUnsure, err)
		}
		if taken.Attempt == c.Attempt {
			return c, nil
		}
	}
}

// publish shows the committed files to readers.
func (l *txlog) publish(ctx context.Context, c commit, staged pending) error {
	for i, f := range c.Files {
		if err := l.store.move(ctx, l.pendingName(staged.of(i)), f.Path); err != nil {
			return fmt.Errorf("publish committed file %s: %w", f.Path, err)
		}
	}
	return nil
}

// sweep reads the ledger and finishes what crashed writes have left. After it, every committed file is where readers
// look. The caller holds mu.
func (l *txlog) sweep(ctx context.Context) error {
	if err := l.refresh(ctx); err != nil {
		return err
	}
	names, err := l.store.list(ctx, path.Join(pendingDir, l.key.dir()))
	if err != nil {
		return fmt.Errorf("find files of unfinished writes: %w", err)
	}
	l.leftovers = l.leftovers[:0]
	for _, name := range names {
		if p, ok := parsePending(name); ok {
			l.leftovers = append(l.leftovers, leftover{p, p.seq})
		}
	}
	return l.settle(ctx)
}

// settle publishes each leftover whose write has been committed and removes each that never will be. A write commits
// only while the ledger stands at its From, and the ledger goes back only where nobody loads: once it has passed, a write that is
// not in the log is dead, even if its process still runs. Others stay: they may be a live writer's. The caller holds mu.
func (l *txlog) settle(ctx context.Context) error {
	var stay []leftover
	var errs []error
	for _, p := range l.leftovers {
		done, err := l.finish(ctx, &p)
		if !done {
			stay = append(stay, p)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("finish the write of %s: %w", l.store.path(l.pendingName(p.pending)), err))
		}
	}
	l.leftovers = stay
	return errors.Join(errs...)
}

// leftover is something pending, and the first commit that may be its and has not been looked at.
type leftover struct {
	pending
	look int64
}

func (l *txlog) finish(ctx context.Context, p *leftover) (done bool, err error) {
	for ; p.look <= l.head.Seq; p.look++ {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		c, err := l.read(ctx, p.look)
		if err != nil {
			return false, err
		}
		if c.Attempt == p.attempt {
			if i, err := strconv.Atoi(p.part); err == nil && i < len(c.Files) {
				err = l.store.move(ctx, l.pendingName(p.pending), c.Files[i].Path)
				return err == nil, err
			}
			err = l.store.remove(ctx, l.pendingName(p.pending)) // the commit object's temporary name
			return err == nil, err
		}
	}
	if l.head.next(p.partition) <= p.from {
		return false, nil
	}
	err = l.store.remove(ctx, l.pendingName(p.pending))
	return err == nil, err
}
