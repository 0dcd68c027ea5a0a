package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// print shows the median of each figure, and how far the rates are apart.
func (b *bench) print(out io.Writer, trials []trial, took map[string][]cost) error {
	fmt.Fprintf(out, "%s/%s, %d CPUs; %s; medians of %d runs in turns\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.where, b.runs)
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "\trows/s\tfrom\tto\tbeside\tCPU s per million\tPostgreSQL's\tMiB resident\tMiB on disk\tallocations a row\t")
	for _, t := range trials {
		all := took[t.name]
		if len(all) == 0 {
			continue
		}
		rate := median(all, cost.rate)
		var beside []string
		for _, other := range t.beside {
			if of := took[other]; len(of) > 0 {
				beside = append(beside, ratio(rate/median(of, cost.rate)))
			}
		}
		rates := func(pick func([]cost, func(a, b cost) int) cost) float64 {
			return pick(all, func(a, b cost) int { return cmp.Compare(a.rate(), b.rate()) }).rate()
		}
		fmt.Fprintf(tab, "%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t\n", t.name, rate, rates(slices.MinFunc), rates(slices.MaxFunc), strings.Join(beside, ", "),
			known("%.1f", median(all, cost.perMillion)), known("%.1f", median(all, cost.serverPerMillion)),
			known("%.0f", median(all, func(c cost) float64 { return float64(c.rss) / (1 << 20) })),
			known("%.0f", median(all, func(c cost) float64 { return float64(c.disk) / (1 << 20) })), known("%.2f", median(all, func(c cost) float64 { return c.allocs })))
	}
	return tab.Flush()
}

func ratio(of float64) string {
	if of < 2 {
		return fmt.Sprintf("%.0f %%", 100*of)
	}
	return fmt.Sprintf("%.1f times", of)
}

func median(all []cost, of func(cost) float64) float64 {
	values := make([]float64, len(all))
	for i, c := range all {
		values[i] = of(c)
	}
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

func known(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}
