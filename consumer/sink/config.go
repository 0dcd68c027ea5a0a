package sink

import (
	"context"
	"log/slog"
	"path/filepath"

	"tilestream/internal/ops"
)

// Config says where the rows go.
type Config struct {
	URL     ops.Secret `env:"WAREHOUSE_URL" help:"duckdb://FILE, postgres://USER:PASSWORD@HOST/DATABASE or file://DIRECTORY; unset: DuckDB in DATA_DIR"`
	Dataset string     `env:"WAREHOUSE_DATASET, default=tiledesk" help:"schema, or directory, that holds the tables"`
}

// Open opens the warehouse that Address names; the log is told where that is not what one would expect.
func (c Config) Open(ctx context.Context, dataDir string, log *slog.Logger) (Sink, error) {
	rawURL, note := c.Address(dataDir)
	if note != "" {
		log.Warn(note)
	}
	return Open(ctx, rawURL, c.Dataset)
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
