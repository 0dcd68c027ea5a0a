package inspect

// Kind is what is wrong with a row.
type Kind string

// Kinds of damage.
const (
	Missing    Kind = "missing"    // the topic has the record, the ledger is past it, and the table has no row of the key
	Twice      Kind = "twice"      // the key has more than one row
	Unexpected Kind = "unexpected" // no record of the topic has the row's key, and none can have been removed
	Stale      Kind = "stale"      // the row is an older state of the key than the newest record that the ledger is past
	Different  Kind = "different"  // the row is of the right record, but has another value
	Ahead      Kind = "ahead"      // the row is of a record that the ledger has not reached
	Ledger     Kind = "ledger"     // ledger, loads and topic contradict each other
)

var kinds = []Kind{Missing, Twice, Unexpected, Stale, Different, Ahead, Ledger}

// Finding is one thing that is wrong.
type Finding struct {
	Kind      Kind   `json:"kind"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // of the record that the row is, or should be, of
	Key       string `json:"key,omitempty"`
	Column    string `json:"column,omitempty"`
	Expected  string `json:"expected,omitempty"`
	Found     string `json:"found,omitempty"`
}

// Partition is what was compared of one partition. Rows that cannot be judged are in neither checksum.
type Partition struct {
	Topic        string         `json:"topic"`
	Partition    int32          `json:"partition"`
	Ledger       int64          `json:"ledger"`
	Start        int64          `json:"start"` // first offset that Kafka still holds
	End          int64          `json:"end"`   // where committed records end
	Records      int64          `json:"records"`
	Documents    int64          `json:"documents"`  // living rows that there must be
	Tombstones   int64          `json:"tombstones"` // rows that must be deleted
	Rows         int64          `json:"rows"`
	Wrong        map[Kind]int64 `json:"wrong,omitempty"`
	DeadLetters  int64          `json:"dead_letters"` // set aside, so not expected
	Newer        int64          `json:"newer"`        // rows that were loaded while this ran; not judged
	Unproven     int64          `json:"unproven"`     // rows whose record is no longer in the topic; not judged
	SumOfTopic   string         `json:"checksum_of_topic"`
	SumOfRows    string         `json:"checksum_of_rows"`
	topic, there uint64
}

// Lag is how many offsets the ledger is behind.
func (p *Partition) Lag() int64 { return max(0, p.End-max(p.Ledger, p.Start)) }

// Report is what Verify has found.
type Report struct {
	Warehouse  string       `json:"warehouse"`
	Group      string       `json:"group"`
	Partitions []*Partition `json:"partitions"`
	Findings   []Finding    `json:"findings"` // the first of each kind and topic; Wrong counts all
	Passes     int          `json:"passes"`   // how often the largest topic was read
	OK         bool         `json:"ok"`
	Conclusion string       `json:"conclusion"`
}

// Wrong counts what is wrong in all partitions.
func (r *Report) Wrong() (n int64) {
	for _, p := range r.Partitions {
		for _, k := range p.Wrong {
			n += k
		}
	}
	return n
}
