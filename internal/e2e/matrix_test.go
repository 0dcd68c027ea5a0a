package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tilestream/schemas"
)

// step is a place to die at: a request of a protocol, from its first time to its most-th.
type step struct {
	name string
	most int
	new  bool // happens only while topics and schemas are new
}

// producerSteps are what a producer asks of others, from its start to a published page. Brokers since Kafka 4.0 are not asked
// AddPartitionsToTxn: Produce does it (KIP-890).
var producerSteps = []step{
	{"CreateTopics", 1, true}, {registryRegister, 8, true},
	{"Metadata", 2, false}, {"FindCoordinator", 1, false}, {"InitProducerID", 1, false}, {"AddPartitionsToTxn", 4, false}, {"Produce", 6, false},
	{"EndTxn", 6, false}, {"ListOffsets", 1, false}, {"Fetch", 2, false}, {tiledeskGet, 10, false}, {registryRegister, 3, false},
}

// consumerSteps are what a consumer asks of Kafka and the registry. Within a load of DuckDB or files there is nobody to ask:
// those are met by being killed soon after an answer, and the sinks' own tests stop at each of their steps.
var consumerSteps = []step{
	{"Metadata", 3, false}, {"ListOffsets", 3, false}, {"FindCoordinator", 1, false}, {"JoinGroup", 2, false}, {"SyncGroup", 1, false},
	{"OffsetFetch", 1, false}, {"Fetch", 8, false}, {"OffsetCommit", 1, false}, {"LeaveGroup", 1, false}, {registryAsk, 5, false},
}

// postgresSteps are a load's transaction, and what surrounds it.
var postgresSteps = []step{
	{pgConnect, 2, false}, {pgNext, 2, false}, {pgPrepare, 1, false}, {pgBegin, 5, false}, {pgFence, 5, false}, {pgStage, 5, false}, {pgCopy, 5, false},
	{pgCopyData, 5, false}, {pgCopyDone, 5, false}, {pgMerge, 5, false}, {pgAccount, 5, false}, {pgCommit, 6, false},
}

// tally is a row of the table at the end.
type tally struct{ kills, replies, lost, twice int }

type matrix struct {
	mu    sync.Mutex
	cells map[[2]string]*tally // by step, and by what was under test
}

func (m *matrix) add(step, under string, more tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cells[[2]string{step, under}]
	if c == nil {
		c = &tally{}
		m.cells[[2]string{step, under}] = c
	}
	c.kills += more.kills
	c.replies += more.replies
	c.lost += more.lost
	c.twice += more.twice
}

func (m *matrix) String() string {
	var b strings.Builder
	var sum tally
	fmt.Fprintf(&b, "\n%-28s %-34s %6s %13s %5s %6s\n", "step", "under test", "kills", "replies lost", "lost", "twice")
	line := func(step, under string, c tally) {
		fmt.Fprintf(&b, "%-28s %-34s %6d %13d %5d %6d\n", step, under, c.kills, c.replies, c.lost, c.twice)
	}
	for _, k := range slices.SortedFunc(maps.Keys(m.cells), func(a, b [2]string) int { return strings.Compare(a[1]+a[0], b[1]+b[0]) }) {
		c := *m.cells[k]
		line(k[0], k[1], c)
		sum = tally{sum.kills + c.kills, sum.replies + c.replies, sum.lost + c.lost, sum.twice + c.twice}
	}
	line("all", "", sum)
	return b.String()
}

// kills is how many kills the whole matrix aims at: 64 go through every column, 504 through every cell.
func kills(t testing.TB) int {
	n, err := strconv.Atoi(os.Getenv("TEST_KILLS"))
	if err != nil {
		t.Fatalf("TEST_KILLS: %v: it takes a number", err)
	}
	return n
}

// slow leaves out a test that takes minutes, unless it is asked for.
func slow(t testing.TB) {
	t.Helper()
	if os.Getenv("TEST_KILLS") == "" {
		t.Skip("kills real processes for minutes: TEST_KILLS=64 runs it")
	}
}

// columns are what the matrix kills, each against its own topics and warehouse.
var columns = []struct{ program, kafka, warehouse string }{
	{"producer", "embedded", ""},
	{"producer", "real", ""},
	{"consumer", "embedded", "duckdb"},
	{"consumer", "embedded", "file"},
	{"consumer", "embedded", "postgres"},
	{"consumer", "real", "duckdb"},
	{"consumer", "real", "file"},
	{"consumer", "real", "postgres"},
	{"consumer", "embedded", "s3"},
	{"consumer", "embedded", "iceberg"},
	{"consumer", "embedded", "gs"},
	{"consumer", "embedded", "azblob"},
}

// TestCrashMatrix kills real producers and consumers at every step of their protocols, or has the reply to it lost, starts
// them again, and counts: what is in the topics or the warehouse is each version of each document of the source, once. Nothing but
// a kill ends a run early.
// TEST_KILLS=504 goes through all of it.
func TestCrashMatrix(t *testing.T) {
	slow(t)
	t.Parallel()
	m := &matrix{cells: map[[2]string]*tally{}}
	bin := programs(t)
	quota := (kills(t) + len(columns) - 1) / len(columns)
	t.Run("columns", func(t *testing.T) {
		for _, c := range columns {
			name := c.program + " on " + c.kafka + " Kafka"
			if c.warehouse != "" {
				name += " to " + c.warehouse
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				broker, registry := brokerAndRegistry(t, c.kafka)
				r := newRig(t, bin, broker, registry)
				if c.program == "producer" {
					r.killProducers(t, m, name, quota)
					return
				}
				r.killConsumers(t, m, name, r.stock(t, c.warehouse), quota)
			})
		}
	})
	t.Log(m)
}

