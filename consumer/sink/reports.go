package sink

import (
	"fmt"
	"strings"
)

// reports are the views that answer what people ask of their support; docs/reports.md defines each column. Their columns and types are always the
// same, whatever the tables have: what cannot be known is null. So a view can be
// replaced without being dropped, and keeps its grants and what others have built on it. A later version may add columns at the end; it takes none away.
var reports = []report{
	{"report_conversations", "A row for each conversation in which somebody has written: when it was opened, answered and closed (waiting_seconds, handling_seconds, duration_seconds), who handled it, rating, tags, messages by side (visitor, agent, bot, system).", conversationsReport},
	{"report_agents_daily", "A row for each agent, project and day: conversations opened on the day in which the agent takes part, average seconds of waiting and handling, ratings; how many the agent closed, and messages written, on the day.", agentsReport},
	{"report_bots_daily", "A row for each bot, project and day: conversations opened on the day in which the bot takes part, and of them handled_alone, handed_over and still_open.", botsReport},
	{"report_volume_hourly", "A row for each project and hour (UTC): conversations opened and closed, messages by side.", volumeReport},
}

// reportTables are what reports rest on.
var reportTables = []string{"requests", "conversations", "messages", "members", "bots", "departments"}

type report struct {
	name, holds string
	of          func(s *sources) reportSQL
}

// Report is a view that answers what people ask, and what it holds.
type Report struct{ Name, Holds string }

// Reports lists the views that a warehouse with views has, unless they are turned off.
func Reports() (all []Report) {
	for _, r := range reports {
		all = append(all, Report{r.name, r.holds})
	}
	return all
}

// reportSQL is a view: what its columns are, and where they come from.
type reportSQL struct {
	with    []string // each a named query
	columns []reportColumn
	from    string // all that follows the columns
}

type reportColumn struct {
	name string
	kind kind
	sql  string
}

const kindDate kind = -1 // of reports only

// typed is the name of a kind in CAST.
func (d *dialect) typed(k kind) string {
	if k == kindDate {
		return "DATE"
	}
	typ, _, _ := strings.Cut(d.types[k], " COMMENT ")
	return typ
}

// report is the statement that makes a view, or makes it anew.
func (d *dialect) report(dataset, name string, r reportSQL) string {
	columns := make([]string, len(r.columns))
	for i, c := range r.columns {
		columns[i] = "CAST(" + c.sql + " AS " + d.typed(c.kind) + ")"
		if c.kind == kindText {
			columns[i] += d.say.collate
		}
		columns[i] += " AS " + d.quote(c.name)
	}
	with := ""
	if len(r.with) > 0 {
		with = "WITH " + strings.Join(r.with, ",\n") + "\n"
	}
	return "CREATE OR REPLACE VIEW " + d.table(dataset, name) + " AS\n" + with + "SELECT " + strings.Join(columns, ",\n\t") + r.from + d.viewEnd
}

