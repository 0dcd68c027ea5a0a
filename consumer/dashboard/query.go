package dashboard

import (
	"encoding/csv"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

const (
	queryRows = 1000
	csvRows   = 1_000_000
)

func (c *Console) showQuery(w http.ResponseWriter, r *http.Request) {
	page := struct {
		SQL, Error string
		Answer     *answer
		Questions  []inspect.Question
		Most       int
	}{SQL: r.URL.Query().Get("sql"), Questions: c.look.Questions(), Most: queryRows}
	status := http.StatusOK
	if strings.TrimSpace(page.SQL) != "" {
		began := time.Now()
		a, err := c.look.Ask(r.Context(), page.SQL, queryRows)
		var usage *ops.UsageError
		switch {
		case errors.As(err, &usage):
			page.Error = err.Error()
			status = http.StatusUnprocessableEntity
		case err != nil:
			c.fail(w, r, err)
			return
		default:
			page.Answer = answerOf(a, time.Since(began))
		}
	}
	c.renderAs(w, r, status, "query.html", "Query", page)
}

// column is the head of one.
type column struct {
	Name   string
	Number bool
}

// answer is a result as it is shown.
type answer struct {
	Columns []column
	Rows    [][]cell
	More    bool
	Took    time.Duration
	Chart   template.HTML
}

func answerOf(a *sink.Answer, took time.Duration) *answer {
	out := &answer{More: a.More, Took: took}
	for _, name := range a.Columns {
		out.Columns = append(out.Columns, column{Name: name})
	}
	for _, values := range a.Rows {
		row := make([]cell, len(values))
		for i, v := range values {
			row[i] = cellOf(v)
			out.Columns[i].Number = out.Columns[i].Number || row[i].Number
		}
		out.Rows = append(out.Rows, row)
	}
	out.Chart = barsOf(a)
	return out
}

// showCSV sends the answer as a file (RFC 4180).
func (c *Console) showCSV(w http.ResponseWriter, r *http.Request) {
	a, err := c.look.Ask(r.Context(), r.URL.Query().Get("sql"), csvRows)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="tilestream.csv"`)
	out := csv.NewWriter(w)
	_ = out.Write(a.Columns) // an error shows at Flush, and is the reader's who has gone
	line := make([]string, len(a.Columns))
	for _, values := range a.Rows {
		for i, v := range values {
			line[i] = text(v)
		}
		_ = out.Write(line)
	}
	out.Flush()
}

// barsOf is a chart of answers whose first column names what the last one counts.
func barsOf(a *sink.Answer) template.HTML {
	n := len(a.Columns)
	if n < 2 || len(a.Rows) < 2 || len(a.Rows) > 400 {
		return ""
	}
	var values []float64
	most := 0.0
	for _, row := range a.Rows {
		v, ok := float(row[n-1])
		if !ok || v < 0 {
			return ""
		}
		values = append(values, v)
		most = max(most, v)
	}
	if most == 0 {
		return ""
	}
	const width, height = 1000.0, 120.0
	step := width / float64(len(values))
	var b strings.Builder
	what := template.HTMLEscapeString(a.Columns[n-1] + ", at most " + text(most))
	fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg class="chart" viewBox="0 0 %.0f %.0f" preserveAspectRatio="none" role="img" aria-label="%s">`, what, width, height, what)
	for i, v := range values {
		h := v / most * (height - 4)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s: %s</title></rect>`, float64(i)*step+step*0.1, height-h, step*0.8, h,
			template.HTMLEscapeString(text(a.Rows[i][0])), template.HTMLEscapeString(text(a.Rows[i][n-1])))
	}
	b.WriteString(`</svg></figure>`)
	return template.HTML(b.String())
}
