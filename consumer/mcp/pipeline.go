package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// How many a tool shows: where it is left out, and at most.
const (
	usualLoads, mostLoads     = 20, 200
	usualLetters, mostLetters = 20, 100
	usualPeeked, mostPeeked   = 5, 50
)

// written is a batch that was.
type written struct {
	ID        string    `json:"load_id"`
	Table     string    `json:"table"`
	At        time.Time `json:"at"`
	Seconds   float64   `json:"seconds"`
	Rows      int64     `json:"rows"`
	Inserted  int64     `json:"inserted"`
	Updated   int64     `json:"updated"`
	Unchanged int64     `json:"unchanged"`
	Bytes     int64     `json:"bytes"`
}

// letter is a record that was set aside.
type letter struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"` // of the letter, as dlq show takes it
	Offset    int64     `json:"offset"`
	Key       string    `json:"key"`
	Time      time.Time `json:"time"`
	Attempt   int       `json:"attempt"`
	By        string    `json:"set_aside_by"`
	Column    string    `json:"column,omitempty"`
	Reason    string    `json:"reason"`
}

func (s *Server) addPipeline() {
	type some struct {
		Table string `json:"table,omitempty" jsonschema:"of this table only, such as messages; all where it is left out"`
		Limit int    `json:"limit,omitempty" jsonschema:"how many, the newest first"`
	}
	type peeked struct {
		Topic string `json:"topic" jsonschema:"a topic or its resource, such as messages"`
		Limit int    `json:"limit,omitempty" jsonschema:"how many records, from 1 to 50; 5 where it is left out"`
	}
	add(s, reads("status", "Status of the pipeline", "Shows how far each table is behind, what waits, who loads, and first of all what is wrong and what to do about it."),
		func(ctx context.Context, _ struct{}) (any, error) { return inspect.Look(ctx, s.look, time.Now()) })
	add(s, reads("loads", "Recent loads", "Lists the newest loads into the warehouse with their rows, bytes and seconds: 20, or up to 200."),
		func(ctx context.Context, in some) (any, error) { return s.loads(ctx, in.Table, in.Limit) })
	add(s, reads("dead_letters", "Records that could not be loaded", "Lists records that were set aside since they could not be loaded, and why: those that were not replayed, 20, or up to 100. "+Strangers),
		func(ctx context.Context, in some) (any, error) { return s.letters(ctx, in.Table, in.Limit) })
	add(s, reads("peek", "Newest records of a topic", "Shows the newest records of a Kafka topic, decoded, as they are before they are loaded. "+Strangers),
		func(ctx context.Context, in peeked) (any, error) { return s.peek(ctx, in.Topic, in.Limit) })
}

func limited(n, usual, most int) (int, error) {
	if n = cmp.Or(n, usual); n < 1 || n > most {
		return 0, ops.Usagef("limit is %d: it takes 1 to %d", n, most)
	}
	return n, nil
}

// named are the resources that an agent asks for; all where it names none.
func (s *Server) named(name string) ([]schemas.Resource, error) {
	if name == "" {
		return s.look.Resources, nil
	}
	r, err := s.resource(name)
	return []schemas.Resource{r}, err
}

func (s *Server) loads(ctx context.Context, table string, limit int) (any, error) {
	n, err := limited(limit, usualLoads, mostLoads)
	if err != nil {
		return nil, err
	}
	if table != "" {
		r, err := s.resource(table)
		if err != nil {
			return nil, err
		}
		table = r.Name
	}
	out := struct {
		Loads []written `json:"loads"`
	}{[]written{}}
	return &out, s.look.View(ctx, func(v *sink.View) error {
		for l, err := range v.Loads(ctx, table, n) {
			if err != nil {
				return err
			}
			out.Loads = append(out.Loads, written{l.ID, l.Table, l.Began.Add(l.Took), l.Took.Seconds(), l.Rows, l.Inserted, l.Updated, l.Unchanged, l.Bytes})
		}
		return nil
	})
}

func (s *Server) letters(ctx context.Context, table string, limit int) (any, error) {
	n, err := limited(limit, usualLetters, mostLetters)
	if err != nil {
		return nil, err
	}
	resources, err := s.named(table)
	if err != nil {
		return nil, err
	}
	out := struct {
		Waiting int      `json:"waiting"` // all of them
		Letters []letter `json:"letters"`
		Do      string   `json:"what_to_do,omitempty"`
		Note    string   `json:"note"`
	}{Letters: []letter{}, Note: Strangers}
	var all []dlq.Letter
	for _, r := range resources {
		letters, err := dlq.Waiting(ctx, s.look.Kafka, s.look.Kafka.ConsumerGroup(s.look.Group), r.Topic(s.look.Kafka.Prefix))
		if err != nil {
			return nil, err
		}
		all = append(all, letters...)
	}
	slices.SortStableFunc(all, func(a, b dlq.Letter) int { return b.Time.Compare(a.Time) })
	if out.Waiting = len(all); out.Waiting > 0 {
		out.Do = "Mend what the reasons name; then a person runs consumer dlq replay, which loads them again."
	}
	for _, l := range all[:min(n, len(all))] {
		out.Letters = append(out.Letters, letter{l.Topic, l.At.Partition, l.At.Offset, short(string(l.Key)), l.Time.UTC(), l.Attempt, l.Sink, l.Column, short(l.Reason)})
	}
	return out, nil
}

func (s *Server) peek(ctx context.Context, topic string, limit int) (any, error) {
	n, err := limited(limit, usualPeeked, mostPeeked)
	if err != nil {
		return nil, err
	}
	r, err := s.resource(topic)
	if err != nil {
		return nil, err
	}
	records, err := s.look.Peek(ctx, r, n)
	if err != nil {
		return nil, err
	}
	out := struct {
		Topic   string           `json:"topic"`
		Records []inspect.Peeked `json:"records"`
		Note    string           `json:"note"`
	}{r.Topic(s.look.Kafka.Prefix), []inspect.Peeked{}, Strangers}
	room := mostBytes
	for _, p := range records {
		p.Row, p.Key, p.Undecoded = shortened(p.Row), short(p.Key), short(p.Undecoded)
		if room -= len(p.Row); room < 0 {
			break
		}
		out.Records = append(out.Records, p)
	}
	return out, nil
}

// shortened is an object with its long values cut, and without those that are null.
func shortened(row json.RawMessage) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(row, &members) != nil {
		return row
	}
	for name, v := range members {
		var text string
		switch {
		case string(v) == "null":
			delete(members, name)
		case json.Unmarshal(v, &text) == nil:
			members[name] = encoded(short(text))
		case len(v) > textShown:
			members[name] = encoded(short(string(v)))
		}
	}
	return encoded(members)
}
