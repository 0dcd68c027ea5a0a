package sink

import (
	"fmt"
	"slices"
	"strings"

	"tilestream/schemas"
)

// sides are who writes messages.
var sides = []string{"visitor", "agent", "bot", "system"}

// phrases are what reports say beside standard SQL, each of one value.
type phrases struct {
	epoch   string                                   // milliseconds since 1970 of a time
	day     string                                   // the date of a time, in UTC
	hour    string                                   // the time at which the hour of a time began
	list    string                                   // texts of a group, in order, with commas between
	collate string                                   // behind a text that a view shows: no view can be replaced by one whose columns compare by other rules
	field   func(json string, path ...string) string // a text in JSON; null where there is none
}

// sources are the tables that a report rests on, as they are in a dataset.
type sources struct {
	*dialect
	dataset string
	tables  map[string]sourceTable // those that are there
	lacking []string               // what reports would like to read, and is not there
}

type sourceTable struct {
	columns map[string]string // types by name, both as the warehouse has them
	mode    Mode
}

// base is the table that has a row for each conversation; "" where there is none.
func (s *sources) base() string {
	for _, name := range []string{"requests", "conversations"} {
		if s.has(name) {
			return name
		}
	}
	return ""
}

func (s *sources) has(table string) bool { return len(s.tables[table].columns) > 0 }

// ofMessages is what is known where messages are loaded.
func (s *sources) ofMessages(sql string) string {
	if s.has("messages") {
		return sql
	}
	return "NULL"
}

// column is a column of a row as a kind, in SQL: null where the table has none that holds such.
func (s *sources) column(table, name string, want kind) string {
	typ, ok := s.tables[table].columns[s.name(name)]
	has, err := s.kind(name, typ)
	switch q := "r." + s.quote(name); {
	case !ok:
		s.lack(table + " has no column " + name)
	case err == nil && has == want:
		return q
	case err == nil && numeric(has) && numeric(want):
		return "CAST(" + q + " AS " + s.typed(want) + ")"
	default:
		s.lack(table + "." + name + " is " + typ)
	}
	return "CAST(NULL AS " + s.typed(want) + ")"
}

func (s *sources) lack(what string) {
	if !slices.Contains(s.lacking, what) {
		s.lacking = append(s.lacking, what)
	}
}

// current is what follows FROM where only the rows of a table count that are so now, called r.
func (s *sources) current(table string) string {
	name, gone := s.table(s.dataset, table), "r."+s.quote("_deleted_at")+" IS NULL"
	switch s.tables[table].mode {
	case History:
		return name + " AS r WHERE r." + s.quote(validTo) + " IS NULL AND " + gone
	case Append:
		t := Table{Key: "_id", Version: "updated_at", Offset: "_kafka_offset", Deleted: "_deleted_at", DeletedOffset: "_deleted_offset"}
		if rs, err := schemas.ByName(table); err == nil && rs[0].Walk == schemas.WholeList {
			t.Version = "_extracted_at"
		}
		if k, err := s.kind("", s.tables[table].columns[s.name(t.Version)]); err != nil || k != kindTimestamp {
			t.Version = ""
		}
		v := versionSQL{s.dialect, Batch{Table: t}, name, "", nil}
		return fmt.Sprintf("(SELECT held.*, ROW_NUMBER() OVER (PARTITION BY held.%s ORDER BY %s DESC, %s DESC, %s DESC) AS newest FROM %s AS held) AS r WHERE r.newest = 1 AND %s",
			s.quote(t.Key), v.time("held"), v.offset("held"), v.live("held"), name, gone)
	}
	return name + " AS r WHERE " + gone
}

// conversations is the query c: conversations in which somebody has written, and what follows from their own fields.
func (s *sources) conversations() []string {
	t := s.base()
	col := func(name string, k kind) string { return s.column(t, name, k) }
	visitor := col("created_by", kindText)
	if t == "requests" {
		visitor = "COALESCE(" + col("requester_user_id", kindText) + ", " + visitor + ")"
	}
	between := func(from, to string) string {
		epoch := func(at string) string { return fmt.Sprintf(s.say.epoch, at) }
		return "CASE WHEN r.status = 1000 AND " + to + " >= " + from + " THEN CAST(" + epoch(to) + " - " + epoch(from) + " AS " + s.types[kindFloat64] + ") / 1000 END"
	}
	return []string{`c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		` + between("r.first_response_at", "r.last_closed_at") + ` AS handling_seconds, ` + between("r.opened_at", "r.last_closed_at") + ` AS duration_seconds
	FROM (
		SELECT ` + col("_id", kindText) + " AS id, " + col("request_id", kindText) + " AS request_id, " + col("ticket_id", kindInt64) + " AS ticket_id, COALESCE(" +
		col("id_project", kindText) + ", " + col("_project_id", kindText) + ") AS id_project, " + col("status", kindInt64) + " AS status, " + col("channel_name", kindText) + ` AS channel,
			` + col("department_id", kindText) + " AS department_id, " + col("department_name", kindText) + " AS department_name, " + col("language", kindText) + " AS language, " +
		col("lead_id", kindText) + " AS lead_id, " + visitor + ` AS visitor,
			` + col("created_at", kindTimestamp) + " AS opened_at, " + col("first_response_at", kindTimestamp) + " AS first_response_at, " + col("closed_at", kindTimestamp) + " AS last_closed_at, " +
		col("closed_by", kindText) + " AS last_closed_by, " + col("waiting_time", kindFloat64) + ` AS waiting_time,
			` + col("rating", kindFloat64) + " AS rating, " + col("rating_message", kindText) + " AS rating_message, " + col("preflight", kindBool) + " AS preflight, " +
		col("participants_agents", kindJSON) + " AS agents_now, " + col("participants_bots", kindJSON) + " AS bots_now, " + col("tags", kindJSON) + ` AS tags_now
		FROM ` + s.current(t) + `
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE)`}
}

