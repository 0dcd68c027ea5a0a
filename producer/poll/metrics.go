package poll

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"tilestream/internal/ops"
)

var (
	byStream = []string{"project", "resource"}

	published      = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_published_records_total", Help: "documents that are in Kafka, tombstones included"}, byStream)
	unpublished    = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_unpublished_documents_total", Help: "documents that the producer set aside, whole or some values of them"}, byStream)
	polls          = promauto.NewCounterVec(prometheus.CounterOpts{Name: "tilestream_polls_total", Help: "polls that ended, by how: caught_up, failed, skipped"}, append([]string{"outcome"}, byStream...))
	caughtUp       = promauto.NewGaugeVec(prometheus.GaugeOpts{Name: "tilestream_caught_up_timestamp_seconds", Help: "when a poll last came to its end, in seconds since 1970"}, byStream)
	transactionsOf = promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "tilestream_transaction_seconds", Help: "Kafka transactions, by how they ended: committed, failed", Buckets: ops.Seconds}, []string{"outcome"})
	producedBytes  = promauto.NewCounter(prometheus.CounterOpts{Name: "tilestream_published_bytes_total", Help: "bytes of committed records, checkpoints included, before compression"})
)