func conversationsReport(s *sources) reportSQL {
	r := reportSQL{with: append(s.conversations(), s.people("")...), columns: []reportColumn{
		{"_id", kindText, "c.id"},
		{"request_id", kindText, "c.request_id"},
		{"ticket_id", kindInt64, "c.ticket_id"},
		{"id_project", kindText, "c.id_project"},
		{"status", kindText, "CASE c.status WHEN 50 THEN 'temporary' WHEN 100 THEN 'unassigned' WHEN 150 THEN 'abandoned' WHEN 200 THEN 'assigned' WHEN 300 THEN 'served' WHEN 1000 THEN 'closed' END"},
		{"channel", kindText, "c.channel"},
		{"department_id", kindText, "c.department_id"},
		{"department", kindText, s.departmentName()},
		{"language", kindText, "c.language"},
		{"lead_id", kindText, "c.lead_id"},
		{"opened_at", kindTimestamp, "c.opened_at"},
		{"first_response_at", kindTimestamp, "c.first_response_at"},
		{"first_agent_message_at", kindTimestamp, s.ofMessages("s.agent_at")},
		{"waiting_seconds", kindFloat64, "c.waiting_seconds"},
		{"closed_at", kindTimestamp, "c.closed_at"},
		{"closed_by", kindText, "c.closed_by"},
		{"closed_by_side", kindText, "CASE WHEN c.closed_by = 'system' OR LEFT(c.closed_by, 1) = '_' THEN 'system' WHEN LEFT(c.closed_by, 4) = 'bot_' OR b.who IS NOT NULL THEN 'bot' WHEN c.closed_by = c.visitor THEN 'visitor' WHEN c.closed_by IS NOT NULL THEN 'agent' END"},
		{"handling_seconds", kindFloat64, "c.handling_seconds"},
		{"duration_seconds", kindFloat64, "c.duration_seconds"},
		{"reopened", kindBool, "(c.last_closed_at IS NOT NULL AND COALESCE(c.status, 0) <> 1000 OR COALESCE(" + s.ofMessages("s.reopenings") + ", 0) > 0)"},
		{"handled_by", kindText, "CASE WHEN agents.called IS NOT NULL AND bots.called IS NOT NULL THEN 'bot and agent' WHEN agents.called IS NOT NULL THEN 'agent' WHEN bots.called IS NOT NULL THEN 'bot' ELSE 'nobody' END"},
		{"agents", kindText, "agents.called"},
		{"bots", kindText, "bots.called"},
		{"rating", kindFloat64, "c.rating"},
		{"rating_message", kindText, "c.rating_message"},
		{"tags", kindText, "t.tags"},
	}}
	for _, side := range sides {
		r.columns = append(r.columns, reportColumn{"messages_" + side, kindInt64, s.ofMessages("COALESCE(s." + side + "_said, 0)")})
	}
	names, name := s.names(), "p.who"
	r.with = append(r.with, names...)
	known := ""
	if names != nil {
		known, name = "\n\tLEFT JOIN names AS n ON n.side = p.side AND n.who = p.who", "COALESCE(n.name, p.who)"
	}
	r.with = append(r.with, `people AS (
	SELECT p.request_id, p.side, `+fmt.Sprintf(s.say.list, name)+` AS called
	FROM part AS p`+known+`
	GROUP BY p.request_id, p.side)`, s.tagged())
	r.from = `
FROM c
LEFT JOIN people AS agents ON agents.request_id = c.request_id AND agents.side = 'agent'
LEFT JOIN people AS bots ON bots.request_id = c.request_id AND bots.side = 'bot'
LEFT JOIN tagged AS t ON t.request_id = c.request_id
LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by` + s.departments()
	if s.has("messages") {
		var counts []string
		for _, side := range sides {
			counts = append(counts, "SUM(CASE WHEN side = '"+side+"' THEN n ELSE 0 END) AS "+side+"_said")
		}
		r.with = append(r.with, `sides AS (
	SELECT request_id, `+strings.Join(counts, ", ")+`, SUM(reopenings) AS reopenings, MIN(CASE WHEN side = 'agent' THEN first_at END) AS agent_at
	FROM spoke GROUP BY request_id)`)
		r.from += "\nLEFT JOIN sides AS s ON s.request_id = c.request_id"
	}
	return r
}

// averages are the last columns of what is counted by the day, of rows called x.
var averages = []reportColumn{
	{"waiting_seconds", kindFloat64, "AVG(x.waiting_seconds)"},
	{"handling_seconds", kindFloat64, "AVG(x.handling_seconds)"},
	{"ratings", kindInt64, "COUNT(x.rating)"},
	{"rating", kindFloat64, "AVG(x.rating)"},
}

func agentsReport(s *sources) reportSQL {
	opened, closed := fmt.Sprintf(s.say.day, "c.opened_at"), fmt.Sprintf(s.say.day, "c.closed_at")
	null := "CAST(NULL AS " + s.types[kindFloat64] + ")"
	rows := `
FROM (
	SELECT ` + opened + ` AS on_day, c.id_project, p.who, 1 AS opened, 0 AS closed, 0 AS said, c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id WHERE p.side = 'agent'
	UNION ALL
	SELECT ` + closed + `, c.id_project, c.closed_by, 0, 1, 0, ` + null + ", " + null + ", " + null + `
	FROM c LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by
	WHERE c.closed_at IS NOT NULL AND c.closed_by <> 'system' AND LEFT(c.closed_by, 1) <> '_' AND LEFT(c.closed_by, 4) <> 'bot_' AND b.who IS NULL AND (c.visitor IS NULL OR c.closed_by <> c.visitor)`
	if s.has("messages") {
		rows += `
	UNION ALL
	SELECT s.period, s.id_project, s.sender, 0, 0, s.n, ` + null + ", " + null + ", " + null + `
	FROM spoke AS s WHERE s.side = 'agent'`
	}
	return s.named("agent", reportSQL{with: append(s.conversations(), s.people(s.say.day)...), columns: append([]reportColumn{
		{"day", kindDate, "x.on_day"},
		{"id_project", kindText, "x.id_project"},
		{"agent_id", kindText, "x.who"},
		{"agent", kindText, ""},
		{"conversations", kindInt64, "SUM(x.opened)"},
		{"closed", kindInt64, "SUM(x.closed)"},
		{"messages", kindInt64, s.ofMessages("SUM(x.said)")},
	}, averages...), from: rows + "\n) AS x"})
}

