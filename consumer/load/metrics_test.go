package load

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
)

// What is fetched shows as lag before it is loaded, as long as the warehouse is away, and not where another member has the partition.
func TestLagShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lag.Reset()
		shown := func(want float64) {
			t.Helper()
			if got := testutil.ToFloat64(lag.WithLabelValues("tags")); got != want {
				t.Errorf("lag is %v, want %v", got, want)
			}
		}
		w := newWarehouse()
		l, writer, _ := offline(Config{BatchAge: time.Second}, w)
		var away atomic.Bool
		away.Store(true)
		w.fault = func(sink.Batch) fault {
			if away.Load() {
				return before
			}
			return none
		}
		record := &kgo.Record{Topic: "test.tags", Key: []byte("k")}
		fetched := kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "test.tags", Partitions: []kgo.FetchPartition{{Partition: 0, LastStableOffset: 1, Records: []*kgo.Record{record}}}}}}}
		if err := l.receive(t.Context(), fetched); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- writer.run(ctx) }()
		time.Sleep(time.Hour)
		shown(1)
		away.Store(false)
		time.Sleep(time.Hour)
		shown(0)
		l.revoked(t.Context(), nil, map[string][]int32{"test.tags": {0, 1}})
		if n := testutil.CollectAndCount(lag); n != 0 {
			t.Errorf("%d tables have a lag, want none: the partitions are another's", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
