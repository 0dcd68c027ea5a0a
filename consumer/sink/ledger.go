package sink

import (
	"cmp"
	"fmt"
	"strings"
)

// Tables of the dataset that are Tilestream's own.
const (
	ledgerTable = "_tilestream_ledger" // one row per partition: the first offset that the warehouse does not hold
	loadsTable  = "_tilestream_loads"  // one row per batch with rows

	// tablesTable has a row for each table that keeps every version: its mode. A table without one is an upsert table.
	tablesTable = "_tilestream_tables"

	// deletedTable has a row for each key that a tombstone has removed from its table, in warehouses that delete hard.
	deletedTable = "_tilestream_deleted"
)

// fenced is nil where each range starts where the ledger stands, and ErrFenced with the place otherwise.
func fenced(ranges []Range, next map[Partition]int64) error {
	for _, r := range ranges {
		if n := next[r.Partition]; n != r.From {
			return fmt.Errorf("%w: %s/%d stands at %d, the batch starts at %d", ErrFenced, r.Topic, r.ID, n, r.From)
		}
	}
	return nil
}

func compareRanges(a, b Range) int {
	return cmp.Or(strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Group, b.Group), strings.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
}

func partitions(ranges []Range) []Partition {
	ps := make([]Partition, len(ranges))
	for i, r := range ranges {
		ps[i] = r.Partition
	}
	return ps
}

// unzip returns the partitions as one list per column of the ledger.
func unzip(ps []Partition) (clusters, groups, topics []string, ids []int32) {
	for _, p := range ps {
		clusters, groups, topics, ids = append(clusters, p.Cluster), append(groups, p.Group), append(topics, p.Topic), append(ids, p.ID)
	}
	return clusters, groups, topics, ids
}

// loadRange is a Range in the ranges column of _tilestream_loads.
type loadRange struct {
	Cluster   string `json:"cluster"`
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

func rangesJSON(ranges []Range) []loadRange {
	out := make([]loadRange, len(ranges))
	for i, r := range ranges {
		out[i] = loadRange{r.Cluster, r.Group, r.Topic, r.ID, r.From, r.To}
	}
	return out
}
