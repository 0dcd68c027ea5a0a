package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"tilestream/internal/ops"
)

// Config says where the rows go.
type Config struct {
	URL     ops.Secret `env:"WAREHOUSE_URL" help:"duckdb://FILE, postgres://, snowflake://, bigquery://, redshift://, databricks://, iceberg+s3://, file://DIRECTORY, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or azblob://CONTAINER/PREFIX, see Destinations in the README; unset: DuckDB in DATA_DIR"`
	Dataset string     `env:"WAREHOUSE_DATASET, default=tiledesk" help:"schema, or directory, that holds the tables"`
	Deletes Deletes    `env:"DELETE_MODE, default=soft" help:"what a deletion does to its row: soft sets _deleted_at, hard removes it"`
	Modes   Modes      `env:"WRITE_MODE, default=upsert" help:"what a table keeps: upsert the newest version of a row, append every version, history every version and when it held; messages=append for one, or both with commas"`
	Reports Switch     `env:"REPORT_VIEWS, default=on" help:"off makes no report views: report_conversations, report_agents_daily, report_bots_daily and report_volume_hourly"`
	Wait    bool       // for ever, for a warehouse that is away when it is opened; else half a minute
}

// Deletes says what a tombstone does to its row.
type Deletes string

// Ways to delete.
const (
	Soft Deletes = "soft" // the row keeps its values and gets _deleted_at
	Hard Deletes = "hard" // the row goes; what is remembered of it is its key
)

// UnmarshalText reads one of the ways.
func (d *Deletes) UnmarshalText(text []byte) error {
	switch v := Deletes(text); v {
	case Soft, Hard:
		*d = v
		return nil
	}
	return fmt.Errorf("%q is no way to delete", text)
}

// Takes says what the setting looks like.
func (*Deletes) Takes() string { return "soft or hard" }

// Switch is on or off.
type Switch bool

// UnmarshalText reads on or off.
func (s *Switch) UnmarshalText(text []byte) error {
	*s = string(text) == "on"
	if !*s && string(text) != "off" {
		return fmt.Errorf("%q is neither", text)
	}
	return nil
}

// Takes says what the setting looks like.
func (*Switch) Takes() string { return "on or off" }

// Open opens the warehouse that Address names; the log is told where that is not what one would expect.
func (c Config) Open(ctx context.Context, dataDir string, log *slog.Logger) (Sink, error) {
	rawURL, note := c.Address(dataDir)
	if note != "" {
		log.Warn(note)
	}
	if scheme, _, _ := strings.Cut(rawURL, ":"); c.Deletes == Hard && slices.Contains([]string{"file", "s3", "gs", "azblob", "iceberg+file", "iceberg+s3"}, scheme) {
		return nil, ops.Usagef("DELETE_MODE=hard: a warehouse of files keeps every version, so it takes soft only")
	}
	if c.Deletes == Hard && c.Modes.keepsVersions() {
		return nil, ops.Usagef("DELETE_MODE=hard: a table that keeps every version (WRITE_MODE append or history) takes soft only")
	}
	var to Sink
	again := ops.Retry{Log: log, Once: !c.Wait, Final: func(err error) bool { return !errors.Is(err, errAway) }}
	err := again.Do(ctx, "open the warehouse", func() (err error) {
		to, err = Open(ctx, rawURL, c.Dataset)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := configured{Sink: to, hard: c.Deletes == Hard, modes: c.Modes}
	if views, ok := to.(viewer); ok {
		out.reports = &keeper{viewer: views, makes: bool(c.Reports), log: log, done: map[string]string{}}
	}
	return out, nil
}

// Address returns the warehouse's URL for Open: the one that is set, or else the embedded warehouse in dataDir. That is
// DuckDB, or Parquet files in a build without it; note then says so and why, and is empty otherwise.
func (c Config) Address(dataDir string) (rawURL, note string) {
	if c.URL != "" {
		return c.URL.Reveal(), ""
	}
	dataDir = filepath.ToSlash(dataDir)
	if noDuckDB != "" {
		return localURL("file", dataDir+"/warehouse"), noDuckDB + ": the warehouse is Parquet files in " + dataDir + "/warehouse instead"
	}
	return localURL("duckdb", dataDir+"/tilestream.duckdb"), ""
}

// configured is a sink whose tables are written as the settings say.
type configured struct {
	Sink
	hard    bool
	modes   Modes
	reports *keeper // nil: there are no views
}

func (c configured) Prepare(ctx context.Context, t Table) error {
	t = c.table(t)
	err := c.Sink.Prepare(ctx, t)
	if err == nil && c.reports != nil {
		c.reports.keep(ctx, t)
	}
	return err
}

func (c configured) Plan(ctx context.Context, t Table) ([]Change, error) {
	t = c.table(t)
	changes, err := c.Sink.Plan(ctx, t)
	if err != nil || c.reports == nil || !slices.Contains(reportTables, t.Name) {
		return changes, err
	}
	views, err := c.reports.plan(ctx, t)
	for _, v := range views {
		changes = append(changes, v.Change)
	}
	return changes, err
}

func (c configured) Write(ctx context.Context, b Batch) (Stats, error) {
	b.Table = c.table(b.Table)
	stats, err := c.Sink.Write(ctx, b)
	if err != nil && c.reports != nil {
		c.reports.forget(b.Table.Name) // the table may be gone
	}
	return stats, err
}

func (c configured) table(t Table) Table {
	t.HardDelete, t.Mode = c.hard, c.modes.Of(t.Name)
	return t
}
