package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
)

// explain asks the topic about the findings that are kept: which key is missing, which value is another.
func (c *check) explain(ctx context.Context) error {
	byPlace := map[place][]open{}
	for _, o := range c.open {
		f := c.report.Findings[o.finding]
		at := place{f.Partition, f.Offset}
		byPlace[at] = append(byPlace[at], o)
	}
	for at, list := range byPlace {
		spans := map[int32]span{at.partition: {at.offset, at.offset + 1}}
		if err := c.explainAt(ctx, spans, list); err != nil {
			return fmt.Errorf("verify %s: %w", c.name, err)
		}
	}
	return nil
}

func (c *check) explainAt(ctx context.Context, spans map[int32]span, list []open) error {
	l := c.layout
	if l == nil {
		l = keysOnly()
	}
	r := &reading{codec: c.codec, resource: c.resource, table: c.table, layout: l, schemas: map[int]*decoding{}}
	defer r.close()
	r.broken = func(*kgo.Record, error) error { return nil }
	r.yield = func(rec record) error {
		for _, o := range list {
			f := &c.report.Findings[o.finding]
			f.Key = rec.key
			if f.Kind == Missing {
				if f.Expected = "a row"; rec.tombstone {
					f.Expected = "a row that shows the deletion"
				}
				continue
			}
			if rec.beyond != "" {
				f.Column, f.Expected, f.Found = rec.beyond, "a value", "no such column"
			}
			for _, i := range l.compared {
				if want, got := sink.AppendValue(nil, rec.values[i]), sink.AppendValue(nil, o.values[i]); l.ours[i] && string(want) != string(got) {
					f.Column, f.Expected, f.Found = l.columns[i].Name, show(rec.values[i], o.values[i]), show(o.values[i], rec.values[i])
					break
				}
			}
		}
		return nil
	}
	if err := scan(ctx, c.Kafka, c.name, spans, func(rec *kgo.Record) error { return r.add(ctx, rec) }); err != nil {
		return err
	}
	return r.flush()
}

// show is a value as people are shown it, cut short to where it begins to differ from another.
func show(v, other any) string {
	const long = 60
	s, o := []rune(plain(v)), []rune(plain(other))
	at := 0
	for at < len(s) && at < len(o) && s[at] == o[at] {
		at++
	}
	before, after := "", ""
	if from := at - long/3; from > 0 && len(s) > long {
		s, before = s[from:], "…"
	}
	if len(s) > long {
		s, after = s[:long], "…"
	}
	return before + string(s) + after
}

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%q", v)
	case sink.JSON:
		return oneLine(string(v))
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(v)
}
