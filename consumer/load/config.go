package load

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// Config says when batches close and how much memory they may take together.
type Config struct {
	Group       string        `env:"KAFKA_GROUP" help:"consumer group, and the name of its ledger; unset: PREFIX-consumer"`
	BatchRows   int           `env:"BATCH_ROWS, default=50000" help:"a batch closes at so many rows"`
	BatchBytes  ops.Bytes     `env:"BATCH_BYTES, default=16MiB" help:"a batch closes at so many bytes, as Kafka holds the records"`
	BatchAge    time.Duration `env:"BATCH_AGE" help:"a batch closes so long after its first record; unset: 2s, but 1m on Snowflake, Redshift, Databricks and Iceberg and 15m on BigQuery, where each batch costs"`
	MemoryLimit ops.Bytes     `env:"MEMORY_LIMIT" help:"records in memory, in all tables together, and DuckDB's own 384MiB where that is the warehouse; past it, fetching pauses; the process takes 256MiB at most beside it. Unset: 256MiB, with DuckDB 640MiB"`

	DLQMaxRatio float64 `env:"DLQ_MAX_RATIO, default=0.1" help:"part of a partition's last 1,000 offsets that may be dead letters; past it the consumer stops. 0: at the first, 1: never"`

	Warehouse string // scheme of the warehouse's URL

	// Until, once closed, makes Run load everything up to the ends of the partitions as they stand at that moment, and
	// return. Nil: Run goes on until its context ends.
	Until <-chan struct{}

	replay *plan     // what a replay takes; nil for all there is
	client []kgo.Opt // tests make the group faster
}

// Now is a Config.Until for a Run that loads what there is when it begins.
func Now() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// defaultRecords is how much memory records have where MEMORY_LIMIT is not set.
const defaultRecords = 256 << 20

// Records is how many bytes of MEMORY_LIMIT records have; 0 or less where the warehouse needs all of it.
func (c Config) Records() int64 {
	if c.MemoryLimit == 0 {
		return defaultRecords
	}
	return int64(c.MemoryLimit) - sink.Memory(c.Warehouse)
}

// The shares of what records have of MEMORY_LIMIT. What is accounted never exceeds the limit by more than one poll. Fetches are small since
// brokers count compressed bytes, while we hold what comes out: often five times as much.
const (
	recordShare    = 2  // fetching pauses while raw records hold 1/2 of it; Arrow rows have the rest
	fetchShare     = 64 // one fetch asks a broker for 1/64 of it
	fetches        = 2  // so many fetches are under way or wait to be polled
	partitionShare = 64 // a fetch asks for 1/64 of its size from one partition, so that it brings something of each
	batchShare     = 4  // the largest BATCH_BYTES: a batch and the Arrow rows of it must fit beside the others
)

func (c Config) check(kafka broker.Config) (Config, error) {
	c.Group = kafka.ConsumerGroup(c.Group)
	if c.BatchAge == 0 {
		c.BatchAge = sink.Age(c.Warehouse)
	}
	switch {
	case c.BatchRows < 1:
		return c, ops.Usagef("BATCH_ROWS=%d: it takes a number of rows from 1", c.BatchRows)
	case c.BatchBytes < 1:
		return c, ops.Usagef("BATCH_BYTES=%s: it takes a size such as 32MiB", c.BatchBytes)
	case c.BatchAge <= 0:
		return c, ops.Usagef("BATCH_AGE=%s: it takes a duration such as 2s", c.BatchAge)
	case !(c.DLQMaxRatio >= 0 && c.DLQMaxRatio <= 1):
		return c, ops.Usagef("DLQ_MAX_RATIO=%g: it takes a part from 0 to 1, such as 0.1", c.DLQMaxRatio)
	case int64(c.BatchBytes) > c.Records()/batchShare:
		own := ops.Bytes(sink.Memory(c.Warehouse))
		if own == 0 {
			return c, ops.Usagef("BATCH_BYTES=%s is more than a quarter of MEMORY_LIMIT=%s: lower the first or raise the second", c.BatchBytes, c.MemoryLimit)
		}
		return c, ops.Usagef("MEMORY_LIMIT=%s: %s works inside this process and takes %s of it, and records need four times BATCH_BYTES=%s beside that: set it to %s or more",
			c.MemoryLimit, c.Warehouse, own, c.BatchBytes, own+batchShare*c.BatchBytes)
	}
	return c, nil
}
