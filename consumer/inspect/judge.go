package inspect

import (
	"strconv"
	"time"
)

// row is what a row of the table says of itself.
type row struct {
	key       string
	partition int32 // -1: it does not say
	doc, gone rank  // nothing where it holds none
	sum       uint64
}

func (r row) newest() rank {
	if r.gone.after(r.doc) {
		return r.gone
	}
	return r.doc
}

// offset is that of the record that the row is of: its document, or its tombstone where it has none.
func (r row) offset() int64 {
	if r.doc.offset >= 0 {
		return r.doc.offset
	}
	return r.gone.offset
}

// verdict is what a row turns out to be: proven, not to be judged, or of a Kind.
type verdict struct {
	kind            Kind // "" where nothing is wrong
	column          string
	expected, found string
	newer           bool // loaded while this ran
	unproven        bool // what it is of is no longer in the topic, or was set aside and taken after all
}

// known are the facts about a partition by which rows are judged.
type known struct {
	start  int64 // first offset that Kafka holds
	ledger int64 // as it was before the topic was read
	now    int64 // as it was after the table was read
	dead   func(place) bool
	hard   bool // deletions remove rows
}

// judge holds a row against what the table must have of its key; e is nil where the topic knows nothing of the key. The order
// of the questions is that of certainty: first what cannot be known yet, then what is known no more, then what is wrong.
func judge(k known, e *entry, r row) verdict {
	switch last := max(r.doc.offset, r.gone.offset); {
	case last >= k.now:
		return verdict{kind: Ahead, expected: "nothing from offset " + number(k.now) + " on, where the ledger stands", found: "a row of offset " + number(last)}
	case last >= k.ledger:
		return verdict{newer: true}
	}
	removed := r.doc.offset >= 0 && r.doc.offset < k.start || k.dead(place{r.partition, r.doc.offset})
	if e == nil {
		// Compaction removes a tombstone after some time, and before that the documents that it ends.
		if removed || r.gone.after(r.doc) {
			return verdict{unproven: true}
		}
		return verdict{kind: Unexpected, expected: "no row", found: "a row"}
	}
	if k.hard && e.deleted() && r.gone == nothing && !r.doc.after(e.gone) {
		return verdict{kind: Stale, expected: "no row: deleted at offset " + number(e.gone.offset), found: "a row of offset " + number(r.doc.offset)}
	}
	var unproven bool
	switch c := r.doc.compare(e.doc); {
	case e.hasDoc() && (c == 0 || r.doc.offset == e.doc.offset && r.partition == e.partition):
		if r.sum != e.sum && r.sum != e.replayed {
			return verdict{kind: Different}
		}
	case c < 0:
		return verdict{kind: Stale, expected: describe(e.doc), found: describe(r.doc)}
	case c > 0:
		unproven = true // an older state by its offset may be the newer one by its time, and compaction has removed it
	}
	d := deletion(e, r)
	d.unproven = d.kind == "" && (d.unproven || unproven)
	return d
}

// deletion holds the tombstone that a row shows against the one that it should show.
func deletion(e *entry, r row) verdict {
	want, have := e.gone.after(r.doc), r.gone != nothing
	switch {
	case !want && !have:
		return verdict{}
	case want && !have, want && e.gone.after(r.gone):
		return verdict{kind: Stale, column: deletedColumn, expected: instant(e.gone), found: instant(r.gone)}
	case want && r.gone == e.gone:
		return verdict{}
	case r.gone.offset > r.doc.offset && r.doc.offset >= 0 && r.doc == e.doc:
		// Compaction removes a document before the tombstone behind it: this one never was there.
		return verdict{kind: Different, column: deletedColumn, expected: instant(e.gone), found: instant(r.gone)}
	}
	return verdict{unproven: true}
}

// weigh mixes a deletion into the checksum of a document.
func weigh(sum uint64, gone rank) uint64 {
	if gone == nothing {
		return sum
	}
	return (sum^uint64(gone.at)*0x9E3779B97F4A7C15)*0xD6E8FEB86659FD93 + uint64(gone.offset)
}

func describe(r rank) string {
	switch {
	case r == nothing:
		return "no document"
	case r.at == undated:
		return "the version of offset " + number(r.offset)
	}
	return "the version of offset " + number(r.offset) + ", " + time.UnixMilli(r.at).UTC().Format(time.RFC3339Nano)
}

func instant(r rank) string {
	if r == nothing {
		return "null"
	}
	return time.UnixMilli(r.at).UTC().Format(time.RFC3339Nano) + " (offset " + number(r.offset) + ")"
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
