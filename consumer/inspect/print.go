package inspect

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// conclude makes the last sentence.
func (r *Report) conclude() {
	var records, rows, lag, dead, newer, unproven int64
	for _, p := range r.Partitions {
		records, rows, lag = records+p.Records, rows+p.Rows, lag+p.Lag()
		dead, newer, unproven = dead+p.DeadLetters, newer+p.Newer, unproven+p.Unproven
	}
	wrong := r.Wrong()
	r.OK = wrong == 0
	var said []string
	switch {
	case !r.OK:
		said = append(said, fmt.Sprintf("NOT proven: %d things are wrong (%s).", wrong, r.counts()),
			"consumer replay loads a topic once more and mends rows that are missing, stale or different; it takes away none that are too many.")
	case rows == 0 && records == 0:
		said = append(said, "Nothing was loaded yet, so nothing is proven.")
	default:
		said = append(said, fmt.Sprintf("Proven: all that %d records say up to the ledger is in %d rows, once, with every value.", records, rows-newer-unproven))
	}
	if unproven > 0 {
		said = append(said, fmt.Sprintf("%d rows are not proven: their records are no longer in the topics (retention, compaction), or were set aside as dead letters.", unproven))
	}
	if newer > 0 {
		said = append(said, fmt.Sprintf("%d rows were loaded meanwhile and not looked at.", newer))
	}
	if dead > 0 {
		said = append(said, fmt.Sprintf("%d records are dead letters (consumer dlq list).", dead))
	}
	if lag > 0 {
		said = append(said, fmt.Sprintf("The ledger is %d offsets behind the topics: that is lag, not damage.", lag))
	}
	r.Conclusion = strings.Join(said, " ")
}

// counts says how many of each kind are wrong.
func (r *Report) counts() string {
	var parts []string
	for _, k := range kinds {
		var n int64
		for _, p := range r.Partitions {
			n += p.Wrong[k]
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	return strings.Join(parts, ", ")
}

// print writes the report for people.
func (r *Report) print(w io.Writer) error {
	fmt.Fprintf(w, "Warehouse %s, group %s\n\n", r.Warehouse, r.Group)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "partition\tledger\trecords\tdocuments\tdeleted\trows\twrong\tdead letters\tnot proven\tchecksum of topic\tof rows")
	for _, p := range r.Partitions {
		if p.Ledger == 0 && p.Rows == 0 && len(p.Wrong) == 0 {
			continue
		}
		var wrong int64
		for _, n := range p.Wrong {
			wrong += n
		}
		fmt.Fprintf(tab, "%s[%d]\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", p.Topic, p.Partition, p.Ledger, p.Records, p.Documents, p.Tombstones, p.Rows, wrong,
			p.DeadLetters, p.Unproven+p.Newer, p.SumOfTopic, p.SumOfRows)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		fmt.Fprintf(w, "\nWrong (the first %d of each kind and topic):\n", shown)
	}
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.Conclusion)
	return err
}

// String is the finding on one line.
func (f Finding) String() string {
	at := fmt.Sprintf("%s[%d] offset %d", f.Topic, f.Partition, f.Offset)
	if f.Key != "" {
		at += ", key " + oneLine(f.Key)
	}
	if f.Column != "" {
		at += ", " + f.Column
	}
	return fmt.Sprintf("  %-10s  %s: expected %s, found %s", f.Kind, at, f.Expected, f.Found)
}

// oneLine makes text from outside safe for a terminal.
func oneLine(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
