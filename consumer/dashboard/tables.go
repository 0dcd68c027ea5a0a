package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// rowsShown is how many rows of a table are shown.
const rowsShown = 50

func (c *Console) showTables(w http.ResponseWriter, r *http.Request) {
	type table struct {
		Name    string
		Columns int
		At      time.Time
		Rows    int64
	}
	var all []table
	err := c.look.View(r.Context(), func(v *sink.View) error {
		for _, res := range c.look.Resources {
			columns, err := v.Columns(r.Context(), inspect.TableOf(res))
			if err != nil {
				return err
			}
			t := table{Name: res.Name, Columns: len(columns)}
			for l, err := range v.Loads(r.Context(), res.Name, 1) {
				if err != nil {
					return err
				}
				t.At, t.Rows = l.Began.Add(l.Took), l.Rows
			}
			all = append(all, t)
		}
		return nil
	})
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.render(w, r, "tables.html", "Tables", struct {
		Warehouse, Dataset string
		Tables             []table
	}{sink.Redacted(c.look.Warehouse), c.look.Dataset, all})
}

// version is a schema of a topic.
type version struct {
	Version, ID int
	Schema      string
	Added, Gone []string // fields, against the version before
	Newest      bool
}

func (c *Console) showTable(w http.ResponseWriter, r *http.Request) {
	at := slices.IndexFunc(c.look.Resources, func(res schemas.Resource) bool { return res.Name == r.PathValue("name") })
	if at < 0 {
		http.NotFound(w, r)
		return
	}
	res := c.look.Resources[at]
	page := struct {
		Name, Subject string
		Columns       []sink.Column
		Rows          [][]cell
		Versions      []version
	}{Name: res.Name, Subject: res.Subject(c.look.Kafka.Prefix)}
	err := c.look.View(r.Context(), func(v *sink.View) (err error) {
		table := inspect.TableOf(res)
		if page.Columns, err = v.Columns(r.Context(), table); err != nil || page.Columns == nil {
			return err
		}
		for values, err := range v.Rows(r.Context(), table, page.Columns) {
			if err != nil {
				return err
			}
			row := make([]cell, len(values))
			for i, value := range values {
				row[i] = cellOf(value)
			}
			if page.Rows = append(page.Rows, row); len(page.Rows) == rowsShown {
				break
			}
		}
		return nil
	})
	if err == nil {
		page.Versions, err = c.versions(r.Context(), page.Subject)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.render(w, r, "table.html", res.Name, page)
}

// versions are those of a subject, the newest first; none where it has none.
func (c *Console) versions(ctx context.Context, subject string) ([]version, error) {
	registry, err := c.look.Kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	all, err := registry.Schemas(ctx, subject)
	if errors.Is(err, sr.ErrSubjectNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the registry for the schemas of %s: %w", subject, err)
	}
	slices.SortFunc(all, func(a, b sr.SubjectSchema) int { return a.Version - b.Version })
	var out []version
	var before []string
	for i, s := range all {
		var b bytes.Buffer
		if json.Indent(&b, []byte(s.Schema.Schema), "", "  ") != nil {
			b.WriteString(s.Schema.Schema)
		}
		v := version{Version: s.Version, ID: s.ID, Schema: b.String(), Newest: i == len(all)-1}
		now := fieldsOf(s.Schema.Schema)
		if i > 0 {
			v.Added, v.Gone = without(now, before), without(before, now)
		}
		before = now
		out = append(out, v)
	}
	slices.Reverse(out)
	return out, nil
}

// fieldsOf lists the fields of a record's schema with their types.
func fieldsOf(schema string) []string {
	var record struct {
		Fields []struct {
			Name string
			Type json.RawMessage
		}
	}
	if json.Unmarshal([]byte(schema), &record) != nil {
		return nil
	}
	var out []string
	for _, f := range record.Fields {
		out = append(out, f.Name+" "+string(f.Type))
	}
	return out
}

func without(all, those []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(those, s) })
}
