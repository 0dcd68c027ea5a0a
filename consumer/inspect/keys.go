package inspect

import (
	"math"

	"tilestream/consumer/sink"
)

// entry is what a table must hold of a key: its newest document and its newest tombstone, by their ranks.
type entry struct {
	doc, gone         rank
	sum, replayed     uint64 // of the document, as it is first loaded and as a replay loads it
	partition, goneIn int32
	seen              bool
	family            bool // no row of its own: doc.offset is the greatest offset of the key, in a table of versions
}

func (e entry) hasDoc() bool  { return e.doc.offset >= 0 }
func (e entry) deleted() bool { return e.gone.after(e.doc) }

// at is where the record stands that makes the row what it is.
func (e entry) at() place {
	if e.hasDoc() {
		return place{e.partition, e.doc.offset}
	}
	return place{e.goneIn, e.gone.offset}
}

// keyBytes is what a key costs in memory: an entry, its hash, and the room that a map keeps free.
const keyBytes = 128

// intervalBytes is what the interval of a version costs besides, its key included.
const intervalBytes = 192

// keys holds entries of the keys whose hashes are in a range of slots; of a table that keeps versions, an entry for each version. When it is full it gives up the upper half of the range.
type keys struct {
	entries   map[hash]entry
	intervals map[uint64][]interval // by slot, of a table that says when its versions held
	versions  bool
	lo, hi    uint64 // hi is in the range
	room      int
}

func newKeys(mode sink.Mode, lo, hi uint64, memory int64) *keys {
	each := int64(keyBytes)
	if mode == sink.History {
		each += intervalBytes
	}
	return &keys{entries: map[hash]entry{}, intervals: map[uint64][]interval{}, versions: mode != sink.Upsert, lo: lo, hi: hi, room: max(int(memory/each), 1000)}
}

func (k *keys) spans(slot uint64, i interval) { k.intervals[slot] = append(k.intervals[slot], i) }

func (k *keys) holds(h hash) bool { return h.slot() >= k.lo && h.slot() <= k.hi }

// add takes a record of the topic, in any order.
func (k *keys) add(r record, sum, replayed uint64) {
	h := hashOf(r.key)
	if !k.holds(h) {
		return
	}
	if k.versions {
		e := k.entries[h]
		e.seen, e.family, e.doc.offset = true, true, max(e.doc.offset, r.place.offset)
		k.entries[h] = e
		h = h.version(r.rank, r.tombstone)
	}
	e, known := k.entries[h]
	if !known {
		e = entry{doc: nothing, gone: nothing}
	}
	switch {
	case r.tombstone && r.rank.after(e.gone):
		e.gone, e.goneIn = r.rank, r.partition
	case !r.tombstone && r.rank.after(e.doc):
		e.doc, e.partition, e.sum, e.replayed = r.rank, r.partition, sum, replayed
	}
	k.entries[h] = e
	for len(k.entries) > k.room && k.lo < k.hi {
		k.halve()
	}
}

func (k *keys) halve() {
	k.hi = k.lo + (k.hi-k.lo)/2
	kept := make(map[hash]entry, k.room)
	for h, e := range k.entries {
		if k.holds(h) {
			kept[h] = e
		}
	}
	k.entries = kept
}

// find returns the entry that a row has to be held against, and where it is.
func (k *keys) find(r row) (h hash, e entry, known bool) {
	if h = hashOf(r.key); k.versions {
		h = h.version(r.newest(), r.doc == nothing)
	}
	e, known = k.entries[h]
	return h, e, known
}

// outlived tells that a key has a record behind the row's, so that compaction may have removed the row's.
func (k *keys) outlived(r row) bool {
	e := k.entries[hashOf(r.key)]
	return e.family && e.doc.offset > r.offset()
}

// rest is the range that a further pass has to take; ok tells whether there is one.
func (k *keys) rest() (lo uint64, ok bool) { return k.hi + 1, k.hi < math.MaxUint64 }
