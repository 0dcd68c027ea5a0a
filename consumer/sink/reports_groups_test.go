//go:build cgo

package sink_test

import (
	"fmt"
	"slices"
	"time"

	"tilestream/consumer/sink/sinktest"
)

// groups sums rows by their keys.
type groups struct {
	keys []string
	rows map[string]sinktest.Row
	of   map[string][]talk
}

func grouped(keys ...string) *groups {
	return &groups{keys, map[string]sinktest.Row{}, map[string][]talk{}}
}

func (g *groups) row(values ...any) sinktest.Row {
	id := fmt.Sprint(values...)
	if g.rows[id] == nil {
		g.rows[id] = sinktest.Row{}
		for i, k := range g.keys {
			g.rows[id][k] = values[i]
		}
	}
	return g.rows[id]
}

func (g *groups) talk(t talk, values ...any) sinktest.Row {
	id := fmt.Sprint(values...)
	g.of[id] = append(g.of[id], t)
	return g.row(values...)
}

func add(row sinktest.Row, name string) {
	n, _ := row[name].(int64)
	row[name] = n + 1
}

func (g *groups) all(counts ...string) (out []sinktest.Row) {
	for id, row := range g.rows {
		for _, name := range counts {
			if row[name] == nil {
				row[name] = int64(0)
			}
		}
		if slices.Contains(counts, "ratings") {
			var waits, treats, ratings []float64
			for _, t := range g.of[id] {
				if v, ok := t.waits.(float64); ok {
					waits = append(waits, v)
				}
				if v, ok := t.treats.(float64); ok {
					treats = append(treats, v)
				}
				if t.rating != nil {
					ratings = append(ratings, float64(*t.rating))
				}
			}
			row["ratings"] = int64(len(ratings))
			row["waiting_seconds"], row["handling_seconds"], row["rating"] = mean(waits), mean(treats), mean(ratings)
		}
		out = append(out, row)
	}
	return out
}

func mean(of []float64) any {
	if len(of) == 0 {
		return nil
	}
	sum := 0.0
	for _, v := range of {
		sum += v
	}
	return sum / float64(len(of))
}

func dayOf(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }

func (s support) agentRows(withMessages bool) []sinktest.Row {
	g := grouped("day", "id_project", "agent_id")
	for _, t := range s.talks(withMessages) {
		if !t.opened.IsZero() {
			for _, a := range t.agents {
				add(g.talk(t, dayOf(t.opened), t.project, a), "conversations")
			}
		}
		if t.isClosed && !t.closed.IsZero() && t.closedBySide() == "agent" {
			add(g.row(dayOf(t.closed), t.project, t.closedBy), "closed")
		}
		for _, m := range t.messages {
			if t.side(m) == "agent" && !m.at.IsZero() {
				add(g.row(dayOf(m.at), t.project, m.sender), "messages")
			}
		}
	}
	counts := []string{"conversations", "closed", "ratings"}
	if withMessages {
		counts = append(counts, "messages")
	}
	rows := g.all(counts...)
	for _, row := range rows {
		row["agent"] = listed([]string{row["agent_id"].(string)}, agentNames)
	}
	return rows
}

func (s support) botRows(withMessages bool) []sinktest.Row {
	g := grouped("day", "id_project", "bot_id")
	for _, t := range s.talks(withMessages) {
		for _, b := range t.bots {
			if t.opened.IsZero() {
				continue
			}
			row := g.talk(t, dayOf(t.opened), t.project, b)
			add(row, "conversations")
			switch {
			case len(t.agents) > 0:
				add(row, "handed_over")
			case t.isClosed:
				add(row, "handled_alone")
			default:
				add(row, "still_open")
			}
		}
	}
	rows := g.all("conversations", "handed_over", "handled_alone", "still_open", "ratings")
	for _, row := range rows {
		row["bot"] = listed([]string{row["bot_id"].(string)}, botNames)
	}
	return rows
}

func (s support) volumeRows(withMessages bool) []sinktest.Row {
	g := grouped("hour", "id_project")
	hour := func(t time.Time) time.Time { return t.Truncate(time.Hour) }
	for _, t := range s.talks(withMessages) {
		if !t.opened.IsZero() {
			add(g.row(hour(t.opened), t.project), "opened")
		}
		if t.isClosed && !t.closed.IsZero() {
			add(g.row(hour(t.closed), t.project), "closed")
		}
		for _, m := range t.messages {
			if side := t.side(m); !m.at.IsZero() {
				row := g.row(hour(m.at), t.project)
				if side != "" {
					add(row, "messages_"+side)
				}
			}
		}
	}
	counts := []string{"opened", "closed"}
	if withMessages {
		counts = append(counts, "messages_visitor", "messages_agent", "messages_bot", "messages_system")
	}
	return g.all(counts...)
}
