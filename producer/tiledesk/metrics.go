package tiledesk

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"tilestream/internal/ops"
)

var (
	requests = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tilestream_tiledesk_request_seconds", Help: "requests to Tiledesk, by HTTP status; 0 where there was no answer", Buckets: ops.Seconds,
	}, []string{"project", "status"})
	readBytes = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "tilestream_tiledesk_read_bytes_total", Help: "bytes of Tiledesk's answers, unpacked",
	}, []string{"project", "resource"})
	budgetLeft = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tilestream_tiledesk_budget_requests", Help: "requests that might go out at once; below 0: so many wait",
	}, []string{"project"})
)
