package load

import (
	"testing"
	"time"

	"tilestream/internal/broker"
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
		cfg := Config{BatchRows: 1, BatchBytes: 1, MemoryLimit: 64 << 20, BatchAge: c.set, Warehouse: c.warehouse}
		got, err := cfg.check(broker.Config{Prefix: "tiledesk"})
		if err != nil || got.BatchAge != c.want {
			t.Errorf("BATCH_AGE=%s on %s: %s, %v, want %s", c.set, c.warehouse, got.BatchAge, err, c.want)
		}
	}
}
