package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/producer/poll"
	"tilestream/schemas"
)

var seed = flag.Uint64("seed", 0, "what the documents of TestEvolution are made from; 0: another in each run")

// evolution is a world of two projects whose documents change their shape all the time, and two producers.
type evolution struct {
	*shifting
	desks  map[string]*hostileDesk // by project
	env    map[string]string
	want   map[string]map[string]document // by table and _id
	put    int                            // documents, and versions of them
	keep   bool                           // no document is put a second time
	rounds int
}

func newEvolution(t *testing.T, kafka string, more map[string]string) *evolution {
	t.Helper()
	broker, registry := brokerAndRegistry(t, kafka)
	seed := *seed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	e := &evolution{shifting: newShifting(seed), desks: map[string]*hostileDesk{}, want: map[string]map[string]document{}}
	for i := range 2 {
		e.desks[fmt.Sprintf("65f1c0de000000000000000%d", i)] = &hostileDesk{docs: map[string][]hostileDoc{}}
	}
	for resource := range e.shapes {
		e.want[resource] = map[string]document{}
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		project, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if desk := e.desks[project]; desk != nil {
			desk.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(web.Close)
	e.env = map[string]string{
		"TILEDESK_URL": web.URL, "TILEDESK_PROJECT_ID": strings.Join(e.projects(), ","), "TILEDESK_TOKEN": "not-looked-at", "TILEDESK_API": "v3",
		"TILEDESK_REQUESTS_PER_MINUTE": "1000000", "TILEDESK_RESOURCES": "messages,requests,bots", "TILEDESK_POLL_INTERVAL": "100ms",
		"KAFKA_BROKERS": broker, "SCHEMA_REGISTRY_URL": registry, "KAFKA_TOPIC_PREFIX": unique("evolution"), "KAFKA_TOPIC_PARTITIONS": "4",
		"SCHEMA_MAX_NEW_FIELDS": "60", "BATCH_ROWS": "300", "BATCH_AGE": "100ms",
	}
	maps.Copy(e.env, more)
	return e
}

func (e *evolution) projects() []string { return slices.Sorted(maps.Keys(e.desks)) }

// with is the pipeline with other settings.
func (e *evolution) with(t *testing.T, more map[string]string) *pipeline {
	env := maps.Clone(e.env)
	maps.Copy(env, more)
	return newPipeline(t, env)
}

// run runs something beside the test until it is told to stop.
func (e *evolution) run(t *testing.T, what string, f func(ctx context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := f(ctx); err != nil && !errors.Is(err, ops.ErrDeadLetters) && ctx.Err() == nil {
			t.Errorf("%s: %v", what, err)
		}
	})
	return func() { cancel(); work.Wait() }
}

func (e *evolution) produce(t *testing.T, p *pipeline) (stop func()) {
	clients, err := p.tiledesk.Clients(p.env, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	return e.run(t, "producer", func(ctx context.Context) error { return poll.Run(ctx, p.poll, p.kafka, clients, poll.Events{}) })
}

// round puts new documents and new versions of old ones into the desks.
func (e *evolution) round(t *testing.T) {
	t.Helper()
	e.rounds++
	for _, resource := range slices.Sorted(maps.Keys(e.want)) {
		docs := e.want[resource]
		switch { // the first is as the schemas have it: else a contract may leave nothing for a table
		case e.rounds == 2:
			e.change(resource, "add") // whatever the seed is, each resource has one new key: else a contract has nothing to refuse
		case e.rounds > 2 && e.IntN(2) == 0:
			e.change(resource, kinds[e.IntN(len(kinds))])
		}
		known := slices.Sorted(maps.Keys(docs))
		for _, project := range e.projects() {
			var raws []string
			for range 1 + e.IntN(30) {
				e.put++
				id := fmt.Sprint(project[20:], "-", e.put)
				if n := len(known); !e.keep && n > 0 && e.IntN(3) == 0 {
					if at := known[e.IntN(n)]; strings.HasPrefix(at, project[20:]) && resource != "messages" { // which never change
						id = at
					}
				}
				raws = append(raws, e.document(resource, id))
			}
			maps.Copy(docs, e.desks[project].put(t, resource, raws...))
		}
	}
}

// TestEvolution has documents add, widen, clash, nest, rename and drop keys at random, while two producers publish them and two consumers
// load them into each warehouse. Each value is found in a column of its key, or in _extra where the bound on columns says so; a replay gives
// the same tables; and a reader in another language reads each record with its topic's newest schema.
func TestEvolution(t *testing.T) {
	for _, kafka := range []string{"embedded", "real"} {
		t.Run(kafka, func(t *testing.T) {
			t.Parallel()
			e := newEvolution(t, kafka, nil)
			dir := t.TempDir()
			into := map[string]map[string]string{
				"file":   {"WAREHOUSE_URL": "file://" + dir, "KAFKA_GROUP": "files"},
				"duckdb": {"WAREHOUSE_URL": "duckdb://" + filepath.Join(dir, "w.duckdb"), "KAFKA_GROUP": "duckdb"},
			}
			if kafka == "real" {
				into["postgres"] = map[string]string{"WAREHOUSE_URL": Service(t, "TEST_POSTGRES_URL"), "KAFKA_GROUP": unique("postgres"), "WAREHOUSE_DATASET": unique("evolution")}
			}
			e.stream(t, into)
			e.noLetters(t)
			for name, env := range into {
				t.Run(name, func(t *testing.T) {
					p := e.with(t, env)
					p.loadAll(t)
					e.compare(t, p, name, dir)
					replayed := maps.Clone(env)
					replayed["WAREHOUSE_DATASET"] = unique("replayed")
					p = e.with(t, replayed)
					e.replay(t, p)
					e.compare(t, p, name, dir)
				})
			}
			if kafka == "real" {
				t.Run("python", e.readInPython)
			}
			t.Logf("%d documents and versions of them; %v", e.put, e.did)
		})
	}
}

// stream changes documents for some rounds, while two producers and, for each warehouse, two consumers are at work.
func (e *evolution) stream(t *testing.T, into map[string]map[string]string) {
	t.Helper()
	var stop []func()
	consume := func(name string, p *pipeline, to sink.Sink) {
		stop = append(stop, e.run(t, "consumer of "+name, func(ctx context.Context) error { return load.Run(ctx, p.load, p.kafka, to, load.Events{}) }))
	}
	sinks := map[string]sink.Sink{}
	for range 2 {
		stop = append(stop, e.produce(t, e.with(t, nil)))
		for name, env := range into {
			p := e.with(t, env)
			if sinks[name] == nil || name != "duckdb" { // which lets one process in: both consumers share it
				sinks[name] = openSink(t, p)
			}
			consume(name, p, sinks[name])
		}
		for range 25 {
			e.round(t)
			time.Sleep(100 * time.Millisecond)
		}
	}
	for _, s := range stop {
		s()
	}
	for _, to := range sinks {
		_ = to.Close() // twice for one of two is no harm
	}
	e.publish(t, e.with(t, nil))
}

// publish publishes what is left.
func (e *evolution) publish(t *testing.T, p *pipeline) {
	t.Helper()
	clients, err := p.tiledesk.Clients(p.env, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	p.poll.Once = true
	if err := poll.Run(t.Context(), p.poll, p.kafka, clients, poll.Events{}); err != nil && !errors.Is(err, ops.ErrDeadLetters) {
		t.Fatal(err)
	}
}

// noLetters holds that everything became rows.
func (e *evolution) noLetters(t *testing.T) {
	t.Helper()
	p := e.with(t, nil)
	for table := range e.want {
		letters, _, err := dlq.Read(t.Context(), p.kafka, p.kafka.Prefix+"."+table, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			raw, err := l.Original()
			t.Errorf("%s: dead letter of %s: %s %s: %s (%v)", l.Sink, l.Key, l.Column, l.Reason, raw, err)
		}
	}
}

// openSink opens the pipeline's warehouse until the test ends.
func openSink(t *testing.T, p *pipeline) sink.Sink {
	t.Helper()
	url, _ := p.to.Address(t.TempDir())
	to, err := sink.Open(t.Context(), url, p.to.Dataset)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// replay loads all topics into the pipeline's dataset.
func (e *evolution) replay(t *testing.T, p *pipeline) {
	t.Helper()
	to := openSink(t, p)
	for table := range e.want {
		r := load.Replay{Topic: p.kafka.Prefix + "." + table, From: "beginning", Into: p.to.Dataset}
		if _, err := r.Run(t.Context(), p.load, p.kafka, to, load.Events{}); err != nil {
			t.Error(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Error(err)
	}
}

// compare holds each table against the newest version of each document.
func (e *evolution) compare(t *testing.T, p *pipeline, name, dir string) {
	t.Helper()
	tables := slices.Sorted(maps.Keys(e.want))
	w := warehouse{dataset: p.to.Dataset, row: "to_json"}
	switch name {
	case "duckdb":
		w.db = open(t, "duckdb", filepath.Join(dir, "w.duckdb"))
	case "file":
		w.db = open(t, "duckdb", "")
		showNewest(t, w, dir, tables...)
	case "postgres":
		w = openPostgres(t, Service(t, "TEST_POSTGRES_URL"), p.to.Dataset)
	}
	w.fields = p.columns(t, tables...)
	for _, table := range tables {
		if name == "postgres" {
			w.matches(t, table, e.want[table])
		} else {
			w.holds(t, table, e.want[table])
		}
	}
	_ = w.db.Close() // DuckDB lets one process in
}

// readInPython reads the topics as any consumer of them could, each record with the newest schema of its topic.
func (e *evolution) readInPython(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), Service(t, "TEST_PYTHON"), "testdata/newest.py", e.env["KAFKA_BROKERS"], e.env["SCHEMA_REGISTRY_URL"])
	p := e.with(t, nil)
	for _, table := range slices.Sorted(maps.Keys(e.want)) {
		cmd.Args = append(cmd.Args, p.kafka.Prefix+"."+table)
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	fields := p.columns(t, slices.Sorted(maps.Keys(e.want))...)
	rows := map[string]map[string]document{}
	records := 0
	for line := range bytes.Lines(out) { // oldest first, within a partition, which all records of a key are in
		var r struct {
			Topic, Key string
			Value      document
		}
		decode(t, line, &r)
		records++
		table := strings.TrimPrefix(r.Topic, p.kafka.Prefix+".")
		row := document{}
		for name, v := range r.Value {
			row[schemas.ColumnName(name)] = v
		}
		if rows[table] == nil {
			rows[table] = map[string]document{}
		}
		rows[table][r.Key] = row
	}
	if records > e.put {
		t.Errorf("read %d records, there are %d versions of documents", records, e.put)
	}
	t.Logf("%d records", records)
	for table, docs := range e.want {
		for id, doc := range docs {
			for _, d := range fields.differences(t, table, doc, rows[table][id]) {
				t.Errorf("%s %s: %s", table, id, d)
			}
		}
	}
}

// TestEvolutionUnderContract is TestEvolution where new keys and types are discarded: what is not in the warehouse is a dead letter.
func TestEvolutionUnderContract(t *testing.T) {
	file := filepath.Join(t.TempDir(), "w.duckdb")
	e := newEvolution(t, "embedded", map[string]string{
		"SCHEMA_CONTRACT": "discard_value,messages.columns=discard_row,requests=evolve,tables=evolve", "WAREHOUSE_URL": "duckdb://" + file,
	})
	e.keep = true
	p := e.with(t, nil)
	for range 20 {
		e.round(t)
		e.publish(t, p)
	}
	p.loadAll(t)
	w := openDuckDB(t, file)
	w.fields = p.columns(t, slices.Sorted(maps.Keys(e.want))...)
	for table, docs := range e.want {
		letters, _, err := dlq.Read(t.Context(), p.kafka, p.kafka.Prefix+"."+table, nil)
		if err != nil {
			t.Fatal(err)
		}
		inLetters := map[string]document{}
		for _, l := range letters {
			raw, err := l.Original()
			if err != nil || inLetters[string(l.Key)] != nil {
				t.Errorf("a letter of %s %s: %v", table, l.Key, err)
				continue
			}
			var doc document
			decode(t, raw, &doc)
			inLetters[string(l.Key)] = doc
		}
		rows := w.rows(t, table)
		gone := 0
		for id, doc := range docs {
			row, there := rows[id]
			if !there {
				gone++
				if !reflect.DeepEqual(doc, inLetters[id]) {
					t.Errorf("%s %s is not in the warehouse, and its letter is %v, want %v", table, id, inLetters[id], doc)
				}
				continue
			}
			for key, value := range inLetters[id] {
				if !reflect.DeepEqual(doc[key], value) {
					t.Errorf("%s %s: the letter has %v for %s, want %v", table, id, value, key, doc[key])
				}
				delete(doc, key)
			}
			for _, d := range w.fields.differences(t, table, doc, row) {
				t.Errorf("%s %s: %s", table, id, d)
			}
		}
		t.Logf("%s: %d documents, %d letters, %d not in the warehouse", table, len(docs), len(letters), gone)
		if (len(letters) > 0) != (table != "requests") || (gone > 0) != (table == "messages") {
			t.Errorf("%s: %d letters, %d rows are missing", table, len(letters), gone)
		}
	}
}
