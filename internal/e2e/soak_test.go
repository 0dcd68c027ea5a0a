package e2e

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

var soakFor = flag.Duration("soak", 2*time.Minute, "how long TestSoak streams and kills")

const (
	soakRoom = 128 << 20              // for records, in each part
	soakBeat = 250 * time.Millisecond // how often the source's clock moves
)

// TestSoak streams a source that changes all the time into three warehouses at once, with two producers, five consumers and an
// Apache Kafka that are killed at random. What has arrived in the end is compared with the source, document by document and
// value by value, and by consumer verify. No process takes more memory than its limit and the overhead.
func TestSoak(t *testing.T) {
	slow(t)
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	s := newSoak(t)
	for _, p := range s.parts {
		p.start(t)
	}
	rest := s.change(t)
	s.kill(t)
	rest()
	began := time.Now()
	s.drain(t)
	s.drained = time.Since(began)
	s.compare(t)
	s.print(t)
}

// soak is a world with all parts of Tilestream in it.
type soak struct {
	*rig
	node    *apacheKafka
	broken  int // times that it was killed
	parts   []*part
	stocks  []*stock
	found   map[*stock]tally
	proven  map[*stock]string // what consumer verify says
	drained time.Duration
}

// part is a process that is killed and started again.
type part struct {
	name, path string
	env        map[string]string
	stock      *stock // of a consumer
	alone      bool   // in its group
	most       int64  // memory that it may take, in bytes
	running    *child
	peaks      []func() int64 // of each child so far
	kills      int
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	postgres, registry := Service(t, "TEST_POSTGRES_URL"), Service(t, "TEST_SCHEMA_REGISTRY_URL")
	node := newApacheKafka(t, Service(t, "TEST_KAFKA_LIBS"))
	node.start(t)
	bin := programs(t)
	s := &soak{rig: newRig(t, bin, node.addr, registry), node: node, found: map[*stock]tally{}, proven: map[*stock]string{}}
	common := maps.Clone(s.env)
	maps.Copy(common, map[string]string{
		"TILEDESK_URL": s.source.url, "KAFKA_BROKERS": node.addr, "SCHEMA_REGISTRY_URL": registry, // past the proxies
		"TILEDESK_POLL_INTERVAL": "300ms", "BATCH_ROWS": "2000", "BATCH_AGE": "300ms",
	})
	add := func(program, name string, k *stock, n int) {
		for i := range n {
			p := &part{
				name: fmt.Sprint(name, " ", i+1), path: filepath.Join(bin, program), env: maps.Clone(common),
				stock: k, alone: n == 1, most: soakRoom + overhead,
			}
			if k != nil {
				p.env["WAREHOUSE_URL"], p.env["WAREHOUSE_DATASET"], p.env["KAFKA_GROUP"] = k.url, k.dataset, s.prefix+"-"+k.name
				p.most += sink.Memory(k.name)
				p.env["MEMORY_LIMIT"] = strconv.FormatInt(p.most-overhead, 10)
			}
			s.parts = append(s.parts, p)
		}
	}
	s.stocks = []*stock{postgresStock(t, postgres, hostOf(t, postgres)), duckDBStock(t), filesStock(t)}
	add("producer", "producer", nil, 2)
	add("consumer", "consumer, postgres", s.stocks[0], 3)
	add("consumer", "consumer, duckdb", s.stocks[1], 1)
	add("consumer", "consumer, file", s.stocks[2], 1)
	return s
}

// change moves the source's clock until it is told to rest. However long it takes the source stays in our past: what a server
// says of the future is not believed.
func (s *soak) change(t *testing.T) (rest func()) {
	t.Helper()
	const most = 100 * 24 * time.Hour
	pace := min(10*time.Minute, most/max(1, *soakFor/soakBeat))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.Tick(soakBeat); ; s.clock.Add(pace.Milliseconds()) {
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
		}
	}()
	rest = func() { cancel(); <-ended }
	t.Cleanup(rest)
	return rest
}

// kill kills one or two parts every few seconds, and Kafka every minute or so, and starts them again soon after.
func (s *soak) kill(t *testing.T) {
	t.Helper()
	// A short soak has it twice as well.
	pause := min(*soakFor/3, time.Minute)
	began := time.Now()
	broken := began
	for time.Since(began) < *soakFor && !t.Failed() {
		time.Sleep(500*time.Millisecond + rand.N(3*time.Second))
		if time.Since(broken) > pause {
			s.node.kill()
			time.Sleep(time.Second + rand.N(3*time.Second))
			s.node.start(t)
			s.broken++
			broken = time.Now()
			continue
		}
		some := rand.Perm(len(s.parts))[:1+rand.IntN(2)]
		for _, i := range some {
			s.parts[i].kill(t)
		}
		for _, i := range some {
			// The group of one that is dead would wait 15 s for it. Where others live they are thrown out as well, now and then.
			if p := s.parts[i]; p.stock != nil && (p.alone || rand.IntN(2) == 0) {
				s.bury(t, p.env["KAFKA_GROUP"])
			}
		}
		time.Sleep(rand.N(time.Second))
		for _, i := range some {
			s.parts[i].start(t)
		}
	}
	time.Sleep(10 * time.Second) // a process that has only begun does not hear yet that it should end
}

