package load

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"tilestream/internal/ops"
)

var (
	byTable = []string{"table"}

	fetchedRecords = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_fetched_records_total", Help: "records that came from Kafka; after a failure some come again"}, byTable)
	fetchedBytes   = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_fetched_bytes_total", Help: "bytes of those records: keys, values and headers"}, byTable)
	loadedRows     = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_loaded_rows_total", Help: "records that the warehouse holds, of the batches of this process"}, byTable)
	loadedBytes    = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_loaded_bytes_total", Help: "bytes of those records, as Kafka holds them"}, byTable)
	changedRows    = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_changed_rows_total", Help: "rows that a batch inserted or updated; the rest was there already, or older"}, []string{"table", "change"})
	batchRows      = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "tilestream_batch_rows", Help: "records of a batch", Buckets: prometheus.ExponentialBuckets(1, 10, 6)}, byTable)
	loadSeconds    = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "tilestream_load_seconds", Help: "from the begin of a batch's load until the warehouse holds it", Buckets: ops.Seconds}, byTable)
	latency        = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "tilestream_extracted_to_loaded_seconds", Help: "from the extraction of a batch's oldest record until the warehouse holds it", Buckets: ops.Seconds}, byTable)
	freshness      = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "tilestream_changed_to_loaded_seconds", Help: "from the newest change in a batch, by Tiledesk's clock, until the warehouse holds it; not of resources that are read as whole lists", Buckets: ops.Seconds}, byTable)
	newestRecord   = promauto.NewGaugeVec(prometheus.GaugeOpts{Name: "tilestream_newest_loaded_timestamp_seconds", Help: "when the newest loaded record was extracted, in seconds since 1970"}, byTable)
	lag            = promauto.NewGaugeVec(prometheus.GaugeOpts{Name: "tilestream_lag_records", Help: "offsets of the partitions here that are known and not loaded yet"}, byTable)
	ledgerOffset   = promauto.NewGaugeVec(prometheus.GaugeOpts{Name: "tilestream_ledger_offset", Help: "first offset that the warehouse does not hold"}, []string{"topic", "partition"})
	deadLetters    = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_dead_letters_total", Help: "records that were set aside"}, byTable)
	heldRecords    = memoryHeld.WithLabelValues("records")
	heldRows       = memoryHeld.WithLabelValues("rows")
	memoryHeld     = promauto.NewGaugeVec(prometheus.GaugeOpts{Name: "tilestream_memory_held_bytes", Help: "what MEMORY_LIMIT counts: records from Kafka, and rows made of them"}, []string{"as"})
	memoryLimit    = promauto.NewGauge(prometheus.GaugeOpts{Name: "tilestream_memory_limit_bytes", Help: "what of MEMORY_LIMIT records have"})
)

// measure counts a batch that the warehouse holds.
func (l Loaded) measure() {
	for _, r := range l.Ranges {
		ledgerOffset.WithLabelValues(r.Topic, strconv.Itoa(int(r.ID))).Set(float64(r.To))
	}
	if l.Rows == 0 {
		return
	}
	loadedRows.WithLabelValues(l.Table).Add(float64(l.Rows))
	loadedBytes.WithLabelValues(l.Table).Add(float64(l.Bytes))
	changedRows.WithLabelValues(l.Table, "inserted").Add(float64(l.Stats.Inserted))
	changedRows.WithLabelValues(l.Table, "updated").Add(float64(l.Stats.Updated))
	batchRows.WithLabelValues(l.Table).Observe(float64(l.Rows))
	loadSeconds.WithLabelValues(l.Table).Observe(l.Took.Seconds())
	latency.WithLabelValues(l.Table).Observe(time.Since(l.Oldest).Seconds())
	if !l.Changed.IsZero() {
		freshness.WithLabelValues(l.Table).Observe(max(0, time.Since(l.Changed).Seconds()))
	}
	newestRecord.WithLabelValues(l.Table).Set(float64(l.Newest.UnixMilli()) / 1000)
}

// showLag shows and returns how far each table is behind, in the partitions that are ours. It is told of what comes in as of what is loaded, since a
// warehouse that is away loads nothing. A replay shows none: what it is beside has its own. The caller holds mu.
func (l *loader) showLag() (behind map[*table]int64) {
	behind = map[*table]int64{}
	for _, p := range l.parts {
		behind[p.table] += p.behind()
	}
	if l.cfg.replay != nil {
		return behind
	}
	for _, t := range l.tables {
		if n, ours := behind[t]; ours {
			lag.WithLabelValues(t.name).Set(float64(n))
		} else {
			lag.DeleteLabelValues(t.name)
		}
	}
	return behind
}
