package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

// check says what is wrong with the words of a replay.
func (r Replay) check() error {
	switch {
	case r.Topic == "":
		return ops.Usagef("-topic is missing: it takes a topic or a resource, such as messages")
	case r.From == "":
		return ops.Usagef("-from is missing: it takes beginning, an offset, or a time such as 2026-11-22")
	}
	if err := taken("-from", r.From); err != nil && r.From != "beginning" {
		return err
	}
	if r.To == "" {
		return nil
	}
	if err := taken("-to", r.To); err != nil {
		return err
	}
	from, exactFrom := number(r.From)
	to, exactTo := number(r.To)
	begin, dated := instant(r.From)
	end, ended := instant(r.To)
	if exactFrom && exactTo && to <= from || dated && ended && !end.After(begin) {
		return ops.Usagef("-to %s is not after -from %s: there is nothing between them", r.To, r.From)
	}
	return nil
}

// within is the replay of words that people say: a resource for its topic, and perhaps the dataset of live loading.
func (r Replay) within(s *Settings) (Replay, error) {
	if err := r.check(); err != nil {
		return r, err
	}
	r.Topic = topicsOf(s.Kafka, r.Topic)[0]
	if r.Into == s.Warehouse.Dataset {
		r.Into = ""
	}
	return r, nil
}

// taken checks that a flag is an offset or a time.
func taken(name, value string) error {
	if _, ok := number(value); ok {
		return nil
	}
	if _, ok := instant(value); ok {
		return nil
	}
	return ops.Usagef("%s %q: it takes an offset from 0, or a time such as 2026-11-22 or 2026-11-22T15:04:05Z", name, value)
}

// number reads an offset.
func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0
}

// resolve says where the partitions begin and end.
func (r Replay) resolve(ctx context.Context, admin *kadm.Client, is extent) (from, to []int64, err error) {
	from, to = slices.Clone(is.starts), slices.Clone(is.ends)
	if r.From != "beginning" {
		if from, err = r.offsets(ctx, admin, r.From, is); err != nil {
			return nil, nil, err
		}
	}
	if r.To != "" {
		if to, err = r.offsets(ctx, admin, r.To, is); err != nil {
			return nil, nil, err
		}
	}
	for id := range to {
		if _, exact := number(r.From); exact && (from[id] < is.starts[id] || from[id] > is.ends[id]) {
			return nil, nil, ops.Usagef("-from %s: topic %s holds %s", r.From, r.Topic, is)
		}
		from[id] = min(max(from[id], is.starts[id]), is.ends[id])
		to[id] = max(from[id], min(to[id], is.ends[id]))
	}
	return from, to, nil
}

// offsets are those that a value means in each partition: the number itself, or the first record of that time or later.
func (r Replay) offsets(ctx context.Context, admin *kadm.Client, value string, is extent) ([]int64, error) {
	out := make([]int64, len(is.ends))
	if n, ok := number(value); ok {
		for id := range out {
			out[id] = n
		}
		return out, nil
	}
	at, _ := instant(value)
	listed, err := admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), r.Topic)
	if err != nil {
		return nil, broker.Explain(fmt.Errorf("find the offsets of %s in %s: %w", value, r.Topic, err))
	}
	for id := range out {
		o, ok := listed.Lookup(r.Topic, int32(id))
		if !ok || o.Err != nil {
			return nil, fmt.Errorf("find the offset of %s in %s[%d]: %w", value, r.Topic, id, errors.Join(o.Err))
		}
		out[id] = o.Offset
	}
	return out, nil
}

// instant reads RFC 3339, or a date: the beginning of that day in UTC.
func instant(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
