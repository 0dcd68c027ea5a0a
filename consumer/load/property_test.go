package load

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// TestExactlyOnce: whatever consumers come and go and whatever the warehouse does, what it holds in the end is what a
// reader of committed transactions sees, each record once, and the ledger stands at the ends.
func TestExactlyOnce(t *testing.T) {
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for i := range seeds {
		seed := uint64(i + 1)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { t.Parallel(); exactlyOnce(t, seed) })
	}
}

func exactlyOnce(t *testing.T, seed uint64) {
	rnd := random(t, seed)
	resources := []string{"tags", "groups"}
	partitions := 1 + rnd.Int32N(4)
	w := newWorld(t, partitions, resources...)
	chance := rand.New(rand.NewPCG(seed, 99)) // under the warehouse's lock
	w.warehouse.besides = true
	w.warehouse.fault = func(sink.Batch) fault {
		switch n := chance.IntN(100); {
		case n < 8:
			return before
		case n < 16:
			return after
		case n < 18:
			return fence
		}
		return none
	}
	var pauses sync.Mutex
	pauseFor := rand.New(rand.NewPCG(seed, 98))
	w.warehouse.nextErr = func() error {
		if chance.IntN(20) == 0 {
			return errWarehouse
		}
		return nil
	}
	config := func() Config {
		cfg := w.config()
		cfg.BatchRows = 1 + rnd.IntN(120)
		cfg.BatchBytes = ops.Bytes(2_000 + rnd.IntN(60_000))
		cfg.BatchAge = time.Duration(1+rnd.IntN(60)) * time.Millisecond
		cfg.MemoryLimit = cfg.BatchBytes * ops.Bytes(4+rnd.IntN(20))
		return cfg
	}

	var producers sync.WaitGroup
	for p := range 2 {
		rnd := rand.New(rand.NewPCG(seed, uint64(p)))
		producers.Go(func() {
			for n := range 60 {
				var rs []*kgo.Record
				for _, resource := range resources {
					for range rnd.IntN(15) {
						id := fmt.Sprintf("p%d-t%d-%d", p, n, len(rs))
						rs = append(rs, w.record(resource, rnd.Int32N(partitions), id, rnd.IntN(2000)))
					}
				}
				w.transaction(fmt.Sprintf("producer-%d", p), rnd.IntN(4) > 0, rs...)
				pauses.Lock()
				d := time.Duration(pauseFor.IntN(30)) * time.Millisecond
				pauses.Unlock()
				time.Sleep(d)
			}
		})
	}

	running := map[int]func() error{}
	for n := range 12 {
		if len(running) > 0 && (len(running) == 3 || rnd.IntN(2) == 0) {
			for i, stop := range running {
				delete(running, i)
				if err := stop(); err != nil {
					t.Errorf("consumer %d: %v", i, err)
				}
				break
			}
		} else {
			running[n] = w.start(config(), Events{})
		}
		time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
	}
	producers.Wait()
	for i, stop := range running {
		if err := stop(); err != nil {
			t.Errorf("consumer %d: %v", i, err)
		}
	}
	w.mustOnce(config())
	w.check(resources...)
	t.Logf("%d rows in %d batches, %d times fenced", w.warehouse.count(), len(w.warehouse.written()), w.warehouse.fenced)
}
