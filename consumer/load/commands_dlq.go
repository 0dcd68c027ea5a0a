package load

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"tilestream/internal/broker"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

func listDLQ() ops.Command {
	var cfg struct {
		Group string `env:"KAFKA_GROUP" help:"consumer group whose letters are listed; unset: PREFIX-consumer"`
		Kafka broker.Config
	}
	var topic string
	var limit int
	var all bool
	return ops.Command{
		Name: "dlq list", Summary: "lists the records that could not be loaded, and why", Config: &cfg,
		JSON:     "a JSON object for each letter, with all of it",
		Values:   topics,
		Examples: "-topic messages\n-json -limit 0 | jq -r .reason | sort | uniq -c  # what goes wrong most",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&topic, "topic", "", "of this `TOPIC` or resource only")
			fs.IntVar(&limit, "limit", 100, "the newest `N` of each topic; 0: all")
			fs.BoolVar(&all, "all", false, "those of other groups, and those that were replayed, too")
		},
		Run: func(ctx context.Context, o ops.Options) error {
			group := cfg.Kafka.ConsumerGroup(cfg.Group)
			tab := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
			if !o.JSON {
				fmt.Fprintln(tab, "topic\tpartition\toffset\trecord\tkey\ttime\tattempt\tsink\tcolumn\treason")
			}
			for _, t := range topicsOf(cfg.Kafka, topic) {
				var mine []dlq.Letter
				var err error
				if all {
					mine, _, err = dlq.Read(ctx, cfg.Kafka, t, nil)
				} else {
					mine, err = dlq.Waiting(ctx, cfg.Kafka, group, t)
				}
				if err != nil {
					return err
				}
				if limit > 0 && len(mine) > limit {
					mine = mine[len(mine)-limit:]
				}
				for _, l := range mine {
					if o.JSON {
						if err := o.Encode(viewOf(l)); err != nil {
							return err
						}
						continue
					}
					record := strconv.FormatInt(l.Offset, 10)
					if l.Unpublished() {
						record = "none"
					}
					fmt.Fprintf(tab, "%s\t%d\t%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.Topic, l.At.Partition, l.At.Offset, record, oneLine(string(l.Key), 40),
						l.Time.UTC().Format(time.RFC3339), l.Attempt, l.Sink, l.Column, oneLine(l.Reason, 120))
				}
			}
			return tab.Flush()
		},
	}
}

func showDLQ() ops.Command {
	var cfg struct{ Kafka broker.Config }
	return ops.Command{
		Name: "dlq show", Summary: "shows all of one record that could not be loaded", Config: &cfg,
		Args:     "TOPIC PARTITION OFFSET (as dlq list shows them)",
		JSON:     "as one JSON object",
		Values:   map[string][]string{"": schemas.Names()},
		Examples: "messages 0 17",
		Run: func(ctx context.Context, o ops.Options) error {
			if len(o.Args) != 3 {
				return ops.Usagef("dlq show takes TOPIC PARTITION OFFSET, as dlq list shows them")
			}
			partition, err := strconv.ParseInt(o.Args[1], 10, 32)
			if err != nil || partition < 0 {
				return ops.Usagef("PARTITION %q is not a number from 0", o.Args[1])
			}
			offset, err := strconv.ParseInt(o.Args[2], 10, 64)
			if err != nil || offset < 0 {
				return ops.Usagef("OFFSET %q is not a number from 0", o.Args[2])
			}
			topic := topicsOf(cfg.Kafka, o.Args[0])[0]
			l, err := dlq.At(ctx, cfg.Kafka, topic, dlq.Place{Partition: int32(partition), Offset: offset})
			if err != nil {
				return err
			}
			if l == nil {
				return fmt.Errorf("there is no dead letter at offset %d of %s[%d]: dlq list shows where they are", offset, broker.DLQName(topic), partition)
			}
			if l.Value, err = l.Original(); err != nil {
				return err
			}
			l.Encoding = ""
			v := viewOf(*l)
			if !l.Unpublished() {
				registry, err := cfg.Kafka.NewRegistry()
				if err != nil {
					return err
				}
				if _, v.Row, err = schemas.NewCodec(registry, cfg.Kafka.Prefix).JSON(ctx, l.Value); err != nil {
					v.Undecoded = err.Error()
				}
			}
			return v.print(o)
		},
	}
}

