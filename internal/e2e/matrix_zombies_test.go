package e2e

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hold stops the child at a step: the request, or with answered its answer, waits until release is called. held is closed
// once the child has been stopped.
func (g *gate) hold(step string, answered bool) (tr *trap, held <-chan struct{}, release func()) {
	stopped, going := make(chan struct{}), make(chan struct{})
	wait := func() bool {
		g.mu.Lock()
		_ = g.child.Signal(syscall.SIGSTOP)
		g.mu.Unlock()
		close(stopped)
		<-going
		return true
	}
	tr = &trap{step: step, nth: 1}
	if answered {
		tr.after = wait
	} else {
		tr.before = wait
	}
	return tr, stopped, func() { close(going) }
}

// settles waits until what returns nothing left to wait for.
func settles(t *testing.T, within time.Duration, what func() []string, children ...*child) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(300 * time.Millisecond) {
		left := what()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, c := range children {
				t.Logf("%s:\n%s", c.Path, &c.out)
			}
			t.Fatalf("after %s still %d, such as %s", within, len(left), left[0])
		}
	}
}

// published lists what is not in the topics yet.
func (r *rig) published(t *testing.T) func() []string {
	return func() []string {
		r.topics.read(t)
		return r.topics.missing(t, r.source)
	}
}

// loaded lists what is not in the warehouse yet.
func (r *rig) loaded(t *testing.T, k *stock) func() []string {
	return func() []string {
		lost, _, err := k.check(t.Context(), t, r.topics)
		if err != nil {
			return []string{err.Error()}
		}
		return lost
	}
}

// finish ends children in good order.
func finish(t *testing.T, children ...*child) {
	t.Helper()
	for _, c := range children {
		_ = c.Process.Signal(syscall.SIGTERM)
	}
	for _, c := range children {
		if _, err := c.wait(t); err != nil {
			t.Errorf("%s, told to end: %v\n%s", c.Path, err, &c.out)
		}
	}
}

func await(t *testing.T, held <-chan struct{}, c *child) {
	t.Helper()
	select {
	case <-held:
	case <-c.ended:
		t.Fatalf("%s has ended: %v\n%s", c.Path, c.err, &c.out)
	case <-time.After(time.Minute):
		t.Fatalf("the step does not come:\n%s", &c.out)
	}
}

// TestZombieProducer stops a producer inside a transaction for longer than its session, while another takes its lane over
// and publishes. When the first goes on it is fenced, and nothing is there twice.
func TestZombieProducer(t *testing.T) {
	slow(t)
	t.Parallel()
	bin := programs(t)
	for _, answered := range []bool{false, true} {
		for _, kafka := range []string{"embedded", "real"} {
			name := kafka + " Kafka, stopped before EndTxn"
			if answered {
				name = kafka + " Kafka, stopped before the answer to EndTxn"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				broker, registry := brokerAndRegistry(t, kafka)
				r := newRig(t, bin, broker, registry)
				r.env["TILEDESK_POLL_INTERVAL"] = "1s"
				first := r.start(t, "producer")
				settles(t, time.Minute, r.published(t), first)

				tr, held, release := r.gate.hold("EndTxn", answered)
				r.gate.arm(tr)
				r.clock.Add((10 * time.Minute).Milliseconds())
				await(t, held, first)
				second := r.sibling(t).start(t, "producer")
				r.clock.Add((10 * time.Minute).Milliseconds())
				settles(t, 2*time.Minute, r.published(t), first, second)

				release()
				_ = first.Process.Signal(syscall.SIGCONT)
				for range 5 {
					r.clock.Add((10 * time.Minute).Milliseconds())
					time.Sleep(2 * time.Second)
				}
				settles(t, time.Minute, r.published(t), first, second)
				if n := r.topics.twice(); n > 0 {
					t.Errorf("%d records twice", n)
				}
				finish(t, first, second)
			})
		}
	}
}