// spoke is the query of that name: who has written how many messages in which conversation, and in which period where one is asked for.
func (s *sources) spoke(period string) []string {
	if !s.has("messages") {
		return nil
	}
	col := func(name string, k kind) string { return s.column("messages", name, k) }
	at, when, by := "", "", ""
	if period != "" {
		at, when, by = ", "+fmt.Sprintf(period, col("created_at", kindTimestamp))+" AS period", ", s.period", ", 3"
	}
	label := "NULL"
	if typ, ok := s.tables["messages"].columns[s.name("attributes")]; ok {
		if k, err := s.kind("attributes", typ); err == nil && k == kindJSON {
			label = s.say.field("r."+s.quote("attributes"), "messagelabel", "key")
		}
	}
	return []string{`said AS (
	SELECT ` + col("recipient", kindText) + " AS request_id, " + col("sender", kindText) + " AS sender" + at + ", COUNT(*) AS n, MIN(" + col("created_at", kindTimestamp) + `) AS first_at,
		SUM(CASE WHEN ` + col("sender", kindText) + " = 'system' AND " + label + ` = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM ` + s.current("messages") + `
	GROUP BY 1, 2` + by + `)`,
		`spoke AS (
	SELECT s.request_id, c.id_project, s.sender` + when + `, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id)`}
}

// people is spoke, and the query part: which agents and bots take part in a conversation, or have written in it.
func (s *sources) people(period string) []string {
	take := func(side, column string) string {
		u := s.unnest("c." + column)
		return "SELECT c.request_id AS request_id, '" + side + "' AS side, " + u.text + " AS who FROM c" + u.from
	}
	all := []string{take("agent", "agents_now"), take("bot", "bots_now")}
	if s.has("messages") {
		all = append(all, "SELECT request_id, side, sender FROM spoke WHERE side IN ('agent', 'bot')")
	}
	return append(s.spoke(period), `part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			`+strings.Join(all, "\n\t\t\tUNION ALL\n\t\t\t")+`
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who)`)
}

// names is the query of that name: what people and bots are called; none where neither are loaded.
func (s *sources) names() []string {
	var all []string
	if t := "members"; s.has(t) {
		part := func(name string) string { return "COALESCE(" + s.column(t, name, kindText) + ", '')" }
		all = append(all, "SELECT 'agent' AS side, "+s.column(t, "user_id", kindText)+" AS who, MAX(COALESCE(NULLIF(TRIM("+part("firstname")+" || ' ' || "+part("lastname")+"), ''), "+s.column(t, "email", kindText)+")) AS name\n\tFROM "+s.current(t)+" GROUP BY 2")
	}
	if t := "bots"; s.has(t) {
		all = append(all, "SELECT 'bot' AS side, "+s.column(t, "_id", kindText)+" AS who, NULLIF(MAX("+s.column(t, "name", kindText)+"), '') AS name\n\tFROM "+s.current(t)+" GROUP BY 2")
	}
	if all == nil {
		return nil
	}
	return []string{"names AS (\n\t" + strings.Join(all, "\n\tUNION ALL\n\t") + ")"}
}

// tagged is the query of that name: the tags of a conversation.
func (s *sources) tagged() string {
	u := s.unnest("c.tags_now")
	tag := "COALESCE(" + s.say.field(u.value, "tag") + ", " + u.text + ")"
	return "tagged AS (\n\tSELECT request_id, NULLIF(" + fmt.Sprintf(s.say.list, "tag") + ", '') AS tags FROM (SELECT c.request_id AS request_id, " + tag + " AS tag FROM c" + u.from + ") AS tags_of GROUP BY request_id)"
}

// departments joins the departments as they are called now.
func (s *sources) departments() string {
	if !s.has("departments") {
		return ""
	}
	return "\nLEFT JOIN (SELECT " + s.column("departments", "_id", kindText) + " AS id, " + s.column("departments", "name", kindText) + " AS name FROM " + s.current("departments") + ") AS d ON d.id = c.department_id"
}

func (s *sources) departmentName() string {
	if !s.has("departments") {
		return "c.department_name"
	}
	return "COALESCE(d.name, c.department_name)"
}
