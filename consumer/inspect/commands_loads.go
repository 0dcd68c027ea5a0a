package inspect

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// oneLoad is a batch that was written, as people and programs are shown it.
type oneLoad struct {
	ID    string    `json:"id"`
	Table string    `json:"table"`
	Time  time.Time `json:"time"` // when the warehouse had it
	Rows  int64     `json:"rows"`
	sink.Stats
	Bytes       int64         `json:"bytes"`
	TookSeconds float64       `json:"took_seconds"`
	Ranges      []loadedRange `json:"ranges"`
}

func loadsCommand() ops.Command {
	var cfg struct {
		Warehouse sink.Config
		DataDir   string `env:"DATA_DIR, default=tilestream-data" help:"where the embedded warehouse is kept"`
	}
	var table string
	var limit int
	return ops.Command{
		Name: "loads", Summary: "lists the newest loads: rows, bytes, time and offsets; changes nothing", Config: &cfg,
		JSON:     "a JSON object for each load",
		Values:   map[string][]string{"table": schemas.Names()},
		Examples: "-table messages -limit 100\n-json -limit 0 | jq -s 'map(.rows) | add'  # rows of all loads",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&table, "table", "", "of this `TABLE` only")
			fs.IntVar(&limit, "limit", 20, "the newest `N`; 0: all")
		},
		Run: func(ctx context.Context, o ops.Options) error {
			if _, err := schemas.ByName(table); table != "" && err != nil {
				return ops.Usagef("-table %s: %w", table, err)
			}
			look := Settings{Warehouse: cfg.Warehouse, DataDir: cfg.DataDir}.Config(nil)
			tab := tabwriter.NewWriter(o.Stdout, 0, 0, 2, ' ', 0)
			show := func(l oneLoad) error { return l.print(tab) }
			if o.JSON {
				show = func(l oneLoad) error { return o.Encode(l) }
			} else {
				fmt.Fprintln(tab, "time\ttable\trows\tnew\tupdated\tKiB\ttook\toffsets")
			}
			if err := look.View(ctx, func(v *sink.View) error { return eachLoad(ctx, v, table, limit, show) }); err != nil {
				return err
			}
			return tab.Flush()
		},
	}
}

func eachLoad(ctx context.Context, v *sink.View, table string, limit int, show func(oneLoad) error) error {
	for l, err := range v.Loads(ctx, table, limit) {
		if err != nil {
			return err
		}
		one := oneLoad{l.ID, l.Table, l.Began.Add(l.Took).UTC(), l.Rows, l.Stats, l.Bytes, l.Took.Seconds(), nil}
		for _, r := range l.Ranges {
			one.Ranges = append(one.Ranges, loadedRange{r.Topic, r.ID, r.From, r.To})
		}
		if err := show(one); err != nil {
			return err
		}
	}
	return nil
}

// loadedRange is what a load holds of a partition.
type loadedRange struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"` // not included
}

func (l oneLoad) print(w io.Writer) error {
	offsets := ""
	for i, r := range l.Ranges {
		if i > 0 {
			offsets += ", "
		}
		offsets += fmt.Sprintf("%d: %d–%d", r.Partition, r.From, r.To)
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%.2fs\t%s\n", l.Time.Format(time.DateTime), l.Table, l.Rows, l.Inserted, l.Updated, l.Bytes>>10, l.TookSeconds, offsets)
	return err
}