// TestZombieConsumer stops a consumer inside a load for longer than its session, while another takes its partitions over
// and loads. When the first goes on, its ledger has moved.
func TestZombieConsumer(t *testing.T) {
	slow(t)
	t.Parallel()
	bin := programs(t)
	for _, test := range []struct {
		name, warehouse, step string
		answered              bool
	}{
		{"PostgreSQL, before COMMIT", "postgres", pgCommit, false},
		{"PostgreSQL, before the answer to COMMIT", "postgres", pgCommit, true},
		{"PostgreSQL, between the lock and the rows", "postgres", pgStage, false},
		{"files, after a fetch", "file", "Fetch", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker, registry := embedded(t)
			r := newRig(t, bin, broker, registry)
			k := r.stock(t, test.warehouse)
			r.publish(t)
			first := r.start(t, "consumer")
			r.topics.read(t)
			settles(t, time.Minute, r.loaded(t, k), first)

			tr, held, release := r.gate.hold(test.step, test.answered)
			if test.warehouse == "file" {
				release()
				tr, held, release = r.stopSoonAfter(test.step)
			}
			r.gate.arm(tr)
			r.clock.Add(time.Hour.Milliseconds())
			r.publish(t)
			await(t, held, first)

			other := r.sibling(t)
			if test.warehouse == "postgres" {
				u, err := url.Parse(Service(t, "TEST_POSTGRES_URL"))
				if err != nil {
					t.Fatal(err)
				}
				own := postgresWire(t, other.gate, u.Host).addr
				other.env["WAREHOUSE_URL"] = strings.Replace(u.String(), u.Host, own, 1)
			}
			second := other.start(t, "consumer")
			r.clock.Add(time.Hour.Milliseconds())
			r.publish(t)
			r.topics.read(t)
			settles(t, 3*time.Minute, r.loaded(t, k), first, second)

			release()
			_ = first.Process.Signal(syscall.SIGCONT)
			for range 5 {
				r.clock.Add(time.Hour.Milliseconds())
				r.publish(t)
				time.Sleep(time.Second)
			}
			r.topics.read(t)
			settles(t, 2*time.Minute, r.loaded(t, k), first, second)
			finish(t, first, second)
			k.count(t, r.topics)
		})
	}
}

// stopSoonAfter stops the child a few milliseconds after the answer to a step has gone on.
func (r *rig) stopSoonAfter(step string) (tr *trap, held <-chan struct{}, release func()) {
	stopped := make(chan struct{})
	g := r.gate
	return &trap{step: step, nth: 1, after: func() bool {
		time.AfterFunc(time.Duration(rand.Int64N(int64(150*time.Millisecond))), func() {
			g.mu.Lock()
			_ = g.child.Signal(syscall.SIGSTOP)
			g.mu.Unlock()
			close(stopped)
		})
		return true
	}}, stopped, func() {}
}

// TestComingAndGoing has two producers and three consumers at work, of which every second one is stopped, killed or started.
func TestComingAndGoing(t *testing.T) {
	slow(t)
	t.Parallel()
	bin := programs(t)
	for _, warehouse := range []string{"file", "postgres"} {
		t.Run(warehouse, func(t *testing.T) {
			t.Parallel()
			kafka := "embedded"
			if warehouse == "postgres" {
				kafka = "real"
			}
			broker, registry := brokerAndRegistry(t, kafka)
			r := newRig(t, bin, broker, registry)
			k := r.stock(t, warehouse)
			r.env["TILEDESK_POLL_INTERVAL"] = "300ms"
			running := make([]*child, 5)
			killed, ended := 0, 0
			for tick := range 30 {
				r.clock.Add((2 * time.Minute).Milliseconds())
				i := tick % len(running)
				if tick >= len(running) {
					i = rand.IntN(len(running))
				}
				switch c := running[i]; {
				case c == nil:
					running[i] = r.start(t, []string{"producer", "producer", "consumer", "consumer", "consumer"}[i])
				case rand.IntN(3) == 0:
					_ = c.Process.Kill()
					<-c.ended
					running[i] = nil
					killed++
				default:
					finish(t, c)
					running[i] = nil
					ended++
				}
				time.Sleep(time.Second)
			}
			for _, c := range running {
				if c != nil {
					finish(t, c)
				}
			}
			r.bury(t, r.prefix+"-consumer")
			for _, program := range []string{"producer", "consumer"} {
				if _, err := r.once(t, program); err != nil {
					t.Fatal(err)
				}
			}
			r.topics.read(t)
			report(t, "topics", "lost", r.topics.missing(t, r.source))
			k.count(t, r.topics)
			t.Logf("%d killed, %d ended", killed, ended)
		})
	}
}
