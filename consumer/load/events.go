package load

import (
	"log/slog"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
)

// Events tells of the work while Run is at it. Callbacks may be nil; they are called from several goroutines, and hold
// up the table that they tell of.
type Events struct {
	// Assigned has the partitions that this consumer begins to load, and what they hold that is not loaded yet. It is
	// empty where the group has nothing more for this consumer.
	Assigned func(map[sink.Partition]Backlog)
	// Loaded tells of a batch that the warehouse holds.
	Loaded func(Loaded)
	// DeadLetter tells of a record of the table that was set aside.
	DeadLetter func(table string, l dlq.Letter)
	// Replaying tells from time to time how many offsets of a replay are loaded, by whichever process, of how many that there were when
	// this Run began.
	Replaying func(done, all int64)
}

// Log are events that write a line for partitions that are taken, each load and each dead letter.
func Log(log *slog.Logger) Events {
	return Events{
		Assigned: func(at map[sink.Partition]Backlog) {
			if len(at) == 0 {
				return
			}
			behind := int64(0)
			for _, b := range at {
				behind += max(0, b.End-b.Next)
			}
			log.Info("partitions taken", "partitions", len(at), "behind", behind)
		},
		Loaded: func(l Loaded) {
			if l.Rows > 0 {
				log.Info("loaded", "table", l.Table, "rows", l.Rows, "new", l.Stats.Inserted, "updated", l.Stats.Updated,
					"took", l.Took.Round(time.Millisecond), "behind", l.Behind)
			}
		},
		DeadLetter: func(table string, l dlq.Letter) {
			log.Warn("a record cannot be loaded and is set aside", "table", table, "topic", l.Topic, "partition", l.Partition, "offset", l.Offset,
				"column", l.Column, "reason", l.Reason)
		},
	}
}

// Backlog is a partition's ledger and the end of what can be read from it.
type Backlog struct{ Next, End int64 }

// Loaded is one batch that the warehouse holds.
type Loaded struct {
	ID      string // load id
	Table   string
	Ranges  []sink.Range
	Rows    int64
	Bytes   int64      // of the records, as Kafka holds them
	Stats   sink.Stats // zero where Write's answer was lost and the ledger told that the rows are in
	Oldest  time.Time  // extraction of the first record; zero where there is none
	Newest  time.Time  // and of the last
	Changed time.Time  // newest change of a document, by Tiledesk's clock; zero where none is known
	Behind  int64      // offsets of the table's partitions here that are known and not loaded yet
	Took    time.Duration
}

// times takes in when rows were extracted, which are in the order of a partition.
func (l *Loaded) times(rows []row) {
	if len(rows) == 0 {
		return
	}
	first, last := time.UnixMilli(rows[0].time), time.UnixMilli(rows[len(rows)-1].time)
	if l.Oldest.IsZero() || first.Before(l.Oldest) {
		l.Oldest = first
	}
	if last.After(l.Newest) {
		l.Newest = last
	}
}

func (e Events) assigned(at map[sink.Partition]Backlog) {
	if e.Assigned != nil {
		e.Assigned(at)
	}
}

func (e Events) loaded(l Loaded) {
	if e.Loaded != nil {
		e.Loaded(l)
	}
}

func (e Events) replaying(done, all int64) {
	if e.Replaying != nil {
		e.Replaying(done, all)
	}
}

func (e Events) deadLetter(table string, l dlq.Letter) {
	deadLetters.WithLabelValues(table).Inc()
	if e.DeadLetter != nil {
		e.DeadLetter(table, l)
	}
}
