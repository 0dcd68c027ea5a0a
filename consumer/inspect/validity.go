package inspect

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// interval is a version of a key, with the time in which its row says that it held.
type interval struct {
	row
	missing  bool  // the table lacks it: there is nothing to judge
	from, to int64 // milliseconds since 1970; undated: null
}

// beginning is when a version held from that has no time: the year 1.
var beginning = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// dated tells whether a table says when its versions held.
func (l *layout) dated() bool { return l != nil && l.validFrom >= 0 && l.validTo >= 0 }

// intervals judges when versions held: each from its own time until the next one's, the newest for good.
func (c *check) intervals(k *keys) {
	for _, slot := range slices.Sorted(maps.Keys(k.intervals)) {
		all := k.intervals[slot]
		slices.SortFunc(all, func(a, b interval) int {
			live := map[bool]int{true: 1} // a document comes after the tombstone of its time and offset
			return cmp.Or(a.newest().compare(b.newest()), cmp.Compare(live[a.gone == nothing], live[b.gone == nothing]))
		})
		for n, i := range all {
			if i.missing {
				continue
			}
			c.held(i, validFromColumn, i.from, began(i))
			ended := int64(undated)
			if n+1 < len(all) {
				ended = began(all[n+1])
			}
			c.held(i, validToColumn, i.to, ended)
		}
	}
}

func began(i interval) int64 { return max(i.newest().at, beginning) }

func (c *check) held(i interval, column string, found, want int64) {
	if found != want {
		c.tell(c.part(i.partition), Finding{Kind: Different, Offset: i.offset(), Key: i.key, Column: column, Expected: moment(want), Found: moment(found)}, nil)
	}
}

func moment(at int64) string {
	if at == undated {
		return "null"
	}
	return time.UnixMilli(at).UTC().Format(time.RFC3339Nano)
}

// millis are those since 1970 of a timestamp; undated where it is null.
func millis(v any) int64 {
	if t, ok := v.(time.Time); ok {
		return t.UnixMilli()
	}
	return undated
}
