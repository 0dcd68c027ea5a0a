package load

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tilestream/consumer/sink"
)

// A first exchange that breaks ends no run.
func TestFirstExchangesAreTriedAgain(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.ApiVersions, kmsg.Metadata, kmsg.CreateTopics, kmsg.DescribeConfigs, kmsg.ListOffsets, kmsg.FindCoordinator, kmsg.JoinGroup} {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, "tags")
			w.produce(w.records("tags", 0, 3, 0)...)
			w.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("cut"), true })
			w.mustOnce(w.config())
			w.check("tags")
		})
	}
}

// Kafka may come up later than the consumer does.
func TestKafkaIsLate(t *testing.T) {
	for name, once := range map[string]bool{"streaming": false, "once": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			_, text, err := net.SplitHostPort(w.kafka.Brokers[0])
			if err != nil {
				t.Fatal(err)
			}
			port, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			w.cluster.Close()
			assigned, done := make(chan struct{}, 100), make(chan error, 1)
			stop := func() error { return <-done }
			if once {
				go func() { done <- w.once(w.config()) }()
			} else {
				stop = w.start(w.config(), Events{Assigned: func(map[sink.Partition]Backlog) { assigned <- struct{}{} }})
			}
			time.Sleep(time.Second)
			if w.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.cluster.Close)
			if !once {
				<-assigned
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
