// Package sink loads closed batches into a warehouse: Arrow rows come in, rows and the ledger that says which Kafka
// offsets they were go out together, or not at all. A destination is one file here and one line in destinations.
package sink

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
)

// Sink is a warehouse. Its ledger keeps, for each Partition, the first offset that the warehouse does not hold; it moves
// in the same transaction as the rows. Methods may be called from several goroutines at once.
type Sink interface {
	// Prepare makes the table fit t: creates it, or adds and widens columns; it never drops or narrows. Calling it again
	// with the same table costs little and changes nothing.
	Prepare(ctx context.Context, t Table) error
	// Plan returns what Prepare would do, and does none of it.
	Plan(ctx context.Context, t Table) ([]Change, error)
	// Next returns, for each partition asked for, the first offset that the warehouse does not hold: 0 where it holds none.
	Next(ctx context.Context, ps []Partition) (map[Partition]int64, error)
	// Write applies the batch's rows and moves the ledger from each range's From to its To, all or nothing.
	// ErrFenced: the ledger stands elsewhere than at some From; nothing changed. *RejectedError: the warehouse refuses
	// the values; nothing changed and trying again is of no use. Any other error may be a lost reply: ask Next.
	Write(ctx context.Context, b Batch) (Stats, error)
	// Close releases connections and files. It does not interrupt a running Write; cancel its context for that.
	Close() error
}

// Table describes where rows go. The newest version of a row is the one with the greatest (Version, Offset); a null
// Version is older than any other.
type Table struct {
	Name    string
	Schema  *arrow.Schema // all columns, system columns included; JSON is the arrow.json extension type
	Key     string        // column that identifies a row
	Version string        // timestamp column that orders versions of a row; "" where the resource has none
	Offset  string        // int64 column that breaks ties between versions

	// Deleted and DeletedOffset are a timestamp and an int64 column; "" where rows are never deleted. A row of a batch in
	// which Deleted is not null is a tombstone: it has the key, and the time and offset of the deletion, which order it
	// against versions as if they were its Version and Offset. A row whose document is gone keeps its values and shows
	// the newest tombstone in these columns; a newer version clears them. A tombstone without a document is kept as a row
	// whose Version and Offset are null, so that a version older than it does not come back to life later.
	Deleted, DeletedOffset string
	HardDelete             bool // a tombstone removes the row, and is remembered elsewhere

	SchemaID int // the registry's id of the writer's schema, for the record of changes; 0: none

	Mode Mode // what the table keeps of a key's versions
}

// Mode says what a table keeps of the versions of a key.
type Mode string

// Write modes.
const (
	Upsert  Mode = ""        // the newest version: the current state
	Append  Mode = "append"  // every version, each once
	History Mode = "history" // every version, each once, with the time from which and to which it held
)

// Partition is a ledger key. Replay uses another Group, so that it has a ledger of its own. IDs below 0 are no partitions of
// Kafka: what else has to be known of a topic is kept there, and moves by the same rules (see load).
type Partition struct {
	Cluster, Group, Topic string
	ID                    int32
}

// Range is the part of a partition that a batch holds: offsets From (what the ledger says) up to, not including, To.
// Offsets have holes (transaction markers, compaction), so To-From is not a count of rows. In a batch without rows To may be
// less than From: so the ledger is set back.
type Range struct {
	Partition
	From, To int64
}

// Batch is what one Write applies: rows of one table and one schema, from one or more partitions. Rows may lack columns
// that the table has (they become null) but never has others. Rows may be nil: the ledger still moves.
type Batch struct {
	ID     string // load id, in the rows' _load_id and in _tilestream_loads
	Table  Table
	Ranges []Range
	Rows   arrow.RecordBatch
	Bytes  int64 // size of the records as Kafka held them

	// Again marks a replay: a row whose version and offset are those of the row that is held replaces it where a value differs,
	// as it does when a column has been added since. Else such a row changes nothing.
	Again bool
}

// Stats says what a Write did to the table: rows that were new, rows that replaced an older version, and rows that
// changed nothing because the table, or the batch itself, held the same or a newer version.
type Stats struct {
	Inserted  int64 `json:"inserted"`
	Updated   int64 `json:"updated"`
	Unchanged int64 `json:"unchanged"`
}

// ErrFenced reports that the ledger does not stand where the batch starts: another consumer has moved it.
var ErrFenced = errors.New("ledger has moved: another consumer owns the partition")

// RejectedError reports that the warehouse refuses the batch's values; the batch can be cut in halves to find the row.
type RejectedError struct {
	Column string // where the warehouse names it
	Text   bool   // as text the column would hold the value: a Table that has it as such can be prepared
	Err    error
}

func (e *RejectedError) Error() string {
	if e.Column != "" {
		return "rejected by the warehouse: column " + e.Column + ": " + e.Err.Error()
	}
	return "rejected by the warehouse: " + e.Err.Error()
}

func (e *RejectedError) Unwrap() error { return e.Err }
