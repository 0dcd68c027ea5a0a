package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
)

// Status is how far loading has come.
type Status struct {
	Time      time.Time     `json:"time"`
	Warehouse string        `json:"warehouse"`
	Group     string        `json:"group"`
	OK        bool          `json:"ok"`
	Problems  []Problem     `json:"problems"` // what is wrong, the worst first
	Notes     []string      `json:"notes"`    // what is good to know
	Topics    []TopicStatus `json:"topics"`
	State     string        `json:"group_state"` // as Kafka calls it: Stable, Empty, ...
	Members   []Member      `json:"members"`
}

// Problem is something that is wrong, and what to do about it.
type Problem struct {
	What string `json:"what"`
	Do   string `json:"do"`
}

// TopicStatus is one topic and its table. Offsets are summed over partitions; pointers are nil where it is not known.
type TopicStatus struct {
	Topic         string     `json:"topic"`
	Partitions    int        `json:"partitions"`
	Ledger        int64      `json:"ledger"`
	HighWatermark int64      `json:"high_watermark"`
	Lag           int64      `json:"lag"`            // offsets that are not loaded
	LagSeconds    float64    `json:"lag_seconds"`    // age of the oldest record that is not loaded; 0 where there is none
	Fresh         *time.Time `json:"newest_extract"` // when the newest row was read from Tiledesk
	LastLoad      *LastLoad  `json:"last_load"`
	DeadLetters   int        `json:"dead_letters"` // not replayed

	oldest time.Time
}

// LastLoad is the newest load of a table.
type LastLoad struct {
	Time        time.Time `json:"time"`
	Rows        int64     `json:"rows"`
	TookSeconds float64   `json:"took_seconds"`
}

// Member is a consumer of the group.
type Member struct {
	Host       string `json:"host"`
	Partitions int    `json:"partitions"`
}

// Each service has so long to answer: what does not is down, to somebody who waits.
const (
	kafkaPatience     = 15 * time.Second
	warehousePatience = 20 * time.Second
)

// looker is one look at the status.
type looker struct {
	Config
	status  *Status
	ledger  map[sink.Partition]int64 // nil: the warehouse cannot be read
	cluster string
}

