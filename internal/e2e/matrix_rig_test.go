package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tilestream/internal/local"
	"tilestream/producer/poll"
	"tilestream/producer/tiledesk/tiledesktest"
)

// programs builds producer and consumer, and returns the directory that they are in.
func programs(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "tilestream/producer", "tilestream/consumer").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// rig is a world around children: a source whose clock the test moves, Kafka, a registry, and proxies before all of them.
type rig struct {
	bin      string // directory of the programs
	gate     *gate
	source   source // past the proxy
	desk     *tiledesktest.Server
	clock    *atomic.Int64
	broker   string // past the proxy
	registry string // past the proxy
	kafka    *tcpProxy
	prefix   string
	env      map[string]string // of children: everything through the proxies
	direct   *pipeline         // in this process, past the proxies
	topics   *topics
}

// embedded starts the Kafka and the registry that go run . brings along.
func embedded(t testing.TB) (broker, registry string) {
	t.Helper()
	k, err := local.StartKafka(t.Context(), t.TempDir(), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k.Brokers[0], k.RegistryURL
}

// brokerAndRegistry returns the addresses of embedded ones, or of real ones.
func brokerAndRegistry(t testing.TB, kafka string) (broker, registry string) {
	t.Helper()
	if kafka == "real" {
		return Service(t, "TEST_KAFKA_BROKERS"), Service(t, "TEST_SCHEMA_REGISTRY_URL")
	}
	return embedded(t)
}

func newRig(t testing.TB, bin, broker, registry string) *rig {
	t.Helper()
	s, clock, desk := sample(t, time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	r := &rig{bin: bin, source: s, registry: registry, desk: desk, clock: clock, broker: broker, prefix: unique("matrix")}
	common := map[string]string{
		"TILEDESK_PROJECT_ID": s.project, "TILEDESK_TOKEN": s.token, "TILEDESK_REQUESTS_PER_MINUTE": "1000000",
		"KAFKA_TOPIC_PREFIX": r.prefix, "KAFKA_TOPIC_PARTITIONS": "2",
		"BATCH_ROWS": "200", "BATCH_AGE": "50ms", "HTTP_ADDR": "off", "LOG_FORMAT": "text",
	}
	r.env = common
	r.fence(t)
	common = maps.Clone(common)
	maps.Copy(common, map[string]string{"TILEDESK_URL": s.url, "KAFKA_BROKERS": broker, "SCHEMA_REGISTRY_URL": registry})
	r.direct = newPipeline(t, common)
	r.topics = readTopics(t, broker, r.prefix)
	return r
}

// fence puts a new gate and new proxies before the children that are started from now on.
func (r *rig) fence(t testing.TB) {
	t.Helper()
	r.gate = &gate{}
	r.kafka = kafkaWire(t, r.gate, r.broker)
	r.env = maps.Clone(r.env)
	maps.Copy(r.env, map[string]string{
		"TILEDESK_URL": tiledeskWire(t, r.gate, r.desk), "KAFKA_BROKERS": r.kafka.addr, "SCHEMA_REGISTRY_URL": registryWire(t, r.gate, r.registry),
	})
}

// sibling is the same world for another child, with a gate and proxies of its own.
func (r *rig) sibling(t testing.TB) *rig {
	t.Helper()
	other := *r
	other.fence(t)
	return &other
}

// only has the children poll a few resources: a small world, for tests that wait for all of it.
func (r *rig) only(names ...string) {
	r.env["TILEDESK_RESOURCES"] = strings.Join(names, ",")
	maps.DeleteFunc(r.topics.of, func(_ string, p *topic) bool { return !slices.Contains(names, p.resource.Name) })
}

// publish brings the topics up to date, in this process and past the proxies.
func (r *rig) publish(t testing.TB) {
	t.Helper()
	clients, err := r.direct.tiledesk.Clients(r.direct.env, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.direct.poll
	cfg.Once = true
	if err := poll.Run(t.Context(), cfg, r.direct.kafka, clients, poll.Events{}); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

// child is a process under test.
type child struct {
	*exec.Cmd
	out   output
	ended chan struct{}
	err   error // once ended
}

// output is what a process has written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts a program behind the gate; it is killed at the end of the test at the latest.
func (r *rig) start(t testing.TB, program string, args ...string) *child {
	t.Helper()
	r.gate.mu.Lock() // no step before the gate knows whom to kill
	defer r.gate.mu.Unlock()
	c := launch(t, filepath.Join(r.bin, program), r.env, args...)
	r.gate.child = c.Process
	return c
}

// launch starts a program with these variables alone.
func launch(t testing.TB, path string, env map[string]string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(path, args...), ended: make(chan struct{})}
	c.Stdout, c.Stderr = &c.out, &c.out
	c.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		c.Env = append(c.Env, k+"="+env[k])
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		c.err = c.Wait()
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-c.ended
	})
	return c
}

// wait returns how the process ended.
func (c *child) wait(t testing.TB) (killed bool, err error) {
	t.Helper()
	return c.within(t, 3*time.Minute)
}

// within is wait for a process that may have more, or less, to do.
func (c *child) within(t testing.TB, long time.Duration) (killed bool, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	select {
	case <-c.ended:
	case <-ctx.Done():
		t.Fatalf("%s does not end:\n%s", filepath.Base(c.Path), &c.out)
	}
	var exit *exec.ExitError
	if errors.As(c.err, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		return ok && status.Signal() == syscall.SIGKILL, c.err
	}
	return false, c.err
}

// once runs a program with -once to its end. The error says how it ended, unless well.
func (r *rig) once(t testing.TB, program string) (killed bool, err error) {
	t.Helper()
	c := r.start(t, program, "-once")
	killed, err = c.wait(t)
	if err != nil && !killed {
		err = fmt.Errorf("%s -once: %w\n%s", program, err, &c.out)
	}
	return killed, err
}

// bury takes killed members out of the consumer group. The broker would do so after their session, 15 s, for which a
// matrix has no time; the tests of zombies wait for it.
func (r *rig) bury(t testing.TB, group string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.broker))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var groups kadm.DescribedGroups
	// A broker that has just started, or makes its topic for groups, does not know yet who coordinates them.
	for n := 1; ; n++ {
		groups, err = kadm.NewClient(cl).DescribeGroups(t.Context(), group)
		if err == nil {
			err = groups[group].Err
		}
		if err == nil || !kerr.IsRetriable(err) || n == 60 {
			break
		}
		time.Sleep(time.Second / 2)
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = group
	for _, m := range groups[group].Members {
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID = m.MemberID
		leave.Members = append(leave.Members, member)
	}
	if len(leave.Members) == 0 {
		return
	}
	if _, err := leave.RequestWith(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
}
