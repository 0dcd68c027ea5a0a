package load

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
)

// Replays are those that a process does beside its live loading, one at a time. What it knows of them it forgets when it ends; how far
// they have come is in the ledger.
type Replays struct {
	settings Settings
	to       sink.Sink // of live loading
	log      *slog.Logger
	ctx      context.Context // of all of them
	end      context.CancelFunc
	work     sync.WaitGroup

	mu   sync.Mutex
	last Replaying
	stop context.CancelFunc // ends the last one
}

// Replaying is a replay that is under way, or the last one that was.
type Replaying struct {
	Topic, From, To, Into string    // From is "" where it is of dead letters
	Began, Ended          time.Time // zero: none yet; and still under way
	Done, All             int64     // offsets; All is 0 until they are counted, and of dead letters
	ETA                   string    // at the pace so far
	Rows                  int64
	Inserted              int64
	Updated               int64
	Unchanged             int64
	Refused               int64 // dead letters
	Stopped               bool  // before its end
	Failed                string
}

// replayRecords is the part of what live loading's records may take that a replay takes beside it.
const replayRecords = 4

// NewReplays are replays into the warehouse that is open as to, or other datasets of it. They end with ctx; Close waits for that.
func NewReplays(ctx context.Context, s Settings, to sink.Sink, log *slog.Logger) *Replays {
	records := s.Load.Records() / replayRecords
	s.Load.MemoryLimit = ops.Bytes(records + sink.Memory(s.Load.Warehouse))
	s.Load.BatchBytes = min(s.Load.BatchBytes, ops.Bytes(records/batchShare))
	s.Warehouse.Wait = false
	r := &Replays{settings: s, to: to, log: log}
	r.ctx, r.end = context.WithCancel(ctx)
	return r
}

// Close ends what is under way and waits for it. It goes on where it was when it is begun again with the same words.
func (r *Replays) Close() {
	r.mu.Lock()
	r.end()
	r.mu.Unlock()
	r.work.Wait()
}

// Check says what is wrong with the words of a replay: an *ops.UsageError.
func (r *Replays) Check(topic, from, to, into string) error {
	_, err := Replay{topic, from, to, into}.within(&r.settings)
	return err
}

// Start begins a Replay. Errors are those of Check, and an *ops.UsageError where one is under way.
func (r *Replays) Start(topic, from, to, into string) error {
	words, err := Replay{topic, from, to, into}.within(&r.settings)
	if err != nil {
		return err
	}
	return r.begin(Replaying{Topic: words.Topic, From: from, To: to, Into: words.Into}, func(ctx context.Context, ev Events) (err error) {
		dest := r.to
		if words.Into != "" {
			warehouse := r.settings.Warehouse
			warehouse.Dataset = words.Into
			if dest, err = warehouse.Open(ctx, r.settings.DataDir, r.log); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, dest.Close()) }()
		}
		_, err = words.Run(ctx, r.settings.Load, r.settings.Kafka, dest, ev)
		return err
	})
}

// StartLetters begins a ReplayDLQ of a topic, or of its resource. Errors are those of Start.
func (r *Replays) StartLetters(topic string) error {
	if topic == "" {
		return ops.Usagef("the topic is missing: it takes a topic or a resource, such as messages")
	}
	topic = topicsOf(r.settings.Kafka, topic)[0]
	return r.begin(Replaying{Topic: topic}, func(ctx context.Context, ev Events) error {
		_, err := ReplayDLQ(ctx, r.settings.Load, r.settings.Kafka, r.to, ev, topic)
		return err
	})
}

func (r *Replays) begin(what Replaying, run func(context.Context, Events) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ctx.Err() != nil:
		return ops.Usagef("the program is ending: start the replay once it runs again")
	case !r.last.Began.IsZero() && r.last.Ended.IsZero():
		return ops.Usagef("a replay of %s is under way: wait for its end, or stop it first", r.last.Topic)
	}
	ctx, stop := context.WithCancel(r.ctx)
	what.Began = time.Now()
	r.last, r.stop = what, stop
	r.log.Info("replay begins", "topic", what.Topic, "dead_letters", what.From == "", "from", what.From, "to", what.To, "into", what.Into)
	r.work.Go(func() {
		defer stop()
		err := run(ctx, r.events())
		r.ended(ctx, err)
	})
	return nil
}

// events count what the replay does.
func (r *Replays) events() Events {
	logged := Log(r.log)
	return Events{
		Loaded: func(l Loaded) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.last.Rows += l.Rows
			r.last.Inserted += l.Stats.Inserted
			r.last.Updated += l.Stats.Updated
			r.last.Unchanged += l.Stats.Unchanged
		},
		DeadLetter: func(table string, l dlq.Letter) {
			logged.DeadLetter(table, l)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.last.Refused++
		},
		Replaying: func(done, all int64) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.last.Done, r.last.All, r.last.ETA = done, all, eta(done, all-done, time.Since(r.last.Began))
		},
	}
}

func (r *Replays) ended(ctx context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Ended = time.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		r.last.Stopped = true
	case err != nil && !errors.Is(err, ops.ErrDeadLetters):
		r.last.Failed = err.Error()
	default:
		r.last.Done = r.last.All
	}
	r.log.Info("replay ended", "topic", r.last.Topic, "rows", r.last.Rows, "dead_letters", r.last.Refused, "stopped", r.last.Stopped, "failed", cmp.Or(r.last.Failed, "no"))
}

// Stop ends the replay that is under way, if one is. It does not wait.
func (r *Replays) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop()
	}
}

// Now is how far it is.
func (r *Replays) Now() Replaying {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