func botsReport(s *sources) reportSQL {
	return s.named("bot", reportSQL{with: append(append(s.conversations(), s.people("")...), `joined AS (SELECT request_id FROM part WHERE side = 'agent' GROUP BY request_id)`), columns: append([]reportColumn{
		{"day", kindDate, "x.on_day"},
		{"id_project", kindText, "x.id_project"},
		{"bot_id", kindText, "x.who"},
		{"bot", kindText, ""},
		{"conversations", kindInt64, "COUNT(*)"},
		{"handled_alone", kindInt64, "COUNT(CASE WHEN x.joined = 0 AND x.closed = 1 THEN 1 END)"},
		{"handed_over", kindInt64, "COUNT(CASE WHEN x.joined = 1 THEN 1 END)"},
		{"still_open", kindInt64, "COUNT(CASE WHEN x.joined = 0 AND x.closed = 0 THEN 1 END)"},
	}, averages...), from: `
FROM (
	SELECT ` + fmt.Sprintf(s.say.day, "c.opened_at") + ` AS on_day, c.id_project, p.who, CASE WHEN j.request_id IS NULL THEN 0 ELSE 1 END AS joined, CASE WHEN c.status = 1000 THEN 1 ELSE 0 END AS closed,
		c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id LEFT JOIN joined AS j ON j.request_id = p.request_id WHERE p.side = 'bot'
) AS x`})
}

// named completes a report of a day's rows, called x, by the name of whom each is about.
func (s *sources) named(side string, r reportSQL) reportSQL {
	name := "x.who"
	if names := s.names(); names != nil {
		r.with = append(r.with, names...)
		r.from += "\nLEFT JOIN names AS n ON n.side = '" + side + "' AND n.who = x.who"
		name = "MAX(COALESCE(n.name, x.who))"
	}
	for i := range r.columns {
		if r.columns[i].sql == "" {
			r.columns[i].sql = name
		}
	}
	r.from += "\nWHERE x.on_day IS NOT NULL\nGROUP BY x.on_day, x.id_project, x.who"
	return r
}

func volumeReport(s *sources) reportSQL {
	r := reportSQL{with: append(s.conversations(), s.spoke(s.say.hour)...), columns: []reportColumn{
		{"hour", kindTimestamp, "x.at_hour"},
		{"id_project", kindText, "x.id_project"},
		{"opened", kindInt64, "SUM(x.opened)"},
		{"closed", kindInt64, "SUM(x.closed)"},
	}}
	none, counts := "", ""
	for _, side := range sides {
		r.columns = append(r.columns, reportColumn{"messages_" + side, kindInt64, s.ofMessages("SUM(x." + side + "_said)")})
		none += ", 0 AS " + side + "_said"
		counts += ", CASE WHEN s.side = '" + side + "' THEN s.n ELSE 0 END"
	}
	r.from = `
FROM (
	SELECT ` + fmt.Sprintf(s.say.hour, "c.opened_at") + ` AS at_hour, c.id_project, 1 AS opened, 0 AS closed` + none + ` FROM c
	UNION ALL
	SELECT ` + fmt.Sprintf(s.say.hour, "c.closed_at") + `, c.id_project, 0, 1` + none + ` FROM c`
	if s.has("messages") {
		r.from += `
	UNION ALL
	SELECT s.period, s.id_project, 0, 0` + counts + ` FROM spoke AS s`
	}
	r.from += "\n) AS x\nWHERE x.at_hour IS NOT NULL\nGROUP BY x.at_hour, x.id_project"
	return r
}
