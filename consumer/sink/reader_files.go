package sink

import (
	"context"
	"fmt"
	"iter"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"tilestream/internal/ops"
)

// logReader reads the logs of a warehouse of files.
type logReader struct{ store }

// glob tells whether a table has files.
func (s logReader) glob(ctx context.Context, table string) (bool, error) {
	days, err := s.list(ctx, element(table))
	if err != nil {
		return false, err
	}
	for _, day := range days {
		files, err := s.list(ctx, path.Join(element(table), day))
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, ".parquet") }) {
			return true, nil
		}
	}
	return false, nil
}

// logs lists the directories of all logs.
func (s logReader) logs(ctx context.Context) (dirs []string, err error) {
	dirs = []string{loadsDir}
	for range 3 { // cluster, group, topic
		var deeper []string
		for _, dir := range dirs {
			names, err := s.list(ctx, dir)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				deeper = append(deeper, path.Join(dir, name))
			}
		}
		dirs = deeper
	}
	return dirs, nil
}

// ledger is what the newest commits of all logs say. Of the newest load of a log, files may be about to become visible.
func (s logReader) ledger(ctx context.Context) (map[Partition]int64, error) {
	logs, err := s.logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	ledger := map[Partition]int64{}
	for _, log := range logs {
		for c, err := range s.commits(ctx, log) {
			if err != nil {
				return nil, fmt.Errorf("read the ledger: %w", err)
			}
			for _, e := range c.Ledger {
				ledger[Partition{c.Cluster, c.Group, c.Topic, e.Partition}] = e.Next
			}
			break
		}
	}
	return ledger, nil
}

// settle waits until nothing that is committed is pending any more.
func (s logReader) settle(ctx context.Context) error {
	const tries, pause = 25, 200 * time.Millisecond
	for range tries {
		n, err := s.committedPending(ctx)
		if err != nil || n == 0 {
			return err
		}
		if err := ops.Sleep(ctx, pause); err != nil {
			return err
		}
	}
	return fmt.Errorf("in %s are files of committed loads that a crash has kept from becoming visible: start the consumer, which finishes them, then try again",
		s.path(pendingDir))
}

// committedPending counts the files that a commit names and readers do not see yet.
func (s logReader) committedPending(ctx context.Context) (n int, err error) {
	logs, err := s.logs(ctx)
	if err != nil {
		return 0, err
	}
	for _, log := range logs {
		names, err := s.list(ctx, path.Join(pendingDir, strings.TrimPrefix(log, loadsDir+"/")))
		if err != nil {
			return 0, err
		}
		attempts := map[string]bool{}
		oldest := int64(math.MaxInt64)
		for _, name := range names {
			if p, ok := parsePending(name); ok && p.part != commitPart {
				attempts[p.attempt] = true
				oldest = min(oldest, p.seq)
			}
		}
		if len(attempts) == 0 {
			continue
		}
		for c, err := range s.commits(ctx, log) {
			if err != nil {
				return 0, err
			}
			if c.Seq < oldest {
				break
			}
			if attempts[c.Attempt] {
				n++
			}
		}
	}
	return n, nil
}

// commits yields the commits of a log, newest first.
func (s logReader) commits(ctx context.Context, log string) iter.Seq2[commit, error] {
	return func(yield func(commit, error) bool) {
		dirs, err := s.list(ctx, log)
		if err != nil {
			yield(commit{}, err)
			return
		}
		for _, dir := range slices.Backward(dirs) {
			if !commitDir.MatchString(dir) {
				continue
			}
			names, err := s.list(ctx, path.Join(log, dir))
			if err != nil {
				yield(commit{}, err)
				return
			}
			for _, name := range slices.Backward(names) {
				if !commitFile.MatchString(name) {
					continue
				}
				c, err := s.commit(ctx, path.Join(log, dir, name))
				if !yield(c, err) || err != nil {
					return
				}
			}
		}
	}
}

func (s logReader) commit(ctx context.Context, name string) (c commit, err error) {
	text, err := s.read(ctx, name)
	if err != nil {
		return c, err
	}
	return parseCommit(s.path(name), text)
}

// loads yields commits with rows as View.Loads does. All logs are merged by the times of their commits.
func (s logReader) loads(ctx context.Context, table string, n int) iter.Seq2[Load, error] {
	return func(yield func(Load, error) bool) {
		logs, err := s.logs(ctx)
		if err != nil {
			yield(Load{}, fmt.Errorf("read the loads: %w", err))
			return
		}
		type head struct {
			commit
			next func() (commit, error, bool)
		}
		var heads []head
		for _, log := range logs {
			next, stop := iter.Pull2(s.commits(ctx, log))
			defer stop()
			heads = append(heads, head{next: next})
		}
		advance := func(h *head) (ok bool, err error) {
			for {
				if h.commit, err, ok = h.next(); !ok || err != nil {
					return false, err
				}
				if h.Rows > 0 && (table == "" || h.Table == table) {
					return true, nil
				}
			}
		}
		left := heads[:0]
		for _, h := range heads {
			if ok, err := advance(&h); err != nil {
				yield(Load{}, fmt.Errorf("read the loads: %w", err))
				return
			} else if ok {
				left = append(left, h)
			}
		}
		for told := 0; len(left) > 0 && (n <= 0 || told < n); told++ {
			at := 0
			for i := range left {
				if left[i].CommittedAt.After(left[at].CommittedAt) {
					at = i
				}
			}
			if !yield(left[at].load(), nil) {
				return
			}
			if ok, err := advance(&left[at]); err != nil {
				yield(Load{}, fmt.Errorf("read the loads: %w", err))
				return
			} else if !ok {
				left = slices.Delete(left, at, at+1)
			}
		}
	}
}

func (c commit) load() Load {
	l := Load{ID: c.LoadID, Table: c.Table, Rows: c.Rows, Stats: Stats{Inserted: c.Rows}, Bytes: c.Bytes, Began: c.StartedAt, Took: c.CommittedAt.Sub(c.StartedAt)}
	for _, r := range c.Ranges {
		l.Ranges = append(l.Ranges, Range{Partition{c.Cluster, c.Group, c.Topic, r.Partition}, r.From, r.To})
	}
	return l
}
