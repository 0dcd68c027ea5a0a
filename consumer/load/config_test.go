package load

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// Where a batch costs money, rows gather for longer unless somebody says how long.
func TestBatchAge(t *testing.T) {
	for _, c := range []struct {
		warehouse string
		set, want time.Duration
	}{
		{"duckdb", 0, 2 * time.Second}, {"postgres", 0, 2 * time.Second}, {"s3", 0, 2 * time.Second},
		{"snowflake", 0, time.Minute}, {"iceberg+s3", 0, time.Minute}, {"bigquery", 0, 15 * time.Minute}, {"bigquery", time.Second, time.Second},
	} {
		cfg := Config{BatchRows: 1, BatchBytes: 1, MemoryLimit: 512 << 20, BatchAge: c.set, Warehouse: c.warehouse}
		got, err := cfg.check(broker.Config{Prefix: "tiledesk"})
		if err != nil || got.BatchAge != c.want {
			t.Errorf("BATCH_AGE=%s on %s: %s, %v, want %s", c.set, c.warehouse, got.BatchAge, err, c.want)
		}
	}
}

// DuckDB works within the process: what it takes counts.
func TestMemoryOfTheWarehouse(t *testing.T) {
	for _, c := range []struct {
		warehouse string
		set, want ops.Bytes
	}{
		{"postgres", 0, 256 << 20}, {"duckdb", 0, 256 << 20}, {"postgres", 128 << 20, 128 << 20}, {"duckdb", 512 << 20, 128 << 20},
		{"duckdb", 384 << 20, -1}, {"duckdb", 128 << 20, -1},
	} {
		cfg, err := Config{BatchRows: 1, BatchBytes: 32 << 20, MemoryLimit: c.set, Warehouse: c.warehouse}.check(broker.Config{Prefix: "tiledesk"})
		if usage := new(ops.UsageError); c.want < 0 {
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), "512MiB or more") {
				t.Errorf("MEMORY_LIMIT=%s on %s: %v, want a usage error that says how much is enough", c.set, c.warehouse, err)
			}
		} else if err != nil || cfg.Records() != int64(c.want) {
			t.Errorf("MEMORY_LIMIT=%s on %s: %s for records, %v, want %s", c.set, c.warehouse, ops.Bytes(cfg.Records()), err, c.want)
		}
	}
}
