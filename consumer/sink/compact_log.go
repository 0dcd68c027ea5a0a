package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"tilestream/internal/ops"
)

// compactionsDir has a log for each table. As with the ledger, creating the next number where there is none is what counts, so
// that a file is replaced once, whoever else compacts; and nothing of it is removed, since a number must not be taken twice.
const compactionsDir = "_tilestream_compactions"

// compactions is one object of a table's log: every compaction that is not over yet.
type compactions struct {
	Format  int          `json:"format"`
	Seq     int64        `json:"seq"` // 1, 2, 3, ... without a gap
	Attempt string       `json:"attempt"`
	Table   string       `json:"table"`
	At      time.Time    `json:"at"`
	Open    []compaction `json:"open"`
}

// compaction replaces files by one that has the rows of them which are still wanted.
type compaction struct {
	ID       string    `json:"id"`
	Staged   string    `json:"staged,omitempty"` // where the file is until it is published
	File     *dataFile `json:"file,omitempty"`   // nil: no row was wanted
	Replaces []string  `json:"replaces"`         // paths below the dataset's directory

	// PublishedAt is a time at which readers saw the file for certain; until some time after that they see what it replaces, too.
	PublishedAt *time.Time `json:"published_at,omitempty"`
}

// compactionLog is the log of one table, as far as this process knows it.
type compactionLog struct {
	store store
	table string
	now   func() time.Time

	known bool
	head  compactions
	taken map[string]bool // all that is replaced in any object that was read
}

func (l *compactionLog) dir() string { return path.Join(compactionsDir, element(l.table)) }

// refresh reads the newest object and, but for the first time, all before it that have not been read.
func (l *compactionLog) refresh(ctx context.Context) error {
	seq, err := newestIn(ctx, l.store, l.dir())
	if err != nil {
		return fmt.Errorf("find the compactions: %w", err)
	}
	if !l.known {
		l.known, l.taken, l.head = true, map[string]bool{}, compactions{Seq: max(seq-1, 0)}
	}
	for l.head.Seq < seq {
		next, err := l.read(ctx, l.head.Seq+1)
		if err != nil {
			return err
		}
		l.see(next)
	}
	return nil
}

func (l *compactionLog) see(next compactions) {
	l.head = next
	for _, c := range next.Open {
		for _, name := range c.Replaces {
			l.taken[name] = true
		}
	}
}

func (l *compactionLog) read(ctx context.Context, seq int64) (c compactions, err error) {
	name := numbered(l.dir(), seq)
	text, err := l.store.read(ctx, name)
	if err != nil {
		return c, fmt.Errorf("read the compactions: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil && c.Format <= compactionFormat {
		return c, fmt.Errorf("%s is damaged: %w: restore this file", l.store.path(name), err)
	}
	if err := ops.CheckFormat(l.store.path(name), c.Format, compactionFormat, anotherDataset); err != nil {
		return c, err
	}
	if c.Seq != seq || c.Table != l.table {
		return c, fmt.Errorf("%s has table %q and number %d in it: it was moved or copied here; restore this file", l.store.path(name), c.Table, c.Seq)
	}
	return c, nil
}

// change appends what to makes of the open compactions; it is asked again whenever somebody else was faster, and nil is no
// change. An error that is errUnsure: it may have been appended.
func (l *compactionLog) change(ctx context.Context, to func(open []compaction) []compaction) error {
	for {
		open := to(slices.Clone(l.head.Open))
		if open == nil {
			return nil
		}
		next := compactions{Format: compactionFormat, Seq: l.head.Seq + 1, Attempt: newAttempt(), Table: l.table, At: l.now().UTC().Truncate(time.Millisecond), Open: open}
		text, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("encode the compactions: %w", err)
		}
		err = l.store.createIfAbsent(ctx, numbered(l.dir(), next.Seq), stagedName(l.table, l.now(), next.Attempt), append(text, '\n'))
		if err == nil {
			l.see(next)
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("record the compaction: %w", err)
		}
		// Somebody has taken the number; over a network it can be this very request, sent twice.
		if err := l.refresh(ctx); err != nil {
			return fmt.Errorf("record the compaction: %w: %w", errUnsure, err)
		}
		taken := l.head
		if taken.Seq != next.Seq {
			if taken, err = l.read(ctx, next.Seq); err != nil {
				return fmt.Errorf("record the compaction: %w: %w", errUnsure, err)
			}
		}
		if taken.Attempt == next.Attempt {
			return nil
		}
	}
}

// parallel calls do for each item, some at a time, until one fails: what is waited for is mostly a network.
func parallel[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	const most = 8
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	next := make(chan T)
	for range min(most, len(items)) {
		wg.Go(func() {
			for item := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := do(ctx, item); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
