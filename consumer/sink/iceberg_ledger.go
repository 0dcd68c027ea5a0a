package sink

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"tilestream/internal/ops"
)

// What a snapshot of ours says in its summary. The ledger is a property of the table too.
const (
	formatMark  = "tilestream.format"  // icebergFormat; where it is missing, 1
	ledgerMark  = "tilestream.ledger"  // icebergLedger
	loadMark    = "tilestream.load"    // icebergLoad
	attemptMark = "tilestream.attempt" // tells whether a commit whose answer was lost has happened
)

// icebergLedger is what the snapshots of a table cover.
type icebergLedger []icebergLog

// icebergLog is the ledger of a topic, for one cluster and group. It is in one table. Where a batch of the topic names another table,
// it moves there in two commits: the first says so where it was, and from then on no write is taken there.
type icebergLog struct {
	Cluster string          `json:"cluster"`
	Group   string          `json:"group"`
	Topic   string          `json:"topic"`
	Next    map[int32]int64 `json:"next"`
	Epoch   int64           `json:"epoch"`           // how often it has moved: of several tables that have it, the greatest counts
	Moved   string          `json:"moved,omitempty"` // the table in the catalog that has it, or will
}

func (l icebergLog) key() logKey { return logKey{l.Cluster, l.Group, l.Topic} }

// icebergLoad is a load as a reader lists it.
type icebergLoad struct {
	ID        string      `json:"load_id"`
	Rows      int64       `json:"rows"`
	Bytes     int64       `json:"bytes"`
	Ranges    []loadRange `json:"ranges"`
	StartedAt time.Time   `json:"started_at"`
}

func (l icebergLedger) find(k logKey) (icebergLog, bool) {
	i := slices.IndexFunc(l, func(l icebergLog) bool { return l.key() == k })
	if i < 0 {
		return icebergLog{}, false
	}
	return l[i], true
}

// with is the ledger with a log in place of what it has of it.
func (l icebergLedger) with(log icebergLog) icebergLedger {
	out := slices.DeleteFunc(slices.Clone(l), func(l icebergLog) bool { return l.key() == log.key() })
	return append(out, log)
}

// moved is the log after the ranges. ErrFenced: it stands elsewhere than where one of them begins.
func (l icebergLog) moved(ranges []loadRange) (icebergLog, error) {
	l.Next = maps.Clone(l.Next)
	if l.Next == nil {
		l.Next = map[int32]int64{}
	}
	for _, r := range ranges {
		if l.Next[r.Partition] != r.From {
			return l, fmt.Errorf("%w: partition %d of %s stands at %d, the batch begins at %d", ErrFenced, r.Partition, r.Topic, l.Next[r.Partition], r.From)
		}
		l.Next[r.Partition] = r.To
	}
	return l, nil
}

// ledgerOf is the ledger that goes with the rows of the table's branch: that of the newest snapshot of ours in its history. Snapshots of
// others, such as a compaction, say nothing of it; a rollback goes back to what the rows are. Where that snapshot has been expired, the
// table's property has it.
func ledgerOf(t *table.Table) (ledger icebergLedger, err error) {
	snapshot := t.CurrentSnapshot()
	for snapshot != nil {
		if marks := about(snapshot); marks[ledgerMark] != "" {
			return parseLedger(t, marks)
		}
		if snapshot.ParentSnapshotID == nil {
			return nil, nil // whoever made this snapshot began the table anew
		}
		parent := t.SnapshotByID(*snapshot.ParentSnapshotID)
		if parent == nil {
			return parseLedger(t, t.Properties())
		}
		snapshot = parent
	}
	return nil, nil
}

func about(s *table.Snapshot) iceberg.Properties {
	if s.Summary == nil {
		return nil
	}
	return s.Summary.Properties
}

func parseLedger(t *table.Table, marks iceberg.Properties) (ledger icebergLedger, err error) {
	name := strings.Join(t.Identifier(), ".")
	format, err := strconv.Atoi(cmp.Or(marks[formatMark], "1"))
	if err != nil {
		return nil, fmt.Errorf("%s of table %s is damaged: %w: roll the table back to the snapshot before, or drop it and load it again", formatMark, name, err)
	}
	if err := ops.CheckFormat("the ledger of table "+name, format, icebergFormat, anotherDataset); err != nil {
		return nil, err
	}
	if marks[ledgerMark] == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(marks[ledgerMark]), &ledger); err != nil {
		return nil, fmt.Errorf("%s of table %s is damaged: %w: roll the table back to the snapshot before, or drop it and load it again", ledgerMark, name, err)
	}
	return ledger, nil
}