// Look finds out how far loading has come. What cannot be reached is a problem in the status, not an error; errors are
// *ops.UsageError. now is the time that ages are counted to.
func Look(ctx context.Context, cfg Config, now time.Time) (*Status, error) {
	l := &looker{Config: cfg, status: &Status{Time: now.UTC(), Warehouse: sink.Redacted(cfg.Warehouse) + " " + cfg.Dataset, Group: cfg.group(),
		Problems: []Problem{}, Notes: []string{}, Topics: []TopicStatus{}, Members: []Member{}}}
	for _, r := range cfg.Resources {
		l.status.Topics = append(l.status.Topics, TopicStatus{Topic: r.Topic(cfg.Kafka.Prefix)})
	}
	var usage *ops.UsageError
	held := false
	err := l.warehouse(ctx)
	switch isHeld := (*sink.HeldError)(nil); {
	case errors.As(err, &usage):
		return nil, err
	case errors.As(err, &isHeld):
		held = true
		l.note("%s has the DuckDB file open, so the ledger is not read: offsets are those that the group commits for lag tools, up to 5s old.", isHeld.Holder)
	case err != nil:
		l.problem("The warehouse cannot be read: "+err.Error(), "mend that first; offsets are those that the group commits for lag tools")
	}
	if err := l.kafka(ctx); errors.As(err, &usage) {
		return nil, err
	} else if err != nil {
		l.problem("Kafka cannot be read: "+err.Error(), "mend that first; without it nothing is known of lag, members and dead letters")
	} else {
		l.judge(held)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	l.status.OK = len(l.status.Problems) == 0
	return l.status, nil
}

func (l *looker) problem(what, do string) {
	l.status.Problems = append(l.status.Problems, Problem{what, do})
}

func (l *looker) note(format string, a ...any) {
	l.status.Notes = append(l.status.Notes, fmt.Sprintf(format, a...))
}

// warehouse reads ledger, loads and freshness.
func (l *looker) warehouse(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, warehousePatience)
	defer cancel()
	r, err := sink.OpenReader(ctx, l.Warehouse, l.Dataset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	v, err := r.View(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if l.ledger, err = v.Ledger(ctx); err != nil {
		return err
	}
	for i, r := range l.Resources {
		for load, err := range v.Loads(ctx, r.Name, 1) {
			if err != nil {
				return err
			}
			l.status.Topics[i].LastLoad = &LastLoad{load.Began.Add(load.Took), load.Rows, load.Took.Seconds()}
		}
	}
	for i, r := range l.Resources { // last, since on a large table it is slow
		if l.status.Topics[i].LastLoad == nil {
			continue
		}
		at, err := v.Newest(ctx, sink.Table{Name: r.Name}, extractedColumn)
		if ctx.Err() != nil {
			l.note("The newest row of %s and what follows was not found in %s.", r.Name, warehousePatience)
			return nil
		}
		if err != nil {
			return err
		}
		if !at.IsZero() {
			l.status.Topics[i].Fresh = &at
		}
	}
	return nil
}

// kafka reads offsets, the age of what waits, members and dead letters.
func (l *looker) kafka(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	client, err := l.Kafka.NewClient(kgo.RetryTimeout(kafkaPatience / 3))
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	about, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return broker.Explain(fmt.Errorf("reach %s: %w", strings.Join(l.Kafka.Brokers, ","), err))
	}
	l.cluster = about.Cluster
	if err := l.members(ctx, adm); err != nil {
		return err
	}
	committed, err := offsetsOf(ctx, adm, l.group())
	if err != nil {
		return err
	}
	replayed, err := offsetsOf(ctx, adm, l.group()+"-dlq")
	if err != nil {
		return err
	}
	waiting := map[string]map[int32]span{}
	for i := range l.status.Topics {
		t := &l.status.Topics[i]
		held, err := extents(ctx, adm, t.Topic)
		if err != nil {
			return err
		}
		t.Partitions = len(held)
		waiting[t.Topic] = l.offsets(t, held, committed[t.Topic])
		if err := l.letters(ctx, t, replayed[broker.DLQName(t.Topic)]); err != nil {
			return err
		}
	}
	oldest, err := l.oldest(ctx, waiting)
	if err != nil {
		return err
	}
	for i := range l.status.Topics {
		if t := &l.status.Topics[i]; !oldest[t.Topic].IsZero() {
			t.oldest = oldest[t.Topic]
			t.LagSeconds = max(0, l.status.Time.Sub(t.oldest).Seconds())
		}
	}
	return nil
}

func offsetsOf(ctx context.Context, adm *kadm.Client, group string) (kadm.OffsetResponses, error) {
	at, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, broker.Explain(fmt.Errorf("see what group %s has committed: %w", group, err))
	}
	return at, nil
}

func (l *looker) members(ctx context.Context, adm *kadm.Client) error {
	groups, err := adm.DescribeGroups(ctx, l.group())
	g := groups[l.group()]
	if err == nil {
		err = g.Err
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		l.status.State = "Dead"
		return nil
	}
	if err != nil {
		return broker.Explain(fmt.Errorf("look at group %s: %w", l.group(), err))
	}
	l.status.State = g.State
	for _, m := range g.Members {
		one := Member{Host: strings.TrimPrefix(m.ClientHost, "/")}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				one.Partitions += len(t.Partitions)
			}
		}
		l.status.Members = append(l.status.Members, one)
	}
	slices.SortFunc(l.status.Members, func(a, b Member) int { return strings.Compare(a.Host, b.Host) })
	return nil
}

