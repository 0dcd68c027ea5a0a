package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"text/tabwriter"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

func compactFiles() ops.Command {
	var cfg struct {
		Warehouse   sink.Config
		DataDir     string    `env:"DATA_DIR, default=tilestream-data" help:"where the embedded warehouse is kept"`
		MemoryLimit ops.Bytes `env:"MEMORY_LIMIT, default=256MiB" help:"what keys may take; past it files are read several times"`
	}
	var table string
	var how sink.Compaction
	return ops.Command{
		Name: "compact", Summary: "makes few large files of the many small ones of a warehouse of files, and drops superseded versions", Config: &cfg,
		JSON:     "a JSON object for each table",
		Values:   map[string][]string{"table": schemas.Names()},
		Examples: "-dry-run\n-table messages -grace 24h  # readers may take a day",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&table, "table", "", "this `TABLE` only")
			fs.BoolVar(&how.DryRun, "dry-run", false, "only show what would be done")
			fs.DurationVar(&how.Grace, "grace", time.Hour, "how `LONG` files stay that have been replaced; a later run removes them, with 0 this one")
		},
		Run: func(ctx context.Context, o ops.Options) (err error) {
			resources, err := schemas.ByName()
			if table != "" {
				resources, err = schemas.ByName(table)
			}
			if err != nil {
				return ops.Usagef("-table %s: %w", table, err)
			}
			if how.Grace < 0 {
				return ops.Usagef("-grace %s: it takes a duration such as 1h", how.Grace)
			}
			how.Memory = int64(cfg.MemoryLimit)
			address, _ := cfg.Warehouse.Address(cfg.DataDir)
			c, err := sink.OpenCompactor(ctx, address, cfg.Warehouse.Dataset)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Close()) }()
			return compactAll(ctx, o, c, resources, cfg.Warehouse.Modes, how)
		},
	}
}

// compacted is what became of a table, for programs.
type compacted struct {
	Table  string `json:"table"`
	DryRun bool   `json:"dry_run"`
	sink.Compacted
}

// compactAll goes on with the next table after an error.
func compactAll(ctx context.Context, o ops.Options, c *sink.Compactor, resources []schemas.Resource, modes sink.Modes, how sink.Compaction) error {
	tab := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	if !o.JSON {
		fmt.Fprintln(tab, "table\tfiles\tMiB\trows\tdropped\tremoved\twaiting")
	}
	var errs []error
	var notes []string
	for _, r := range resources {
		done, err := c.Compact(ctx, fileTable(r, modes), how)
		if err != nil {
			if errs = append(errs, err); ctx.Err() != nil {
				break
			}
			continue
		}
		if o.JSON {
			if err := o.Encode(compacted{r.Name, how.DryRun, done}); err != nil {
				return err
			}
			continue
		}
		if notes = append(notes, done.Left...); done.Before.Files == 0 && done.Removed == 0 {
			continue
		}
		b, a := done.Before, done.After
		fmt.Fprintf(tab, "%s\t%d → %d\t%.1f → %.1f\t%d → %d\t%d\t%d\t%d\n", r.Name, b.Files, a.Files, mib(b.Bytes), mib(a.Bytes), b.Rows, a.Rows, done.Superseded, done.Removed, done.Waiting)
	}
	if errs = append(errs, tab.Flush()); o.JSON {
		return errors.Join(errs...)
	}
	for _, n := range notes {
		fmt.Fprintln(o.Stdout, "left alone:", n)
	}
	if how.DryRun {
		fmt.Fprintln(o.Stdout, "nothing was changed (-dry-run); sizes afterwards are estimates")
	}
	return errors.Join(errs...)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// fileTable is a resource's table as its files hold it, whatever schemas they were loaded by.
func fileTable(r schemas.Resource, modes sink.Modes) sink.Table {
	return sink.Table{Name: r.Name, Key: keyColumn, Version: versionOf(r.Name), Offset: offsetColumn, Deleted: deletedColumn, DeletedOffset: deletedOffsetColumn, Mode: modes.Of(r.Name)}
}
