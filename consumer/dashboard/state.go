package dashboard

import (
	"cmp"
	"net/http"
	"slices"

	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
)

func (c *Console) showState(w http.ResponseWriter, r *http.Request) {
	type entry struct {
		sink.Partition
		Next int64
	}
	var page struct {
		Ledger      []entry
		Checkpoints []inspect.Checkpoint
	}
	err := c.look.View(r.Context(), func(v *sink.View) error {
		ledger, err := v.Ledger(r.Context())
		for p, next := range ledger {
			page.Ledger = append(page.Ledger, entry{p, next})
		}
		return err
	})
	if err == nil {
		page.Checkpoints, err = inspect.Checkpoints(r.Context(), c.look)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	slices.SortFunc(page.Ledger, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Group, b.Group), cmp.Compare(a.ID, b.ID))
	})
	c.render(w, r, "state.html", "State", page)
}
