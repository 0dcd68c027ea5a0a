package load

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
)

func replayTopic() ops.Command {
	var cfg Settings
	var r Replay
	return ops.Command{
		Name: "replay", Summary: "loads a topic once more, beside live loading: newest wins, and the same command goes on where it was stopped", Config: &cfg,
		JSON:   "what was loaded, as one JSON object",
		Values: topics,
		Examples: "-topic messages -from beginning  # mend a table, or fill a column that is new\n" +
			"-topic messages -from 2026-11-01 -to 2026-11-08 -into november  # a week, in a dataset of its own",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&r.Topic, "topic", "", "the `TOPIC`, or its resource")
			fs.StringVar(&r.From, "from", "", "`WHERE` to begin: beginning, an offset of every partition, or a time of extraction (2026-11-22, 2026-11-22T15:04:05Z)")
			fs.StringVar(&r.To, "to", "", "`WHERE` to end, not included: an offset or a time; unset: at the end as it is when the replay begins")
			fs.StringVar(&r.Into, "into", "", "another `DATASET`, which is created; unset: WAREHOUSE_DATASET, beside live loading")
		},
		Run: func(ctx context.Context, o ops.Options) (err error) {
			if r, err = r.within(&cfg); err != nil {
				return err
			}
			cfg.Warehouse.Dataset = cmp.Or(r.Into, cfg.Warehouse.Dataset)
			to, err := cfg.Open(ctx, o.Log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			ops.LimitMemory(cfg.Load.Records())
			began := time.Now()
			done, err := r.Run(ctx, cfg.Load, cfg.Kafka, to, Events{DeadLetter: Log(o.Log).DeadLetter})
			if err == nil || errors.Is(err, ops.ErrDeadLetters) {
				if o.JSON {
					return errors.Join(err, o.Encode(replayed{r.Topic, cfg.Warehouse.Dataset, done, time.Since(began).Seconds()}))
				}
				fmt.Fprintf(o.Stdout, "replayed %s into %s: %d rows (%d inserted, %d updated, %d unchanged), %d dead letters, took %s\n", r.Topic, cfg.Warehouse.Dataset,
					done.Rows, done.Inserted, done.Updated, done.Unchanged, done.Refused, time.Since(began).Round(time.Millisecond))
			}
			return err
		},
	}
}

// replayed is what a replay has done, for programs.
type replayed struct {
	Topic   string `json:"topic"`
	Dataset string `json:"dataset"`
	Outcome
	TookSeconds float64 `json:"took_seconds"`
}

func acceptTopic() ops.Command {
	var cfg Settings
	var topic string
	var dry bool
	return ops.Command{
		Name: "accept", Summary: "takes a topic as it is now, after it was created again or has lost records that were never loaded", Config: &cfg,
		JSON:     "what there is and becomes of it, as one JSON object",
		Values:   topics,
		Examples: "-topic messages -dry-run",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&topic, "topic", "", "the `TOPIC`, or its resource")
			fs.BoolVar(&dry, "dry-run", false, "only show what would be done")
		},
		Run: func(ctx context.Context, o ops.Options) (err error) {
			if topic == "" {
				return ops.Usagef("-topic is missing: it takes a topic or a resource, such as messages")
			}
			to, err := cfg.Open(ctx, o.Log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			of := topicsOf(cfg.Kafka, topic)[0]
			if strings.HasSuffix(topic, broker.DLQName("")) { // its ledger says how far dlq replay is
				of = broker.DLQName(of)
			}
			a, err := Accept(ctx, cfg.Load, cfg.Kafka, to, of, dry)
			a.Accepted = err == nil && !dry
			if o.JSON {
				return errors.Join(err, o.Encode(a))
			}
			if len(a.Partitions) > 0 {
				a.print(o)
			}
			if a.Accepted {
				fmt.Fprintf(o.Stdout, "accepted: the next consumer of group %s goes on from there\n", a.Group)
			}
			return err
		},
	}
}

// print shows the ledger beside the topic, and what becomes of it.
func (a Acceptance) print(o ops.Options) {
	if a.Recreated {
		fmt.Fprintf(o.Stdout, "topic %s was created again; the ledger of group %s is of the earlier one\n", a.Topic, a.Group)
	}
	tab := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "partition\tledger at\tlog start\tend\t")
	for _, p := range a.Partitions {
		what := "stays"
		switch {
		case p.Reset && a.Recreated:
			what = "begins anew"
		case p.Reset && p.Gone() > 0:
			what = fmt.Sprintf("goes on at %d: %d offsets are gone that were never loaded", p.Start, p.Gone())
		case p.Reset:
			what = fmt.Sprintf("begins anew at %d: the log ends before the ledger", p.Start)
		}
		fmt.Fprintf(tab, "%d\t%d\t%d\t%d\t%s\n", p.ID, p.Ledger, p.Start, p.End, what)
	}
	_ = tab.Flush()
}