func (p *part) start(t *testing.T, args ...string) {
	t.Helper()
	p.running = launch(t, p.path, p.env, args...)
	p.peaks = append(p.peaks, watch(t, p.running))
}

// kill kills the process, which must not have ended by itself.
func (p *part) kill(t *testing.T) {
	t.Helper()
	select {
	case <-p.running.ended:
		t.Errorf("%s has ended by itself: %v\n%s", p.name, p.running.err, &p.running.out)
	default:
	}
	_ = p.running.Process.Kill()
	<-p.running.ended
	p.kills++
}

// peak is the most memory that one of its processes had, in bytes.
func (p *part) peak() (most int64) {
	for _, of := range p.peaks {
		most = max(most, of())
	}
	return most
}

// drain ends every process in good order, then has one of each kind go on to the end.
func (s *soak) drain(t *testing.T) {
	t.Helper()
	groups := map[string]*part{}
	var running []*child
	for _, p := range s.parts {
		running = append(running, p.running)
		groups[p.env["KAFKA_GROUP"]] = p // producers have none
	}
	finish(t, running...)
	once := func(p *part) {
		p.start(t, "-once")
		if _, err := p.running.within(t, 3*time.Minute+*soakFor); err != nil {
			t.Fatalf("%s -once: %v\n%s", p.name, err, &p.running.out)
		}
	}
	once(groups[""])
	delete(groups, "")
	for group, p := range groups {
		s.bury(t, group)
		once(p)
	}
	s.topics.read(t)
}

// compare holds the topics against the source, and each warehouse against both.
func (s *soak) compare(t *testing.T) {
	t.Helper()
	report(t, "topics", "lost", s.topics.missing(t, s.source))
	want := map[string]map[string]document{}
	for _, r := range schemas.Resources {
		want[r.Name] = s.source.documents(t, r)
	}
	for _, k := range s.stocks {
		lost, twice := k.count(t, s.topics)
		s.found[k] = tally{lost: lost, twice: twice}
		db := k.open(t)
		w := warehouse{db: db, dataset: k.dataset, row: "to_json"}
		switch k.name {
		case "postgres":
			w.row = "to_jsonb"
		case "file":
			showNewest(t, w, strings.TrimPrefix(k.url, "file://"), slices.Collect(maps.Keys(want))...)
		}
		for _, r := range schemas.Resources {
			w.matches(t, r.Name, want[r.Name])
		}
		if k.name != "file" { // whose loads are its files: count has held them against the topics
			w.ledgerIsData(t, schemas.Resources...)
		}
		_ = db.Close() // DuckDB lets one process in
	}
	for _, p := range s.parts {
		if p.stock == nil || s.proven[p.stock] != "" {
			continue
		}
		s.proven[p.stock] = "proven"
		c := launch(t, p.path, p.env, "verify")
		if _, err := c.wait(t); err != nil {
			s.proven[p.stock] = "damaged"
			t.Errorf("%s verify: %v\n%s", p.name, err, &c.out)
		}
	}
}

// showNewest makes a view of tables of a warehouse of files: the newest version of each row, as the design has it.
func showNewest(t *testing.T, w warehouse, dir string, tables ...string) {
	t.Helper()
	exec := func(query string) {
		if _, err := w.db.ExecContext(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	w.db.SetMaxOpenConns(1) // a database in memory belongs to its connection
	exec(fmt.Sprintf(`CREATE SCHEMA %q`, w.dataset))
	for _, table := range tables {
		exec(fmt.Sprintf(`CREATE VIEW %q.%q AS FROM read_parquet('%s', union_by_name = true, hive_partitioning = false)
			QUALIFY row_number() OVER (PARTITION BY _id ORDER BY updated_at DESC, _kafka_offset DESC) = 1`,
			w.dataset, table, filepath.Join(dir, w.dataset, table, "*", "*.parquet")))
	}
}

// print shows what was done and found, and fails where a process took too much.
func (s *soak) print(t *testing.T) {
	t.Helper()
	var out strings.Builder
	tab := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tab, "part\tkills\tpeak MiB\tmost MiB\t\nApache Kafka\t%d\t\t\t\n", s.broken)
	kills := s.broken
	for _, p := range s.parts {
		peak := p.peak()
		if peak > p.most {
			t.Errorf("%s took %d MiB at its peak, %d MiB at most are right", p.name, peak>>20, p.most>>20)
		}
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\t\n", p.name, p.kills, peak>>20, p.most>>20)
		kills += p.kills
	}
	fmt.Fprintf(tab, "all\t%d\t\t\t\n\t\t\t\t\n", kills)
	records := 0
	for _, p := range s.topics.of {
		records += p.records
	}
	fmt.Fprintf(tab, "warehouse\trecords\tlost\ttwice\tverify\t\ntopics\t%d\t\t%d\t\t\n", records, s.topics.twice())
	for _, k := range s.stocks {
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\t%s\t\n", k.name, records, s.found[k].lost, s.found[k].twice, s.proven[k])
	}
	_ = tab.Flush()
	t.Logf("%s of changes and kills, %.0f s to the end of them\n%s", *soakFor, s.drained.Seconds(), &out)
}
