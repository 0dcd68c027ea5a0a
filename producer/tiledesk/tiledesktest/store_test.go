package tiledesktest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCollectionOrders writes, changes and removes at random and compares the orders with sorting.
func TestCollectionOrders(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := newCollection("key")
	for i := range 3000 {
		id := r.IntN(200)
		if old := c.byID[fmt.Sprint(id)]; old != nil && r.IntN(5) == 0 {
			c.remove(old)
			continue
		}
		c.put(encode(map[string]any{"_id": fmt.Sprint(id), "key": fmt.Sprint("k", r.IntN(3)),
			"createdAt": stamp(1000 + int64(id/3)), "updatedAt": stamp(1000 + r.Int64N(300))}), uint64(i))
	}
	var want []*record
	for _, rec := range c.byID {
		want = append(want, rec)
	}
	slices.SortFunc(want, order(updated))
	if !slices.Equal(c.byUpdated, want) {
		t.Errorf("byUpdated has %d records, want %d in order", len(c.byUpdated), len(want))
	}
	slices.SortFunc(want, order(created))
	if !slices.Equal(c.byCreated, want) {
		t.Errorf("byCreated has %d records, want %d in order", len(c.byCreated), len(want))
	}
	n := 0
	for key, siblings := range c.byKey {
		n += len(siblings)
		for _, rec := range siblings {
			if rec.key != key || c.byID[rec.id] != rec {
				t.Errorf("byKey[%s] holds %s of key %s", key, rec.id, rec.key)
			}
		}
	}
	if n != len(want) {
		t.Errorf("byKey holds %d records, want %d", n, len(want))
	}
}