// commitIceberg commits one snapshot, on condition that the branch is where t has it. conflict: it is not any more, and nothing is
// done. errUnsure: the commit may have happened, or may yet. load may be nil.
func commitIceberg(ctx context.Context, cat catalog.Catalog, t *table.Table, ledger icebergLedger, load *icebergLoad, change func(*table.Transaction, iceberg.Properties) error) (conflict bool, err error) {
	text, err := json.Marshal(ledger)
	if err != nil {
		return false, err
	}
	attempt := newAttempt()
	format := strconv.Itoa(icebergFormat)
	about := iceberg.Properties{formatMark: format, ledgerMark: string(text), attemptMark: attempt}
	if load != nil && load.Rows > 0 {
		told, err := json.Marshal(load)
		if err != nil {
			return false, err
		}
		about[loadMark] = string(told)
	}
	tx := t.NewTransaction()
	if err := tx.AssertRefSnapshotID(table.MainBranch); err != nil {
		return false, err
	}
	if err := change(tx, about); err != nil {
		return false, err
	}
	if err := tx.SetProperties(iceberg.Properties{formatMark: format, ledgerMark: string(text)}); err != nil {
		return false, err
	}
	_, failed := tx.Commit(ctx)
	if failed == nil {
		return false, nil
	}
	after, cancel := afterwards(ctx)
	defer cancel()
	done, passed, err := committed(after, cat, t, attempt)
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: %w", errUnsure, errors.Join(failed, err))
	case done:
		return false, nil
	case passed:
		return true, nil // the branch is elsewhere: a request that comes late will be refused
	case errors.Is(failed, table.ErrCommitFailed) && ctx.Err() == nil:
		return true, nil // something else of the table has changed
	}
	return false, fmt.Errorf("%w: commit: %w", errUnsure, failed)
}

// committed tells whether the table's branch has a snapshot of the attempt, and whether it has left the one where t has it.
func committed(ctx context.Context, cat catalog.Catalog, t *table.Table, attempt string) (done, passed bool, err error) {
	now, err := cat.LoadTable(ctx, t.Identifier())
	if err != nil {
		return false, errors.Is(err, catalog.ErrNoSuchTable), ignoreMissing(err)
	}
	if now.Metadata().TableUUID() != t.Metadata().TableUUID() {
		return false, true, nil
	}
	base := t.CurrentSnapshot()
	s := now.CurrentSnapshot()
	if s == nil || base != nil && s.SnapshotID == base.SnapshotID {
		return false, s == nil && base != nil, nil
	}
	for ; s != nil && (base == nil || s.SnapshotID != base.SnapshotID); s = now.SnapshotByID(*s.ParentSnapshotID) {
		if about(s)[attemptMark] == attempt {
			return true, true, nil
		}
		if s.ParentSnapshotID == nil {
			break
		}
	}
	return false, true, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return nil
	}
	return err
}

// ledger finds the log in whichever table has it; an empty one where none has.
func (s *icebergSink) ledger(ctx context.Context, k logKey) (icebergLog, error) {
	s.mu.Lock()
	home := s.homes[k]
	s.mu.Unlock()
	if home != "" {
		if t, err := s.load(ctx, append(slices.Clone(s.namespace), home)); err != nil {
			return icebergLog{}, err
		} else if t != nil {
			ledger, err := ledgerOf(t)
			if err != nil {
				return icebergLog{}, err
			}
			if log, ok := ledger.find(k); ok && log.Moved == "" {
				return log, nil
			}
		}
	}
	log, home, err := s.search(ctx, k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.homes[k] = home; home == "" || err != nil {
		delete(s.homes, k)
	}
	return log, err
}

// search looks for the log in all tables; the name is of the one that has it, or "".
func (s *icebergSink) search(ctx context.Context, k logKey) (log icebergLog, home string, err error) {
	log = icebergLog{Cluster: k.cluster, Group: k.group, Topic: k.topic}
	for t, err := range s.all(ctx) {
		if err != nil {
			return log, "", err
		}
		ledger, err := ledgerOf(t)
		if err != nil {
			return log, "", err
		}
		found, ok := ledger.find(k)
		if !ok {
			continue
		}
		ident := t.Identifier()
		name := ident[len(ident)-1]
		if found.Epoch == log.Epoch {
			return log, "", fmt.Errorf("tables %s and %s both have the ledger of topic %s: two consumers have begun to load it into different tables; drop one of the tables", home, name, k.topic)
		}
		if found.Epoch > log.Epoch {
			log, home = found, name
		}
	}
	return log, home, nil
}

// all yields the tables of the namespace.
func (s *icebergSink) all(ctx context.Context) func(func(*table.Table, error) bool) {
	return func(yield func(*table.Table, error) bool) {
		for ident, err := range s.cat.ListTables(ctx, s.namespace) {
			if errors.Is(err, catalog.ErrNoSuchNamespace) {
				return
			}
			var t *table.Table
			if err == nil {
				t, err = s.load(ctx, ident)
			}
			if err == nil && t == nil {
				continue // dropped since
			}
			if !yield(t, err) || err != nil {
				return
			}
		}
	}
}

// claim returns the log for a table that has none of it, or has it no more, so that the table's next commit may have it. conflict: ask
// again, from the beginning.
func (s *icebergSink) claim(ctx context.Context, k logKey, to string) (log icebergLog, conflict bool, err error) {
	log, home, err := s.search(ctx, k)
	if err != nil {
		return log, false, err
	}
	free := log
	free.Epoch, free.Moved = log.Epoch+1, ""
	if home == "" || log.Moved == to {
		return free, false, nil
	}
	if log.Moved != "" {
		home = log.Moved // it has not got there yet, and must not any more
	}
	t, err := s.load(ctx, append(slices.Clone(s.namespace), home))
	if err != nil || t == nil {
		return free, false, err
	}
	ledger, err := ledgerOf(t)
	if err != nil {
		return log, false, err
	}
	if now, ok := ledger.find(k); ok && now.Epoch > log.Epoch {
		return log, true, nil
	} else if ok && now.Moved == "" {
		free = now
		free.Epoch++
	}
	free.Moved = to
	_, err = commitIceberg(ctx, s.cat, t, ledger.with(free), nil, func(tx *table.Transaction, about iceberg.Properties) error {
		return tx.AddFiles(ctx, nil, about, false)
	})
	return log, true, err
}
