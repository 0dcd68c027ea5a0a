package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"
)

// replace stages a file for each group, records them, and shows them to readers. The middle step is the one that counts. A group of
// which another compactor has taken a file meanwhile is given up.
func (c *compacting) replace(ctx context.Context, groups []*group) (err error) {
	staged := map[string]*group{}
	var mine []compaction
	defer func() {
		if err != nil && !errors.Is(err, errUnsure) {
			err = errors.Join(err, c.discard(ctx, mine))
		}
	}()
	for _, g := range groups {
		// What a load has published must not go back to being pending when the power fails, once it is replaced.
		if err := c.store.sync(ctx, path.Join(element(c.table.Name), g.day)); err != nil {
			return err
		}
		made, err := c.stage(ctx, g)
		if err != nil {
			return err
		}
		mine, staged[made.ID] = append(mine, made), g
	}
	if slices.ContainsFunc(mine, func(m compaction) bool { return m.File != nil }) {
		if err := c.store.sync(ctx, path.Join(stagedDir, element(c.table.Name))); err != nil {
			return err
		}
	}
	var lost []compaction
	err = c.log.change(ctx, func(open []compaction) []compaction {
		lost = lost[:0]
		added := false
		for _, m := range mine {
			if slices.ContainsFunc(m.Replaces, func(name string) bool { return c.log.taken[name] }) {
				lost = append(lost, m)
				continue
			}
			open, added = append(open, m), true
		}
		if !added {
			return nil
		}
		return open
	})
	if err != nil {
		return err
	}
	for _, m := range mine {
		if slices.ContainsFunc(lost, func(l compaction) bool { return l.ID == m.ID }) {
			continue
		}
		bytes := int64(0)
		if m.File != nil {
			bytes = m.File.Bytes
		}
		c.count(staged[m.ID], bytes)
	}
	mine = nil // they are recorded: an error from here on takes nothing back
	if err := c.discard(ctx, lost); err != nil {
		return err
	}
	return c.publish(ctx)
}

func (c *compacting) discard(ctx context.Context, staged []compaction) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	var errs []error
	for _, s := range staged {
		if s.Staged != "" {
			errs = append(errs, c.store.remove(ctx, s.Staged))
		}
	}
	return errors.Join(errs...)
}

// tidy finishes what earlier compactions have left, also those that were killed, or counts it where nothing must be changed.
func (c *compacting) tidy(ctx context.Context) error {
	var names []string
	var err error
	if !c.how.DryRun {
		if names, err = c.store.list(ctx, path.Join(stagedDir, element(c.table.Name))); err != nil {
			return err
		}
	}
	if err := c.log.refresh(ctx); err != nil { // after the listing: what is not recorded now was not then
		return err
	}
	if c.how.DryRun {
		for _, o := range c.log.head.Open {
			c.done.Waiting += len(o.Replaces)
		}
		return nil
	}
	recorded := map[string]bool{}
	for _, o := range c.log.head.Open {
		recorded[path.Base(o.Staged)] = true
	}
	// A compactor that is at work for longer loses its files and begins anew; its record, if it comes to that, is void (see publish).
	patience := max(c.how.Grace, time.Hour)
	for _, name := range names {
		if at, ok := stagedAt(name); ok && !recorded[name] && c.now().Sub(at) > patience {
			if err := c.store.remove(ctx, path.Join(stagedDir, element(c.table.Name), name)); err != nil {
				return err
			}
		}
	}
	return c.finish(ctx)
}

// finish publishes what is recorded, and ends each compaction whose grace is over: it removes the files that were replaced, and then
// the compaction from what is open.
func (c *compacting) finish(ctx context.Context) error {
	if err := c.publish(ctx); err != nil {
		return err
	}
	var over []string
	var files []string
	c.done.Waiting = 0
	for _, o := range c.log.head.Open {
		if o.PublishedAt == nil || c.now().Sub(*o.PublishedAt) < c.how.Grace {
			c.done.Waiting += len(o.Replaces)
			continue
		}
		over, files = append(over, o.ID), append(files, o.Replaces...)
	}
	if over == nil {
		return nil
	}
	if err := parallel(ctx, files, c.store.remove); err != nil {
		return fmt.Errorf("remove what was replaced: %w", err)
	}
	if err := c.syncDays(ctx, files); err != nil { // or some come back when the power fails
		return err
	}
	c.done.Removed += len(files)
	return c.log.change(ctx, func(open []compaction) []compaction {
		left := slices.DeleteFunc(slices.Clone(open), func(o compaction) bool { return slices.Contains(over, o.ID) })
		if len(left) == len(open) {
			return nil
		}
		return left
	})
}

// publish moves what is recorded to where readers look. What cannot be found any more has been taken for dead before it was recorded:
// nothing was removed for it, and its compaction is void.
func (c *compacting) publish(ctx context.Context) error {
	var shown, void, made []string
	for _, o := range c.log.head.Open {
		if o.PublishedAt != nil {
			continue
		}
		if o.File != nil {
			err := c.store.move(ctx, o.Staged, o.File.Path)
			if errors.Is(err, fs.ErrNotExist) {
				void = append(void, o.ID)
				continue
			}
			if err != nil {
				return fmt.Errorf("publish %s: %w", o.File.Path, err)
			}
			made = append(made, o.File.Path)
		}
		shown = append(shown, o.ID)
	}
	if shown == nil && void == nil {
		return nil
	}
	if err := c.syncDays(ctx, made); err != nil {
		return err
	}
	now := c.now().UTC().Truncate(time.Millisecond)
	return c.log.change(ctx, func(open []compaction) []compaction {
		left := slices.DeleteFunc(slices.Clone(open), func(o compaction) bool { return o.PublishedAt == nil && slices.Contains(void, o.ID) })
		changed := len(left) < len(open)
		for i, o := range left {
			if o.PublishedAt == nil && slices.Contains(shown, o.ID) {
				left[i].PublishedAt, changed = &now, true
			}
		}
		if !changed {
			return nil
		}
		return left
	})
}

func (c *compacting) syncDays(ctx context.Context, files []string) error {
	var days []string
	for _, name := range files {
		days = append(days, path.Dir(name))
	}
	slices.Sort(days)
	for _, day := range slices.Compact(days) {
		if err := c.store.sync(ctx, day); err != nil {
			return err
		}
	}
	return nil
}
