package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/producer/tiledesk/tiledesktest"
)

// TestOutages has producer and consumer stream while something that they need is away or spoilt. Neither ends, and afterwards
// everything is there once.
func TestOutages(t *testing.T) {
	slow(t)
	t.Parallel()
	bin := programs(t)
	fault := func(f tiledesktest.Fault) func(*testing.T, *outage) {
		return func(_ *testing.T, o *outage) {
			o.desk.Fail(f)
			o.clock.Add((10 * time.Minute).Milliseconds())
			time.Sleep(5 * time.Second)
			o.desk.Heal()
		}
	}
	away := func(of func(*outage) *tcpProxy, long time.Duration) func(*testing.T, *outage) {
		return func(_ *testing.T, o *outage) {
			p := of(o)
			p.away(true)
			for range 5 {
				o.clock.Add((5 * time.Minute).Milliseconds())
				time.Sleep(long / 5)
			}
			p.away(false)
		}
	}
	kafka := func(o *outage) *tcpProxy { return o.rig.kafka }
	registry := func(o *outage) *tcpProxy { return o.registry }
	warehouse := func(o *outage) *tcpProxy { return o.warehouse }
	for _, test := range []struct {
		name, warehouse string
		before          bool // the registry is away when the programs begin
		happen          func(*testing.T, *outage)
	}{
		{"Kafka away for 10 s", "file", false, away(kafka, 10*time.Second)},
		{"registry away at the start", "file", true, away(registry, 10*time.Second)},
		{"registry away midway", "file", false, away(registry, 10*time.Second)},
		{"PostgreSQL away for 20 s", "postgres", false, away(warehouse, 20*time.Second)},
		{"Tiledesk answers 429", "file", false, fault(tiledesktest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}, Times: 9})},
		{"Tiledesk answers 500", "file", false, fault(tiledesktest.Fault{Status: http.StatusInternalServerError, Body: "oops", Times: 9})},
		{"Tiledesk sends half bodies", "file", false, fault(tiledesktest.Fault{Half: true, Times: 9})},
		{"Tiledesk cuts connections", "file", false, fault(tiledesktest.Fault{Cut: true, Times: 9})},
		{"Tiledesk hangs", "file", false, fault(tiledesktest.Fault{Hang: true, Times: 2})},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker, registry := embedded(t)
			o := &outage{rig: newRig(t, bin, broker, registry)}
			o.registry = rawWire(t, hostOf(t, registry))
			o.env["SCHEMA_REGISTRY_URL"] = "http://" + o.registry.addr
			o.env["TILEDESK_POLL_INTERVAL"] = "500ms"
			if test.warehouse == "postgres" {
				direct := Service(t, "TEST_POSTGRES_URL")
				o.warehouse = rawWire(t, hostOf(t, direct))
				o.stock = postgresStock(t, direct, o.warehouse.addr)
				o.env["WAREHOUSE_URL"], o.env["WAREHOUSE_DATASET"] = o.stock.url, o.stock.dataset
			} else {
				o.stock = o.rig.stock(t, test.warehouse)
			}
			o.stream(t, test.before, test.happen)
		})
	}
}

// outage is a world in which something goes wrong.
type outage struct {
	*rig
	registry  *tcpProxy
	warehouse *tcpProxy // nil where it is not reached over a network
	stock     *stock
}

// stream runs both programs around what happens.
func (o *outage) stream(t *testing.T, before bool, happen func(*testing.T, *outage)) {
	t.Helper()
	o.only("requests", "leads", "tags")
	if before {
		o.registry.away(true)
	}
	producer, consumer := o.start(t, "producer"), o.start(t, "consumer")
	arrives := func() {
		t.Helper()
		settles(t, 2*time.Minute, o.published(t), producer, consumer)
		settles(t, 2*time.Minute, o.loaded(t, o.stock), producer, consumer)
	}
	if !before {
		arrives()
	}
	happen(t, o)
	arrives()
	o.clock.Add((10 * time.Minute).Milliseconds())
	arrives()
	finish(t, producer, consumer)
	o.stock.count(t, o.topics)
}

// rawWire carries bytes.
func rawWire(t testing.TB, server string) *tcpProxy {
	t.Helper()
	return newTCPProxy(t, server, func(client, server net.Conn) {
		carry := func(to io.Writer, from io.Reader) func() error {
			return func() error {
				_, err := io.Copy(to, from)
				return err
			}
		}
		bothWays(client, server, carry(server, client), carry(client, server))
	})
}

func hostOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("not a URL") // it may hold a password
	}
	return u.Host
}

// TestBrokerRestart kills an Apache Kafka under both programs, and starts it again.
func TestBrokerRestart(t *testing.T) {
	slow(t)
	t.Parallel()
	libs := Service(t, "TEST_KAFKA_LIBS")
	k := newApacheKafka(t, libs)
	k.start(t)
	_, registry := embedded(t)
	o := &outage{rig: newRig(t, programs(t), k.addr, registry)}
	o.env["TILEDESK_POLL_INTERVAL"] = "500ms"
	o.stock = o.rig.stock(t, "file")
	o.stream(t, false, func(t *testing.T, o *outage) {
		for range 2 {
			o.clock.Add((10 * time.Minute).Milliseconds())
			time.Sleep(500 * time.Millisecond) // in the middle of it
			k.kill()
			time.Sleep(3 * time.Second)
			k.start(t)
		}
	})
}

// apacheKafka is one KRaft node on plain loopback ports, which can be killed and started again.
type apacheKafka struct {
	addr, dir, libs string
	server          *exec.Cmd
	log             bytes.Buffer
}

func newApacheKafka(t *testing.T, libs string) *apacheKafka {
	t.Helper()
	k := &apacheKafka{dir: t.TempDir(), libs: libs, addr: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	controller := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	writeFile(t, filepath.Join(k.dir, "server.properties"), fmt.Sprintf(`
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
`, k.addr, controller, k.dir))
	if out, err := k.java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", "server.properties").CombinedOutput(); err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	t.Cleanup(k.kill)
	return k
}

func (k *apacheKafka) java(args ...string) *exec.Cmd {
	cmd := exec.Command("java", append([]string{"-Xmx512m", "-cp", filepath.Join(k.libs, "*")}, args...)...)
	cmd.Dir = k.dir
	return cmd
}

// start returns once the broker answers.
func (k *apacheKafka) start(t *testing.T) {
	t.Helper()
	k.log.Reset()
	k.server = k.java("kafka.Kafka", "server.properties")
	k.server.Stdout, k.server.Stderr = &k.log, &k.log
	if err := k.server.Start(); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	eventually(t, "Kafka answers", func() bool {
		_, err := kadm.NewClient(cl).BrokerMetadata(t.Context())
		return err == nil
	})
}

func (k *apacheKafka) kill() {
	if k.server != nil {
		_ = k.server.Process.Kill()
		_ = k.server.Wait()
		k.server = nil
	}
}
