package dashboard

import (
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"tilestream/consumer/sink"
)

// loadsShown is how many loads a page has.
const loadsShown = 200

// load is a batch that was written.
type load struct {
	sink.Load
	At    time.Time
	Where string // its offsets
}

func (c *Console) showLoads(w http.ResponseWriter, r *http.Request) {
	table := r.URL.Query().Get("table")
	var all []load
	err := c.look.View(r.Context(), func(v *sink.View) error {
		for l, err := range v.Loads(r.Context(), table, loadsShown) {
			if err != nil {
				return err
			}
			all = append(all, load{l, l.Began.Add(l.Took), ranges(l.Ranges)})
		}
		return nil
	})
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.render(w, r, "loads.html", "Loads", struct {
		Table string
		Loads []load
		Chart template.HTML
	}{table, all, chart(all)})
}

// ranges are offsets by partition: 0: 12–40, 3: 7–8.
func ranges(all []sink.Range) string {
	var b strings.Builder
	for i, r := range slices.SortedFunc(slices.Values(all), func(a, b sink.Range) int { return int(a.ID - b.ID) }) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d: %d–%d", r.ID, r.From, r.To)
	}
	return b.String()
}

// chart shows loads over time as bars: when, and of how many records.
func chart(all []load) template.HTML {
	if len(all) == 0 {
		return ""
	}
	const width, height = 1000.0, 120.0
	first, last, most := all[len(all)-1].At, all[0].At, int64(1)
	for _, l := range all {
		most = max(most, l.Rows)
	}
	span := max(last.Sub(first), time.Second)
	var b strings.Builder
	what := fmt.Sprintf("records of each load, at most %s, from %s to %s", number(most), ago(first), ago(last))
	fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg class="chart" viewBox="0 0 %.0f %.0f" preserveAspectRatio="none" role="img" aria-label="%s">`, what, width, height, what)
	fmt.Fprintf(&b, `<line x1="0" x2="%.0f" y1="%.0f" y2="%.0f"/>`, width, height, height)
	for _, l := range all {
		x := float64(l.At.Sub(first)) / float64(span) * (width - 4)
		h := max(1.5, float64(l.Rows)/float64(most)*(height-6))
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="4" height="%.1f"><title>%s: %s records in %s</title></rect>`, x, height-h, h, template.HTMLEscapeString(l.Table), number(l.Rows), took(l.Took))
	}
	b.WriteString(`</svg></figure>`)
	return template.HTML(b.String())
}

// spark is a line of numbers, the newest on the right.
func spark(each []float64) template.HTML {
	most := slices.Max(append([]float64{1}, each...))
	var b strings.Builder
	b.WriteString(`<svg viewBox="0 0 120 28" preserveAspectRatio="none" aria-hidden="true"><polyline points="`)
	for i, v := range each {
		fmt.Fprintf(&b, "%.1f,%.1f ", 120-float64(len(each)-1-i)*120/(samplesKept-1), 26-v/most*24)
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String())
}
