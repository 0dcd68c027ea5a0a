package inspect

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tilestream/internal/ops"
)

// print writes the status for people: first what is wrong, and what to do.
func (s *Status) print(w io.Writer) error {
	fmt.Fprintf(w, "%s  group %s, warehouse %s\n\n", s.Time.Format("2006-01-02 15:04:05 UTC"), s.Group, s.Warehouse)
	paint := ops.PaintOn(w)
	for _, p := range s.Problems {
		fmt.Fprintf(w, "%s %s\n   DO: %s\n", paint.Bad("WRONG:"), p.What, p.Do)
	}
	if s.OK {
		fmt.Fprintln(w, paint.Good("Nothing is wrong."))
	}
	for _, n := range s.Notes {
		fmt.Fprintln(w, "NOTE: "+n)
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "topic\tpartitions\tloaded\tof\twaiting\toldest waiting\tnewest row\tlast load\tdead letters")
	for _, t := range s.Topics {
		if t.Partitions == 0 && t.LastLoad == nil {
			fmt.Fprintf(tab, "%s\t-\t-\t-\t-\t-\t-\t-\t-\n", t.Topic)
			continue
		}
		oldest, fresh, last := "-", "-", "-"
		if !t.oldest.IsZero() {
			oldest = age(s.Time.Sub(t.oldest))
		}
		if t.Fresh != nil {
			fresh = age(s.Time.Sub(*t.Fresh)) + " old"
		}
		if l := t.LastLoad; l != nil {
			last = fmt.Sprintf("%s ago, %d rows in %.1fs", age(s.Time.Sub(l.Time)), l.Rows, l.TookSeconds)
		}
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%d\n", t.Topic, t.Partitions, t.Ledger, t.HighWatermark, t.Lag, oldest, fresh, last, t.DeadLetters)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if s.State != "" {
		fmt.Fprintf(w, "\nConsumers loading: %d (Kafka calls the group %s)\n", len(s.Members), s.State)
	}
	for _, m := range s.Members {
		fmt.Fprintf(w, "  %s with %d partitions\n", m.Host, m.Partitions)
	}
	return nil
}

// age is a duration as people say it.
func age(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
