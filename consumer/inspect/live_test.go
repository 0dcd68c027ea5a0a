package inspect

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tilestream/consumer/load"
)

// TestVerifyWhileLoading verifies again and again while records come in and are loaded.
func TestVerifyWhileLoading(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, open func(t *testing.T) *world) {
		w := open(t)
		w.fill()
		w.load()
		to, err := w.config().Open(t.Context(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		ctx, stop := context.WithCancel(t.Context())
		done, produced := make(chan error, 1), make(chan struct{})
		go func() {
			cfg := load.Config{BatchRows: 20, BatchBytes: 1 << 20, BatchAge: time.Millisecond, MemoryLimit: 64 << 20, DLQMaxRatio: 1}
			done <- load.Run(ctx, cfg, w.kafka, to, load.Events{})
		}()
		go func() {
			defer close(produced)
			for n := 0; ctx.Err() == nil; n++ {
				w.client.Produce(ctx, w.document("leads", n%40, 10+n), nil)
				if n%7 == 0 {
					w.client.Produce(ctx, w.tombstone("tags", n%40, 10+n), nil)
				}
				time.Sleep(time.Millisecond)
			}
		}()
		for range 8 {
			if r := w.verify(1 << 20); !r.OK {
				t.Errorf("%s\n%v", r.Conclusion, r.Findings)
			}
		}
		stop()
		<-produced
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Run("files", func(t *testing.T) { test(t, filesWorld) })
	each(t, func(t *testing.T, open func(t *testing.T) *world) { test(t, open) })
}

func TestJudge(t *testing.T) {
	t.Parallel()
	doc, old, later, far := rank{100, 10}, rank{90, 8}, rank{110, 12}, rank{200, 50}
	k := known{start: 5, ledger: 40, now: 45, dead: func(at place) bool { return at == place{0, 12} }}
	alive := &entry{doc: doc, gone: nothing, sum: 7, replayed: 8}
	deleted := &entry{doc: doc, gone: later, goneIn: 0, sum: 7, replayed: 7}
	only := &entry{doc: nothing, gone: later}
	for name, test := range map[string]struct {
		e        *entry
		r        row
		hard     bool
		want     Kind
		unproven bool
		newer    bool
	}{
		"right":                          {e: alive, r: row{doc: doc, gone: nothing, sum: 7}},
		"right, as a replay loads it":    {e: alive, r: row{doc: doc, gone: nothing, sum: 8}},
		"another value":                  {e: alive, r: row{doc: doc, gone: nothing, sum: 9}, want: Different},
		"another partition":              {e: alive, r: row{partition: 1, doc: old, gone: nothing, sum: 7}, want: Stale},
		"an old version":                 {e: alive, r: row{doc: old, gone: nothing}, want: Stale},
		"a newer one that compaction":    {e: alive, r: row{doc: rank{110, 11}, gone: nothing}, unproven: true},
		"a dead letter that was taken":   {e: alive, r: row{doc: later, gone: nothing}, unproven: true},
		"deleted, and shown so":          {e: deleted, r: row{doc: doc, gone: later, sum: 7}},
		"deleted, and shown alive":       {e: deleted, r: row{doc: doc, gone: nothing, sum: 7}, want: Stale},
		"deleted hard, and there":        {e: deleted, r: row{doc: doc, gone: nothing, sum: 7}, hard: true, want: Stale},
		"deleted softly before":          {e: deleted, r: row{doc: doc, gone: later, sum: 7}, hard: true},
		"a tombstone alone":              {e: only, r: row{doc: nothing, gone: later}},
		"its document was compacted":     {e: only, r: row{doc: old, gone: later}, unproven: true},
		"shown deleted for no reason":    {e: alive, r: row{doc: doc, gone: rank{105, 11}, sum: 7}, want: Different},
		"no record of it":                {r: row{doc: doc, gone: nothing}, want: Unexpected},
		"its record was removed":         {r: row{doc: rank{10, 3}, gone: nothing}, unproven: true},
		"its tombstone was compacted":    {r: row{doc: doc, gone: later}, unproven: true},
		"loaded meanwhile":               {e: alive, r: row{doc: rank{200, 42}, gone: nothing}, newer: true},
		"another partition, same rank":   {e: alive, r: row{partition: 1, doc: doc, gone: nothing, sum: 9}, want: Different},
		"past the ledger":                {e: alive, r: row{doc: far, gone: nothing}, want: Ahead},
		"a deletion past the ledger":     {e: alive, r: row{doc: doc, gone: far, sum: 7}, want: Ahead},
		"of nothing, and past the start": {r: row{doc: far, gone: nothing}, want: Ahead},
	} {
		k.hard = test.hard
		got := judge(k, test.e, test.r)
		if got.kind != test.want || got.unproven != test.unproven || got.newer != test.newer {
			t.Errorf("%s: got %+v, want %q, unproven %t, newer %t", name, got, test.want, test.unproven, test.newer)
		}
	}
}

// TestVerifyKnowsGroup: a wrong setting is not taken for damage.
func TestVerifyKnowsGroup(t *testing.T) {
	t.Parallel()
	w := filesWorld(t)
	w.url = "duckdb://" + filepath.Join(t.TempDir(), "w.duckdb")
	w.fill()
	w.load()
	_, err := Verify(t.Context(), Config{Group: "another", Kafka: w.kafka, Warehouse: w.url, Dataset: w.dataset, Memory: 1 << 20})
	if want := "only test-consumer"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want it to say %q", err, want)
	}
}