// offsets holds what is loaded of a topic against what there is, and returns what is not loaded.
func (l *looker) offsets(t *TopicStatus, held map[int32]extent, committed map[int32]kadm.OffsetResponse) map[int32]span {
	waiting := map[int32]span{}
	for id, e := range held {
		next, known := l.ledger[sink.Partition{Cluster: l.cluster, Group: l.group(), Topic: t.Topic, ID: id}]
		if l.ledger == nil {
			var c kadm.OffsetResponse
			if c, known = committed[id]; known {
				next = c.At
			}
		}
		if known && next > e.high {
			l.problem(fmt.Sprintf("%s[%d] ends at offset %d, but %d is wanted next: the topic was deleted and created again.", t.Topic, id, e.high, next),
				"consumer accept -topic "+t.Topic+", if the new topic is the one to load")
			next = e.high
		}
		if known && next > 0 && next < e.start {
			l.problem(fmt.Sprintf("%s[%d]: offsets %d to %d were removed by retention before they were loaded.", t.Topic, id, next, e.start),
				"consumer accept -topic "+t.Topic+", to go on with what there is")
		}
		t.Ledger += next
		t.HighWatermark += e.high
		from := max(next, e.start)
		t.Lag += max(0, e.high-from)
		if from < e.end {
			waiting[id] = span{from, e.end}
		}
	}
	return waiting
}

// letters counts the group's dead letters that were not replayed.
func (l *looker) letters(ctx context.Context, t *TopicStatus, replayed map[int32]kadm.OffsetResponse) error {
	from := map[int32]int64{}
	for id, at := range replayed {
		from[id] = at.At
	}
	letters, _, err := dlq.Read(ctx, l.Kafka, t.Topic, from)
	if err != nil {
		return err
	}
	for _, letter := range letters {
		at := sink.Partition{Cluster: l.cluster, Group: l.group(), Topic: broker.DLQName(t.Topic), ID: letter.At.Partition}
		if letter.Group == l.group() && letter.At.Offset >= l.ledger[at] {
			t.DeadLetters++
		}
	}
	return nil
}

// oldest returns the time of the oldest record that waits, of each topic where one does.
func (l *looker) oldest(ctx context.Context, waiting map[string]map[int32]span) (map[string]time.Time, error) {
	type part struct {
		topic string
		id    int32
	}
	left, at := map[part]int64{}, map[string]map[int32]kgo.Offset{}
	for topic, spans := range waiting {
		at[topic] = map[int32]kgo.Offset{}
		for id, s := range spans {
			left[part{topic, id}], at[topic][id] = s.to, kgo.NewOffset().At(s.from)
		}
	}
	oldest := map[string]time.Time{}
	if len(left) == 0 {
		return oldest, nil
	}
	cl, err := l.Kafka.NewClient(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumePartitions(at),
		kgo.FetchMaxPartitionBytes(64<<10), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetched := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read the oldest records that wait: %w", ctx.Err())
		}
		for _, e := range fetched.Errors() {
			return nil, broker.Explain(fmt.Errorf("read %s[%d]: %w", e.Topic, e.Partition, e.Err))
		}
		for r := range fetched.RecordsAll() {
			p := part{r.Topic, r.Partition}
			to, ok := left[p]
			if !ok {
				continue
			}
			if had := oldest[r.Topic]; !r.Attrs.IsControl() && r.Offset < to && (had.IsZero() || r.Timestamp.Before(had)) {
				oldest[r.Topic] = r.Timestamp.UTC()
			}
			if !r.Attrs.IsControl() || r.Offset+1 >= to {
				delete(left, p)
				cl.PauseFetchPartitions(map[string][]int32{p.topic: {p.id}})
			}
		}
	}
	return oldest, nil
}

// judge says what is wrong with what was read.
func (l *looker) judge(held bool) {
	s := l.status
	var lag int64
	dead := 0
	for _, t := range s.Topics {
		lag += t.Lag
		dead += t.DeadLetters
	}
	switch {
	case len(s.Members) == 0 && held:
		l.problem("Nobody is loading, although a process has the warehouse open.", "see whether it is a consumer that has lost Kafka, or a shell that keeps the consumer out")
	case len(s.Members) == 0 && lag > 0:
		l.problem(fmt.Sprintf("Nobody is loading: the group has no members, and %d records wait.", lag), "start the consumer; if it does not stay up, its log says why")
	case len(s.Members) == 0:
		l.note("Nobody is loading, and nothing waits.")
	}
	if dead > 0 {
		l.note("%d records could not be loaded and are set aside: consumer dlq list says why, consumer dlq replay loads them again.", dead)
	}
}
