package poll

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (r *rig) tombstones(resource string) (out []*kgo.Record) {
	r.Helper()
	for _, rec := range r.read(r.kafka.Prefix + "." + resource) {
		if rec.Value == nil {
			out = append(out, rec)
		}
	}
	return out
}

func TestTombstoneOnce(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"tag-1", "tag-2", "tag-3"} {
		r.put(r.tiledesk.Project, "tags", id, 1)
	}
	r.mustOnce("tags")
	r.tiledesk.Delete("tags", "tag-2")
	r.mustOnce("tags")
	if got := r.tombstones("tags"); len(got) > 0 {
		t.Fatalf("%d tombstones after one look", len(got))
	}
	before := time.Now().Truncate(time.Millisecond)
	for range 3 {
		r.mustOnce("tags")
	}
	got := r.tombstones("tags")
	if len(got) != 1 || string(got[0].Key) != "tag-2" || got[0].Timestamp.Before(before) {
		t.Fatalf("tombstones %v, want one of tag-2, not before %s", got, before)
	}
	headers := map[string]string{}
	for _, h := range got[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	if want := map[string]string{"project": r.tiledesk.ID, "source": "v3"}; !maps.Equal(headers, want) {
		t.Errorf("headers %v, want %v", headers, want)
	}
	r.put(r.tiledesk.Project, "tags", "tag-2", 1)
	r.mustOnce("tags")
	if got := r.published("tags"); len(got["tag-2"]) != 3 || got["tag-2"][2] == "" || len(got["tag-1"]) != 1 || len(got["tag-3"]) != 1 {
		t.Errorf("published %d times tag-2 (want 3, the last one alive), %d and %d times the others (want 1)", len(got["tag-2"]), len(got["tag-1"]), len(got["tag-3"]))
	}
}

// TestTombstoneIsInItsTransaction loses the end of the transaction that holds a tombstone: either both it and the checkpoint
// are there, or neither.
func TestTombstoneIsInItsTransaction(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.EndTxn} {
		r := newRig(t)
		for _, id := range []string{"tag-1", "tag-2", "tag-3"} {
			r.put(r.tiledesk.Project, "tags", id, 1)
		}
		r.mustOnce("tags")
		r.tiledesk.Delete("tags", "tag-2")
		r.mustOnce("tags") // missing once
		// The first end of a transaction is that of the lane's own record, the second that of the tombstone.
		n := 0
		lost := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.TransactionalIDAuthorizationFailed, Count: 1, When: func(kmsg.Request) bool {
			n++
			return n == 2
		}})
		err := r.once(t.Context(), "tags")
		hits := lost.Hits()
		lost.Remove()
		t.Logf("%s failed %d times: %v", key.Name(), hits, err)
		if hits == 0 {
			t.Errorf("%s: nothing failed", key.Name())
		}
		r.mustOnce("tags")
		r.mustOnce("tags")
		var keys []string
		for _, rec := range r.tombstones("tags") {
			keys = append(keys, string(rec.Key))
		}
		if !slices.Equal(keys, []string{"tag-2"}) {
			t.Errorf("%s: tombstones of %v, want tag-2 once", key.Name(), keys)
		}
	}
}