func replayDLQ() ops.Command {
	var cfg Settings
	var topic string
	return ops.Command{
		Name: "dlq replay", Summary: "loads the records that could not be loaded once more; documents that never were records count as seen", Config: &cfg,
		JSON:     "how many, as one JSON object",
		Values:   topics,
		Examples: "-topic messages",
		Flags:    func(fs *flag.FlagSet) { fs.StringVar(&topic, "topic", "", "of this `TOPIC` or resource only") },
		Run: func(ctx context.Context, o ops.Options) (err error) {
			to, err := cfg.Open(ctx, o.Log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			done, err := ReplayDLQ(ctx, cfg.Load, cfg.Kafka, to, Log(o.Log), topicsOf(cfg.Kafka, topic)...)
			if o.JSON {
				err = errors.Join(err, o.Encode(done))
			} else {
				fmt.Fprintf(o.Stdout, "%d dead letters loaded, %d refused again\n", done.Loaded, done.Refused)
			}
			if err == nil && done.Refused > 0 {
				err = fmt.Errorf("%w: %d records were refused again: dlq list shows why", ops.ErrDeadLetters, done.Refused)
			}
			return err
		},
	}
}

// view is a letter as people and programs are shown it.
type view struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Record    *recordPlace      `json:"record,omitempty"` // none of a document that never was one
	Group     string            `json:"group,omitempty"`
	Schema    *int              `json:"schema_id,omitempty"`
	Sink      string            `json:"sink"`
	Column    string            `json:"column,omitempty"`
	Reason    string            `json:"reason"`
	Time      time.Time         `json:"time"`
	Attempt   int               `json:"attempt"`
	Timestamp time.Time         `json:"timestamp"`
	Headers   map[string]string `json:"headers,omitempty"`
	Key       string            `json:"key"`
	Encoding  string            `json:"encoding,omitempty"` // of the value, where it is not the record's own bytes
	Value     []byte            `json:"value"`              // base64
	Row       json.RawMessage   `json:"row,omitempty"`
	Undecoded string            `json:"undecoded,omitempty"`
}

type recordPlace struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

func viewOf(l dlq.Letter) view {
	v := view{Topic: broker.DLQName(l.Topic), Partition: l.At.Partition, Offset: l.At.Offset, Group: l.Group,
		Sink: l.Sink, Column: l.Column, Reason: l.Reason, Time: l.Time, Attempt: l.Attempt, Timestamp: l.Timestamp.UTC(), Headers: map[string]string{},
		Key: string(l.Key), Encoding: l.Encoding, Value: l.Value}
	if !l.Unpublished() {
		v.Record = &recordPlace{l.Partition, l.Offset}
	}
	if l.Schema != dlq.NoSchema {
		v.Schema = &l.Schema
	}
	for _, h := range l.Headers {
		v.Headers[h.Key] = string(h.Value)
	}
	return v
}

func (v view) print(o ops.Options) error {
	if o.JSON {
		return o.Encode(v)
	}
	out := o.Stdout
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(tab, "%s\t%v\n", name, value) }
	row("letter", fmt.Sprintf("%s[%d] offset %d", v.Topic, v.Partition, v.Offset))
	if v.Record != nil {
		row("record", fmt.Sprintf("partition %d offset %d, of %s", v.Record.Partition, v.Record.Offset, v.Timestamp.Format(time.RFC3339Nano)))
	} else {
		row("record", "none: the producer could not publish the document that it read at "+v.Timestamp.Format(time.RFC3339Nano))
	}
	row("key", oneLine(v.Key, 200))
	if v.Schema != nil {
		row("schema id", *v.Schema)
	}
	for name, value := range v.Headers {
		row("header "+oneLine(name, 80), oneLine(value, 200))
	}
	by := "group " + v.Group
	if v.Record == nil {
		by = "the producer"
	}
	row("set aside", fmt.Sprintf("%s, by %s, attempt %d", v.Time.Format(time.RFC3339), by, v.Attempt))
	row("sink", v.Sink)
	if v.Column != "" {
		row("column", v.Column)
	}
	row("reason", oneLine(v.Reason, 4000))
	if v.Undecoded != "" {
		row("not decoded", oneLine(v.Undecoded, 400))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	switch {
	case v.Row != nil:
		_, err := fmt.Fprintf(out, "\n%s\n", v.Row)
		return err
	case v.Record == nil: // JSON, as Tiledesk sent it
		_, err := fmt.Fprintf(out, "\n%s\n", oneLine(string(v.Value), len(v.Value)))
		return err
	case utf8.Valid(v.Value):
		_, err := fmt.Fprintf(out, "\n%q\n", v.Value)
		return err
	}
	_, err := fmt.Fprintf(out, "\n% x\n", v.Value)
	return err
}

// oneLine makes text from outside safe for a terminal, and no longer than n characters.
func oneLine(s string, n int) string {
	r := []rune(strconv.Quote(s))
	r = r[1 : len(r)-1]
	if len(r) > n {
		r = append(r[:n-1:n-1], '…')
	}
	return strings.ReplaceAll(string(r), `\"`, `"`)
}
