package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/schemas"
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
// (rusage says it of the dead, but counts the parent's from before exec too.)
func watch(t testing.TB, c *child) (peak func() int64) {
	t.Helper()
	var most atomic.Int64
	go func() {
		for {
			if n := resident(c.Process.Pid); n > 0 {
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

// resident is the most memory that a living process has had resident, in bytes; 0 of one that is gone (proc(5), VmHWM).
func resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// produceMessages publishes records of so many keys; those past the number of keys are newer versions.
func produceMessages(t *testing.T, kafka broker.Config, records, keys int) {
	t.Helper()
	rs, err := schemas.ByName("messages")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kafka.NewClient(kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	topic := rs[0].Topic(kafka.Prefix)
	if err := broker.Ensure(t.Context(), cl, slog.New(slog.DiscardHandler), kafka.DataTopic(topic)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cl, err := kafka.NewClient()
		if err == nil {
			_, err = kadm.NewClient(cl).DeleteTopics(context.Background(), topic)
			cl.Close()
		}
		if err != nil {
			t.Errorf("delete the topic: %v", err)
		}
	})
	registry, err := kafka.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	codec := schemas.NewCodec(registry, kafka.Prefix)
	start, size := time.Now().UTC().Add(-time.Hour), 0 // retention would take older ones
	for i := range records {
		key := fmt.Sprintf("%024x", uint64(i%keys)*0x9E3779B97F4A7C15)
		value, _, err := codec.Encode(t.Context(), rs[0], message(key, i, start))
		if err != nil {
			t.Fatal(err)
		}
		size += len(value)
		cl.Produce(t.Context(), &kgo.Record{
			Topic: topic, Key: []byte(key), Value: value, Timestamp: start.Add(time.Duration(i) * time.Millisecond),
			Headers: []kgo.RecordHeader{{Key: "project", Value: []byte("65f1c0ffee65f1c0ffee65f1")}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil || t.Failed() {
		t.Fatalf("publish %d messages: %v", records, err)
	}
	t.Logf("%d records of %d bytes on average", records, size/records)
}

// message is one that a bot has written, in JSON.
func message(id string, i int, start time.Time) []byte {
	at := start.Add(time.Duration(i) * time.Millisecond).Format("2006-01-02T15:04:05.000Z")
	conversation := fmt.Sprintf("support-group-65f1c0ffee65f1c0ffee65f1-%032x", i/12)
	text := fmt.Sprintf("Thank you for waiting. Your order %d has left our warehouse %d and will be with you in %d days; reply here if it is not. ", i*7919, i%97, i%9+1)
	doc, _ := json.Marshal(map[string]any{
		"_id": id, "sender": fmt.Sprintf("bot_%024x", i%50), "senderFullname": "Order desk", "recipient": conversation, "recipientFullname": "Ada Lovelace",
		"text": text + text[:100], "type": "text", "id_project": "65f1c0ffee65f1c0ffee65f1", "channel_type": "group", "channel": map[string]any{"name": "chat21"},
		"status": 200, "language": "en", "createdBy": fmt.Sprintf("bot_%024x", i%50), "createdAt": at, "updatedAt": at,
		"metadata":   map[string]any{},
		"attributes": map[string]any{"requestId": conversation, "intentName": "order_status", "score": float64(i%1000) / 1000, "departmentName": "Default"},
	})
	return doc
}
