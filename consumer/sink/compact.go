package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"tilestream/internal/ops"
)

// Compactor makes few large files of the many small ones of a warehouse of files, and drops superseded rows. It may run beside loaders,
// readers and other compactors, and be killed anywhere; how: DESIGN.md, Compaction.
type Compactor struct {
	store  store
	now    func() time.Time
	target int64
}

// filesSchemes are the warehouses of files.
var filesSchemes = []string{"azblob", "file", "gs", "s3"}

// OpenCompactor opens the warehouse of files that the URL names; nothing is created. Another kind of warehouse, and a URL that cannot
// be used, are an *ops.UsageError.
func OpenCompactor(ctx context.Context, rawURL, dataset string) (*Compactor, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(filesSchemes, u.Scheme) {
		return nil, ops.Usagef("WAREHOUSE_URL=%s: only files have anything to compact (file://, s3://, gs://, azblob://): other warehouses look after their own storage", Redacted(rawURL))
	}
	if u.Scheme == "file" {
		dir, err := localPath(u)
		if err == nil {
			_, err = os.Stat(path.Join(dir, element(dataset)))
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no directory %s: nothing has been loaded yet, or WAREHOUSE_URL, WAREHOUSE_DATASET (DATA_DIR) name another place", path.Join(dir, element(dataset)))
		}
	}
	to, err := Open(ctx, rawURL, dataset)
	if err != nil {
		return nil, err
	}
	return &Compactor{store: to.(*files).store, now: time.Now, target: compactTarget}, nil
}

// Close releases connections.
func (c *Compactor) Close() error { return c.store.Close() }

// Compaction says how a table is compacted.
type Compaction struct {
	Memory int64         // bytes for what is known of rows; past it files are read several times
	Grace  time.Duration // how long files that were replaced stay, for readers that have listed files before
	DryRun bool          // nothing is changed: what Compacted says would be done
}

// Compacted says what became of a table.
type Compacted struct {
	Before     Extent   `json:"before"`  // what readers need
	After      Extent   `json:"after"`   // of a dry run, about
	Superseded int64    `json:"dropped"` // rows
	Removed    int      `json:"removed"` // files that had been replaced before
	Waiting    int      `json:"waiting"` // files that are replaced, and stay until Grace is over
	Left       []string `json:"left_alone,omitempty"`
}

// Extent is how much there is of a table.
type Extent struct {
	Files int   `json:"files"`
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

func (e *Extent) add(files int, rows, bytes int64) {
	e.Files, e.Rows, e.Bytes = e.Files+files, e.Rows+rows, e.Bytes+bytes
}

// Compact finishes what earlier compactions of the table have left, and compacts what has come since. Of a table's rows it drops those
// that no reader of the current state can see: of each key all but the newest document and the newest tombstone; in a table that
// keeps every version (t.Mode), loads of a version that was loaded again. A mode that is not the one by which the files were written is an *ops.UsageError.
func (c *Compactor) Compact(ctx context.Context, t Table, how Compaction) (Compacted, error) {
	const tries = 10
	for try := 1; ; try++ {
		w := &compacting{Compactor: c, table: t, how: how, log: &compactionLog{store: c.store, table: t.Name, now: c.now}}
		err := w.run(ctx)
		if errors.Is(err, fs.ErrNotExist) && try < tries { // another compactor has removed what this one was about to read
			continue
		}
		if err != nil {
			err = fmt.Errorf("compact %s: %w", t.Name, err)
		}
		return w.done, err
	}
}

// compacting is one run over a table.
type compacting struct {
	*Compactor
	table Table
	how   Compaction
	log   *compactionLog
	done  Compacted
}

// commitBytes is how much is staged before it is recorded: a crash loses so much work at most, and the log stays short.
const commitBytes = 1 << 30

func (c *compacting) run(ctx context.Context) error {
	if err := c.tidy(ctx); err != nil {
		return err
	}
	sources, err := c.sources(ctx)
	if err != nil {
		return err
	}
	if err := compare(ctx, c.store, c.table, sources, c.how.Memory); err != nil {
		return err
	}
	if err := c.sameMode(sources); err != nil {
		return err
	}
	for _, s := range sources {
		c.done.Before.add(1, s.rows, s.size)
		if s.foreign != nil {
			c.done.Left = append(c.done.Left, fmt.Sprintf("%s was not written by a loader: %v", c.store.path(s.name), s.foreign))
		}
	}
	c.done.After = c.done.Before
	groups := plan(sources, c.target)
	if c.how.DryRun {
		for _, g := range groups {
			c.count(g, g.bytes)
		}
		return nil
	}
	for len(groups) > 0 {
		n, bytes := 0, int64(0)
		for n < len(groups) && (n == 0 || bytes+groups[n].bytes <= commitBytes) {
			bytes += groups[n].bytes
			n++
		}
		if err := c.replace(ctx, groups[:n]); err != nil {
			return err
		}
		groups = groups[n:]
	}
	return c.finish(ctx)
}

// count says that a group has become a file of a size.
func (c *compacting) count(g *group, bytes int64) {
	after := &c.done.After
	for _, s := range g.sources {
		after.add(-1, -s.rows, -s.size)
		c.done.Superseded += s.dropped.count()
	}
	if g.rows > 0 {
		after.add(1, g.rows, bytes)
	}
}

// sources lists the files that readers need, but for those that have been replaced. The log is read before them: what is replaced after
// that, change finds out.
func (c *compacting) sources(ctx context.Context) (out []*source, err error) {
	if err := c.log.refresh(ctx); err != nil {
		return nil, err
	}
	replaced, made := map[string]bool{}, map[string]bool{}
	for _, o := range c.log.head.Open {
		for _, name := range o.Replaces {
			replaced[name] = true
		}
		if o.File != nil {
			made[o.File.Path] = true
		}
	}
	days, err := c.store.list(ctx, element(c.table.Name))
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		names, err := c.store.list(ctx, path.Join(element(c.table.Name), day))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			s := &source{name: path.Join(element(c.table.Name), day, name), day: day}
			if !holdsRows(name) || replaced[s.name] {
				continue
			}
			// A file that has just been made goes in once that is over, so that it is there for as long as its compaction is open.
			s.stays = made[s.name] || !strings.HasPrefix(day, "extracted_date=")
			out = append(out, s)
		}
	}
	return out, c.pinned(ctx, out)
}

// pinned keeps files of loads of which something is pending still: whoever finishes such a load may publish them once more. The files
// are listed before what is pending: one that is not pending then never is again.
func (c *compacting) pinned(ctx context.Context, sources []*source) error {
	log := logReader{c.store}
	logs, err := log.logs(ctx)
	if err != nil {
		return err
	}
	pending := map[string]bool{}
	for _, dir := range logs {
		names, err := c.store.list(ctx, path.Join(pendingDir, strings.TrimPrefix(dir, loadsDir+"/")))
		if err != nil {
			return err
		}
		for _, name := range names {
			if p, ok := parsePending(name); ok {
				pending[p.attempt] = true
			}
		}
	}
	for _, s := range sources {
		s.stays = s.stays || pending[loadedBy(s.name)]
	}
	return nil
}

// sameMode refuses to take versions that a table keeps for superseded ones.
func (c *compacting) sameMode(sources []*source) error {
	for _, s := range sources {
		if s.mode != Upsert && c.table.Mode == Upsert {
			return ops.Usagef("its files were written with WRITE_MODE %s, and WRITE_MODE now says %s, in which older versions would be dropped: set WRITE_MODE=%s=%[1]s", s.mode, c.table.Mode, c.table.Name)
		}
	}
	return nil
}
