package dashboard

import (
	"net/http"
	"slices"
	"time"

	"tilestream/consumer/inspect"
	"tilestream/consumer/sink"
)

// rowsShown is how many rows of a table are shown.
const rowsShown = 50

func (c *Console) showTables(w http.ResponseWriter, r *http.Request) {
	type table struct {
		Name    string
		Columns int
		Rows    int64 // -1: not counted
		At      time.Time
		Loaded  int64 // of the last load
	}
	var all []table
	var there []string
	err := c.look.View(r.Context(), func(v *sink.View) error {
		for _, res := range c.look.Resources {
			columns, err := v.Columns(r.Context(), inspect.TableOf(res))
			if err != nil {
				return err
			}
			t := table{Name: res.Name, Columns: len(columns), Rows: -1}
			if len(columns) > 0 {
				there = append(there, res.Name)
			}
			for l, err := range v.Loads(r.Context(), res.Name, 1) {
				if err != nil {
					return err
				}
				t.At, t.Loaded = l.Began.Add(l.Took), l.Rows
			}
			all = append(all, t)
		}
		return nil
	})
	if err != nil {
		c.fail(w, r, err)
		return
	}
	for name, rows := range c.look.Counts(r.Context(), there) {
		all[slices.IndexFunc(all, func(t table) bool { return t.Name == name })].Rows = rows
	}
	c.render(w, r, "tables.html", "Tables", struct {
		Warehouse, Dataset string
		Tables             []table
	}{sink.Redacted(c.look.Warehouse), c.look.Dataset, all})
}

func (c *Console) showTable(w http.ResponseWriter, r *http.Request) {
	res, ok := c.resource(r.PathValue("name"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	page := struct {
		Name, Holds, Subject string
		Columns              []sink.Column
		Fields               []inspect.Field
		Rows                 [][]cell
		Changes              []inspect.Change
		Versions             []inspect.Version
	}{Name: res.Name, Holds: res.Doc(), Subject: res.Subject(c.look.Kafka.Prefix)}
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
		page.Versions, err = c.look.Versions(r.Context(), page.Subject)
	}
	if err == nil {
		page.Fields, _, err = c.look.Describe(r.Context(), res)
	}
	if err == nil {
		page.Changes, err = c.look.Changes(r.Context(), res)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.render(w, r, "table.html", res.Name, page)
}
