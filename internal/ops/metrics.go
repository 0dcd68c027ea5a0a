package ops

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are kept in the room where what they count happens, in Prometheus's default registry, which has those of Go and of the
// process too. Routes shows them at /metrics. Every name begins with tilestream_.

var retries = promauto.NewCounterVec(prometheus.CounterOpts{
	Name: "tilestream_retries_total", Help: "tries that failed because somebody was away, and were repeated",
}, []string{"doing"})

var buildInfo = promauto.NewGaugeVec(prometheus.GaugeOpts{
	Name: "tilestream_build_info", Help: "1, with the version that runs",
}, []string{"version"})

// Seconds are the buckets of what takes from a millisecond to half an hour.
var Seconds = []float64{.001, .005, .01, .05, .1, .5, 1, 2, 5, 10, 30, 60, 300, 1800}
