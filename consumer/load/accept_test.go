package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

// named makes records whose ids begin with a name.
func (w *world) named(name string, resource string, partition int32, n int) (rs []*kgo.Record) {
	for i := range n {
		rs = append(rs, w.record(resource, partition, fmt.Sprintf("%s-%d-%d", name, partition, i), 10))
	}
	return rs
}

// recreate deletes a resource's topic and creates it again.
func (w *world) recreate(resource string, partitions int32) {
	w.Helper()
	if err := w.cluster.DeleteTopic(w.topic(resource)); err != nil {
		w.Fatal(err)
	}
	w.create(resource, partitions)
	w.client.PurgeTopicsFromClient(w.topic(resource)) // it knows the topic by its former id
}

// allLoaded checks that the warehouse holds each record of the topic once, and so many others.
func (w *world) allLoaded(resource string, others int) {
	w.Helper()
	truth, _ := w.truth(resource)
	places := w.warehouse.places()
	for p := range truth {
		if places[p] != 1 {
			w.Errorf("%+v is there %d times, want once", p, places[p])
		}
	}
	for p, n := range places {
		if n != 1 {
			w.Errorf("%+v is there %d times, want once", p, n)
		}
	}
	if len(places) != len(truth)+others {
		w.Errorf("%d rows, want %d of the topic and %d of before", len(places), len(truth), others)
	}
}

// A topic that was created again is never taken for the earlier one, whatever its length, and whether the consumer ran meanwhile or not.
func TestTopicCreatedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		again      int
		partitions int32
		running    bool
	}{
		"shorter":                       {again: 4, partitions: 2},
		"longer":                        {again: 30, partitions: 2},
		"as long":                       {again: 10, partitions: 2},
		"empty":                         {again: 0, partitions: 2},
		"longer, with fewer partitions": {again: 30, partitions: 1},
		"longer, with more partitions":  {again: 30, partitions: 3},
		"longer, while it runs":         {again: 30, partitions: 2, running: true},
		"shorter, while it runs":        {again: 4, partitions: 2, running: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, "tags")
			w.produce(append(w.named("old", "tags", 0, 10), w.named("old", "tags", 1, 10)...)...)
			w.mustOnce(w.config())
			stop := func() error { return nil }
			if c.running {
				stop = w.start(w.config(), Events{})
				eventually(t, "the group", func() bool { return w.members() > 0 })
			}
			w.recreate("tags", c.partitions)
			for id := range c.partitions {
				w.produce(w.named("new", "tags", id, c.again)...)
			}
			if c.running {
				eventually(t, "the consumer to stop", func() bool { return w.members() == 0 })
				if err := stop(); err == nil {
					t.Error("the consumer that ran has not noticed")
				}
			}

			err := w.once(w.config())
			var again *RecreatedError
			if !errors.As(err, &again) || !strings.Contains(err.Error(), "consumer accept -topic test.tags") {
				t.Fatalf("error is %v, want a *RecreatedError that names consumer accept", err)
			}
			if n := w.warehouse.count(); n != 20 {
				t.Errorf("%d rows, want the 20 of before", n)
			}

			dry, err := Accept(t.Context(), w.config(), w.kafka, w.warehouse, "test.tags", true)
			if err != nil || !dry.Recreated {
				t.Fatalf("dry: %+v, %v", dry, err)
			}
			if err := w.once(w.config()); !errors.As(err, &again) {
				t.Errorf("after a dry run the error is %v, want *RecreatedError as before", err)
			}
			done, err := Accept(t.Context(), w.config(), w.kafka, w.warehouse, "test.tags", false)
			if err != nil {
				t.Fatal(err)
			}
			if want := int(max(2, c.partitions)); len(done.Partitions) != want {
				t.Errorf("it tells of %d partitions, want %d", len(done.Partitions), want)
			}
			w.mustOnce(w.config())
			w.allLoaded("tags", 20)
			var usage *ops.UsageError
			if _, err := Accept(t.Context(), w.config(), w.kafka, w.warehouse, "test.tags", false); !errors.As(err, &usage) || !strings.Contains(err.Error(), "nothing to accept") {
				t.Errorf("a second time: %v, want that there is nothing to accept", err)
			}
		})
	}
}

// members counts the consumers in the group.
func (w *world) members() int {
	groups, err := w.admin.DescribeGroups(context.WithoutCancel(w.Context()), "test-consumer")
	if err != nil {
		return -1
	}
	return len(groups["test-consumer"].Members)
}

func TestAcceptRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "tags")
	w.produce(append(w.named("a", "tags", 0, 10), w.named("a", "tags", 1, 10)...)...)
	w.mustOnce(w.config())
	w.produce(append(w.named("b", "tags", 0, 10), w.named("b", "tags", 1, 10)...)...)
	if err := w.cluster.DeleteRecords("test.tags", 0, 15); err != nil {
		t.Fatal(err)
	}
	a, err := Accept(t.Context(), w.config(), w.kafka, w.warehouse, "test.tags", false)
	if err != nil {
		t.Fatal(err)
	}
	if a.Recreated || !a.Partitions[0].Reset || a.Partitions[0].Gone() != 5 || a.Partitions[1].Reset {
		t.Errorf("it tells %+v, want partition 0 alone, with 5 offsets gone", a)
	}
	w.mustOnce(w.config())
	if n := w.warehouse.count(); n != 35 {
		t.Errorf("%d rows, want 35: all but the 5 that are gone, each once", n)
	}
}

func TestAcceptWhileActive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags", "groups")
	w.produce(append(w.records("tags", 0, 10, 10), w.records("groups", 0, 10, 10)...)...)
	w.mustOnce(w.config())
	if err := w.cluster.DeleteRecords("test.tags", 0, 10); err != nil {
		t.Fatal(err)
	}
	stop := w.start(w.config(), Events{})
	defer stop()
	w.produce(w.records("tags", 0, 1, 10)...)
	eventually(t, "the member has asked the ledger, and goes on from there", func() bool { return w.warehouse.count() == 21 })
	w.warehouse.mu.Lock()
	for p := range w.warehouse.ledger {
		if p.Topic == "test.tags" && p.ID == 0 {
			w.warehouse.ledger[p] = 5 // as if retention had been faster
		}
	}
	w.warehouse.mu.Unlock()
	var usage *ops.UsageError
	if _, err := Accept(t.Context(), w.config(), w.kafka, w.warehouse, "test.tags", false); !errors.As(err, &usage) || !strings.Contains(err.Error(), "1 consumers of group test-consumer are active") {
		t.Errorf("error is %v, want that a consumer is active", err)
	}
}

// A ledger of a time before identities were kept is claimed, by one of two that ask at once, and kept.
func TestLedgerIsClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	w.produce(w.records("tags", 0, 10, 10)...)
	w.mustOnce(w.config())
	w.warehouse.mu.Lock()
	for p := range w.warehouse.ledger {
		if p.ID == identityID {
			delete(w.warehouse.ledger, p)
		}
	}
	w.warehouse.mu.Unlock()
	w.warehouse.besides = true
	n := 0
	w.warehouse.fault = func(sink.Batch) fault { n++; return []fault{fence, after, before, none}[n%4] }
	w.produce(w.records("tags", 0, 5, 10)...)
	w.mustOnce(w.config())
	w.check("tags")
	w.recreate("tags", 1)
	var again *RecreatedError
	if err := w.once(w.config()); !errors.As(err, &again) {
		t.Errorf("error is %v, want *RecreatedError: the ledger was not claimed", err)
	}
}

// The DLQ has a ledger too: how far dlq replay is.
func TestAcceptDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "tags")
	bad := func(name string) {
		w.produce(w.record("tags", 0, "bad-"+name, 10))
		w.warehouse.refuses = isBad
		w.drain(w.config())
		w.warehouse.refuses = nil
	}
	bad("1")
	replay := func() error {
		_, err := ReplayDLQ(w.Context(), w.config(), w.kafka, w.warehouse, Events{})
		return err
	}
	if err := replay(); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.DeleteTopic("test.tags.dlq"); err != nil {
		t.Fatal(err)
	}
	w.create("tags.dlq", 1)
	var ledger *LedgerError
	if err := replay(); !errors.As(err, &ledger) || !strings.Contains(err.Error(), "consumer accept -topic test.tags.dlq") {
		t.Fatalf("error is %v, want a *LedgerError that names consumer accept", err)
	}
	if _, err := Accept(t.Context(), w.config(), w.kafka, w.warehouse, "test.tags.dlq", false); err != nil {
		t.Fatal(err)
	}
	bad("2")
	if err := replay(); err != nil {
		t.Error(err)
	}
	w.holds("bad-1", "bad-2")
}

// holds checks that the warehouse holds exactly these, once.
func (w *world) holds(ids ...string) {
	w.Helper()
	for p, n := range w.warehouse.places() {
		if n != 1 || !slices.Contains(ids, p.ID) {
			w.Errorf("%+v is there %d times", p, n)
		}
	}
	if n := w.warehouse.count(); n != len(ids) {
		w.Errorf("%d rows, want %d", n, len(ids))
	}
}
