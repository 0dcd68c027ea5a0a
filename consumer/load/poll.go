package load

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

const (
	pollWait    = time.Second     // a poll without records ends after this, for the work between polls
	commitEvery = 5 * time.Second // group commits, for lag tools
)

// poll takes records from Kafka into the tables' batches until ctx ends. Between a poll and AllowRebalance no partition is
// taken away, which is when fetching is moved and offsets are committed.
func (l *loader) poll(ctx context.Context) error {
	var committed time.Time
	defer func() { l.wake() }()
	for ctx.Err() == nil {
		if l.memory.full() {
			l.wakeWriters()
			l.memory.room(ctx)
		}
		fetched := l.kafka.PollFetches(l.pollContext(ctx))
		err := l.receive(ctx, fetched)
		if len(fetched) > 0 { // an empty poll does not hold up rebalances
			l.seek()
			if time.Since(committed) >= commitEvery {
				l.commit(ctx)
				committed = time.Now()
			}
		}
		l.kafka.AllowRebalance()
		if err != nil {
			return err
		}
	}
	return nil
}

// pollContext ends after pollWait, or when something is to be done between polls.
func (l *loader) pollContext(ctx context.Context) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake() // releases the last one
	ctx, l.wake = context.WithTimeout(ctx, pollWait)
	for _, p := range l.parts {
		if p.moved {
			l.wake()
		}
	}
	return ctx
}

// receive puts polled records into batches.
func (l *loader) receive(ctx context.Context, fetched kgo.Fetches) (err error) {
	now := time.Now()
	var held int64
	l.mu.Lock()
	fetched.EachPartition(func(f kgo.FetchTopicPartition) {
		if err != nil {
			return
		}
		if f.Err != nil {
			err = l.fetchFailed(ctx, f)
			return
		}
		p := l.parts[l.key(f.Topic, f.Partition)]
		if p == nil || p.moved {
			return // fetched before fetching was moved: it will come again
		}
		p.end = max(p.end, f.LastStableOffset)
		taken, bytes := 0, int64(0)
		for _, r := range f.Records {
			if took := l.add(p, r, now); took > 0 {
				taken, bytes = taken+1, bytes+took-rowOverhead
			}
		}
		held += bytes + int64(taken)*rowOverhead
		if l.cfg.replay == nil {
			fetchedRecords.WithLabelValues(p.table.name).Add(float64(taken))
			fetchedBytes.WithLabelValues(p.table.name).Add(float64(bytes))
		}
	})
	l.memory.hold(held)
	for _, t := range l.tables {
		l.flow(t)
	}
	l.showLag()
	l.mu.Unlock()
	l.wakeWriters()
	return err
}

// add puts one record into its table's batch and returns the memory it takes. The caller holds mu.
func (l *loader) add(p *partition, r *kgo.Record, now time.Time) int64 {
	if r.Offset < p.next {
		return 0
	}
	if end, bounded := l.cfg.end(p.Partition); bounded && r.Offset >= end {
		if p.next < end { // a hole before the end
			p.next = end
			p.table.skip(p, end, now)
		}
		return 0
	}
	p.next = r.Offset + 1
	if r.Attrs.IsControl() {
		p.table.skip(p, p.next, now)
		return 0
	}
	schema := noSchema
	if r.Value != nil {
		if id, _, err := schemas.SplitFrame(r.Value); err == nil { // else it joins any batch, to be found dead there
			schema = id
		}
	}
	row := row{offset: r.Offset, time: r.Timestamp.UnixMilli(), project: l.project(r), key: r.Key, value: r.Value,
		headers: p.table.keep(r.Headers)}
	p.table.add(p, schema, row, now)
	return row.size() + rowOverhead
}

// keep copies headers out of a fetch; for records that follow each other they are mostly the same, and kept once.
func (t *table) keep(headers []kgo.RecordHeader) []kgo.RecordHeader {
	same := slices.EqualFunc(headers, t.headers, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) })
	if !same {
		t.headers = make([]kgo.RecordHeader, len(headers))
		for i, h := range headers {
			t.headers[i] = kgo.RecordHeader{Key: strings.Clone(h.Key), Value: bytes.Clone(h.Value)}
		}
	}
	return t.headers
}

// project is the record's project header. The names are few: each is kept once.
func (l *loader) project(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == "project" {
			if name, ok := l.projects[string(h.Value)]; ok {
				return name
			}
			name := string(h.Value)
			l.projects[name] = name
			return name
		}
	}
	return ""
}

// fetchFailed decides about an error that came instead of records. The caller holds mu.
func (l *loader) fetchFailed(ctx context.Context, f kgo.FetchTopicPartition) error {
	switch {
	case errors.Is(f.Err, context.Canceled), errors.Is(f.Err, context.DeadlineExceeded), errors.Is(f.Err, kgo.ErrClientClosed):
		return nil
	case errors.Is(f.Err, kerr.OffsetOutOfRange):
		l.mu.Unlock()
		_, err := l.begin(ctx, []sink.Partition{l.key(f.Topic, f.Partition)})
		l.mu.Lock()
		if err != nil {
			return err
		}
	}
	err := fetchError(f.Topic, f.Partition, f.Err)
	if err == nil {
		l.log.Warn("kafka: trying again", "topic", f.Topic, "partition", f.Partition, "error", f.Err)
	}
	return err
}

// flow pauses fetching of a table whose writer is behind, and resumes it. The caller holds mu.
func (l *loader) flow(t *table) {
	if behind := t.crowded(); behind != t.paused {
		t.paused = behind
		if behind {
			l.kafka.PauseFetchTopics(t.topic)
		} else {
			l.kafka.ResumeFetchTopics(t.topic)
		}
	}
}

// commit tells the group what the ledger holds, for lag tools only: nothing reads it back. It does not wait.
func (l *loader) commit(ctx context.Context) {
	offsets := l.uncommitted()
	if len(offsets) == 0 {
		return
	}
	l.kafka.CommitOffsets(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			l.log.Debug("group commit", "error", err)
		}
	})
}

func (l *loader) uncommitted() map[string]map[int32]kgo.EpochOffset {
	l.mu.Lock()
	defer l.mu.Unlock()
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for _, p := range l.parts {
		if p.ledger != p.committed {
			p.committed = p.ledger
			set(offsets, p.Partition, p.ledger)
		}
	}
	return offsets
}
