package inspect

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"tilestream/consumer/sink"
)

// loads checks that the loads of each partition do not overlap, and that the ledger is past all of them. A load from offset 0
// begins anew: what is older was of a topic that is no more, or accepted as it was then.
func (v *verifier) loads(ctx context.Context) error {
	type interval struct {
		span
		id string
	}
	parts := map[sink.Partition]*Partition{}
	for _, p := range v.report.Partitions {
		parts[v.key(p.Topic, p.Partition)] = p
	}
	found, begun := map[sink.Partition][]interval{}, map[sink.Partition]bool{}
	for l, err := range v.view.Loads(ctx, "", 0) {
		if err != nil {
			return err
		}
		for _, r := range l.Ranges {
			if parts[r.Partition] == nil || begun[r.Partition] {
				continue
			}
			begun[r.Partition] = r.From == 0
			list := found[r.Partition]
			if n := len(list); n > 0 && list[n-1].from == r.To { // newest first: they mostly meet
				list[n-1].from, list[n-1].id = r.From, l.ID
				continue
			}
			found[r.Partition] = append(list, interval{span{r.From, r.To}, l.ID})
		}
	}
	now, err := v.view.Ledger(ctx)
	if err != nil {
		return err
	}
	for at, list := range found {
		c, p := &check{verifier: v, name: at.Topic, told: map[Kind]int{}}, parts[at]
		slices.SortFunc(list, func(a, b interval) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
		for i := 1; i < len(list); i++ {
			if a, b := list[i-1], list[i]; b.from < a.to {
				c.tell(p, Finding{Kind: Ledger, Offset: b.from, Column: "_tilestream_loads", Expected: "loads that do not overlap",
					Found: fmt.Sprintf("offsets %d to %d and %d to %d (load %s)", a.from, a.to, b.from, b.to, b.id)}, nil)
			}
		}
		if last := list[len(list)-1]; last.to > now[at] && now[at] > 0 {
			c.tell(p, Finding{Kind: Ledger, Offset: now[at], Column: "_tilestream_ledger", Expected: fmt.Sprintf("%d or more, where the last load ends", last.to),
				Found: fmt.Sprintf("%d: the ledger was moved back", now[at])}, nil)
		}
	}
	return nil
}
