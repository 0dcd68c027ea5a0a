package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"tilestream/consumer/sink"
	"tilestream/internal/bench/messages"
	"tilestream/internal/broker"
)

// overhead is what a process may take beside MEMORY_LIMIT: its own code, the libraries, and what the collector has not
// taken back yet.
const overhead = 256 << 20

// TestMillionBehind lets a consumer catch up with messages in little memory, into each warehouse. TEST_BEHIND=1000000 makes it
// a million.
func TestMillionBehind(t *testing.T) {
	slow(t)
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	const room = 128 << 20
	records, err := strconv.Atoi(cmp.Or(os.Getenv("TEST_BEHIND"), "300000"))
	if err != nil {
		t.Fatalf("TEST_BEHIND: %v: it takes a number of records", err)
	}
	bin := programs(t)
	kafka := broker.Config{
		Brokers: strings.Split(Service(t, "TEST_KAFKA_BROKERS"), ","), Prefix: unique("behind"), Partitions: 6,
		Registry: broker.Registry{URL: Service(t, "TEST_SCHEMA_REGISTRY_URL")},
	}
	produceMessages(t, kafka, records, records/10*9)
	for _, k := range []*stock{
		postgresStock(t, Service(t, "TEST_POSTGRES_URL"), hostOf(t, Service(t, "TEST_POSTGRES_URL"))), duckDBStock(t), filesStock(t),
	} {
		t.Run(k.name, func(t *testing.T) {
			limit := room + sink.Memory(k.name)
			c := launch(t, filepath.Join(bin, "consumer"), map[string]string{
				"KAFKA_BROKERS": kafka.Brokers[0], "SCHEMA_REGISTRY_URL": kafka.Registry.URL, "KAFKA_TOPIC_PREFIX": kafka.Prefix,
				"KAFKA_GROUP": kafka.Prefix + "-" + k.name, "WAREHOUSE_URL": k.url, "WAREHOUSE_DATASET": k.dataset,
				"MEMORY_LIMIT": strconv.FormatInt(limit, 10), "HTTP_ADDR": "off", "LOG_FORMAT": "text",
			}, "-once")
			peak, began := watch(t, c), time.Now()
			<-c.ended
			took := time.Since(began)
			if c.err != nil {
				t.Fatalf("consumer -once: %v\n%s", c.err, &c.out)
			}
			db := k.open(t)
			defer db.Close()
			var loaded int
			if err := db.QueryRowContext(t.Context(), fmt.Sprintf(k.loads, "messages")).Scan(&loaded); err != nil {
				t.Fatal(err)
			}
			if loaded != records {
				t.Errorf("%d records were loaded, %d are in the topic", loaded, records)
			}
			if got := peak(); got > limit+overhead {
				t.Errorf("the consumer took %d MiB at its peak, %d MiB at most are right", got>>20, (limit+overhead)>>20)
			}
			t.Logf("%-8s %d records in %.1f s: %.0f a second, with MEMORY_LIMIT=%dMiB at most %d MiB resident", k.name, records, took.Seconds(), float64(records)/took.Seconds(), limit>>20, peak()>>20)
		})
	}
}

// watch looks at the resident memory of a process while it lives. peak returns the most that there was, in bytes.
func watch(t testing.TB, c *child) (peak func() int64) {
	t.Helper()
	var most atomic.Int64
	go func() {
		for {
			if n := messages.Resident(c.Process.Pid); n > 0 {
				most.Store(n)
			}
			select {
			case <-c.ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		if most.Load() == 0 {
			t.Errorf("%s: its memory was never seen", filepath.Base(c.Path))
		}
		return most.Load()
	}
}

// produceMessages publishes records of so many keys, in a topic that goes when the test ends.
func produceMessages(t *testing.T, kafka broker.Config, records, keys int) {
	t.Helper()
	t.Cleanup(func() {
		cl, err := kafka.NewClient()
		if err == nil {
			_, err = kadm.NewClient(cl).DeleteTopics(context.Background(), kafka.Prefix+".messages")
			cl.Close()
		}
		if err != nil {
			t.Errorf("delete the topic: %v", err)
		}
	})
	size, err := messages.Publish(t.Context(), kafka, records, keys)
	if err != nil {
		t.Fatalf("publish %d messages: %v", records, err)
	}
	t.Logf("%d records of %d bytes on average", records, size/int64(records))
}