// stock makes the warehouse of a column and points the children at it.
func (r *rig) stock(t *testing.T, kind string) *stock {
	t.Helper()
	var k *stock
	switch kind {
	case "duckdb":
		k = duckDBStock(t)
	case "file":
		k = filesStock(t)
	case "postgres":
		direct := Service(t, "TEST_POSTGRES_URL")
		u, err := url.Parse(direct)
		if err != nil {
			t.Fatal(err)
		}
		k = postgresStock(t, direct, postgresWire(t, r.gate, u.Host).addr)
		k.steps = postgresSteps
	default:
		k = storeStock(t, r.gate, kind)
	}
	maps.Copy(r.env, k.env)
	r.env["WAREHOUSE_URL"], r.env["WAREHOUSE_DATASET"] = k.url, k.dataset
	return k
}

// cell is one step and what happens at it.
type cell struct {
	step
	do action
}

// cells lists what a column does, in an order of its own each time; what only new topics see comes first.
func cells(t testing.TB, steps []step, dos ...action) (first, rest []cell) {
	for _, s := range steps {
		for _, do := range dos {
			if s.new {
				first = append(first, cell{s, do})
			} else {
				rest = append(rest, cell{s, do})
			}
		}
	}
	rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return first, rest
}

// round runs a program into a trap, then to its end without one. It reports whether the trap went off.
func (r *rig) round(t *testing.T, m *matrix, under, program string, c cell, after func() (lost, twice int)) (met bool, killed bool) {
	t.Helper()
	nth := 1 + rand.IntN(c.most)
	trap := r.gate.trap(c.name, nth, c.do)
	r.gate.arm(trap)
	killed, err := r.once(t, program)
	if met = r.gate.sprung(trap); err != nil && !killed {
		t.Errorf("%s, %d: %s (met: %v): %v", c.name, nth, c.do, met, err)
	}
	r.gate.arm()
	if killed && program == "consumer" {
		r.bury(t, r.prefix+"-consumer")
	}
	if _, err := r.once(t, program); err != nil {
		t.Fatalf("%s at time %d of %s, then started again: %v", c.do, nth, c.name, err)
	}
	lost, twice := after()
	if lost+twice > 0 {
		t.Fatalf("%s at time %d of %s: %d lost, %d twice", c.do, nth, c.name, lost, twice)
	}
	one := tally{lost: lost, twice: twice}
	switch {
	case killed:
		one.kills = 1
	case met:
		one.replies = 1
	}
	if met {
		m.add(c.name, under, one)
	}
	return met, killed
}

// rounds goes over the cells until there have been quota kills.
func (r *rig) rounds(t *testing.T, quota int, first, rest []cell, round func(cell) (met, killed bool)) {
	t.Helper()
	met := map[cell]bool{}
	n := 0
	do := func(c cell) {
		ok, killed := round(c)
		met[c] = met[c] || ok
		if killed {
			n++
		}
	}
	for _, c := range first {
		do(c)
	}
	for passes := 0; n < quota; passes++ {
		if passes == 20 {
			t.Fatalf("%d kills in 20 passes over %d cells", n, len(rest))
		}
		for _, c := range rest {
			if do(c); n >= quota {
				return
			}
		}
		for _, c := range rest {
			if !met[c] {
				t.Logf("never met: %s, %s", c.name, c.do)
			}
		}
	}
}

// killProducers holds the topics against the source after each kill, and loads all of it at the end.
func (r *rig) killProducers(t *testing.T, m *matrix, under string, quota int) {
	first, rest := cells(t, producerSteps, killBefore, killAfter, dropReply)
	r.rounds(t, quota, first, rest, func(c cell) (bool, bool) {
		r.clock.Add((time.Minute + time.Duration(rand.IntN(300))*time.Second).Milliseconds())
		return r.round(t, m, under, "producer", c, func() (int, int) {
			before := r.topics.twice()
			r.topics.read(t)
			missing := r.topics.missing(t, r.source)
			report(t, "topics", "lost", missing)
			return len(missing), r.topics.twice() - before
		})
	})
	k := r.stock(t, "duckdb")
	if _, err := r.once(t, "consumer"); err != nil {
		t.Fatal(err)
	}
	k.count(t, r.topics)
	w := warehouse{db: k.open(t), dataset: k.dataset, row: "to_json"}
	w.compare(t, r.source, schemas.Resources...)
	w.ledgerIsData(t, schemas.Resources...)
}

// killConsumers holds the warehouse against the topics after each kill, and against the source at the end.
func (r *rig) killConsumers(t *testing.T, m *matrix, under string, k *stock, quota int) {
	steps := slices.Concat(consumerSteps, k.steps)
	first, rest := cells(t, steps, killBefore, killAfter, dropReply)
	if k.steps == nil {
		for range 10 {
			rest = append(rest, cell{step{"Fetch", 8, false}, killLater})
		}
		rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	}
	r.rounds(t, quota, first, rest, func(c cell) (bool, bool) {
		r.clock.Add((time.Minute + time.Duration(rand.IntN(600))*time.Second).Milliseconds())
		r.publish(t)
		return r.round(t, m, under, "consumer", c, func() (int, int) {
			r.topics.read(t)
			return k.count(t, r.topics)
		})
	})
	if k.name == "file" || k.open == nil {
		return // every version is there, counted: the table of a plain warehouse is another test's
	}
	w := warehouse{db: k.open(t), dataset: k.dataset, row: map[string]string{"duckdb": "to_json", "postgres": "to_jsonb"}[k.name]}
	w.compare(t, r.source, schemas.Resources...)
	w.ledgerIsData(t, schemas.Resources...)
}
