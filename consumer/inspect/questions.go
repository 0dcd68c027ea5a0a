package inspect

import (
	"regexp"
	"strings"
)

// Question is an example of one, in SQL.
type Question struct {
	Name string `json:"name"`
	SQL  string `json:"sql"`
}

// Questions are what people ask of their support; they run on every warehouse that can be asked. They ask the report views, where Tilestream makes them,
// which have a conversation once whatever WRITE_MODE is.
func (c Config) Questions() []Question {
	questions := ofTables
	if c.Reports {
		questions = ofReports
	}
	var out []Question
	for _, q := range questions {
		out = append(out, Question{q.Name, strings.ReplaceAll(q.SQL, "DATASET", c.quoted())})
	}
	return out
}

var unquoted = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// quoted is the dataset's name as it stands in SQL.
func (c Config) quoted() string {
	if unquoted.MatchString(c.Dataset) {
		return c.Dataset
	}
	return `"` + strings.ReplaceAll(c.Dataset, `"`, `""`) + `"`
}

var ofReports = []Question{
	{"Conversations a day", `SELECT CAST(opened_at AS date) AS day, count(*) AS conversations
FROM DATASET.report_conversations
GROUP BY 1 ORDER BY 1`},
	{"First response, in minutes", `SELECT CAST(opened_at AS date) AS day, round(CAST(avg(waiting_seconds) / 60 AS numeric), 1) AS minutes
FROM DATASET.report_conversations
WHERE waiting_seconds IS NOT NULL
GROUP BY 1 ORDER BY 1`},
	{"Time to close, in hours", `SELECT CAST(closed_at AS date) AS day, round(CAST(avg(duration_seconds) / 3600 AS numeric), 1) AS hours
FROM DATASET.report_conversations
WHERE closed_at IS NOT NULL
GROUP BY 1 ORDER BY 1`},
	{"Longest waits, yesterday", `SELECT request_id, agents, department, opened_at, round(CAST(waiting_seconds / 60 AS numeric), 1) AS minutes
FROM DATASET.report_conversations
WHERE CAST(opened_at AS date) = current_date - 1 AND waiting_seconds IS NOT NULL
ORDER BY waiting_seconds DESC
LIMIT 10`},
	{"By agent, seven days", `SELECT agent, sum(conversations) AS conversations, sum(closed) AS closed, sum(messages) AS messages
FROM DATASET.report_agents_daily
WHERE day > current_date - 7
GROUP BY 1 ORDER BY 2 DESC`},
	{"By department", `SELECT department, CAST(avg(rating) AS decimal(10, 2)) AS rating, count(*) AS conversations
FROM DATASET.report_conversations
GROUP BY 1 ORDER BY 3 DESC`},
	{"By channel", `SELECT channel, count(*) AS conversations
FROM DATASET.report_conversations
GROUP BY 1 ORDER BY 2 DESC`},
	{"Bot against human", `SELECT handled_by, count(*) AS conversations
FROM DATASET.report_conversations
GROUP BY 1 ORDER BY 2 DESC`},
	{"What bots handle alone", `SELECT bot, sum(conversations) AS conversations, sum(handed_over) AS handed_over, round(100.0 * sum(handled_alone) / sum(conversations)) AS percent_alone
FROM DATASET.report_bots_daily
GROUP BY 1 ORDER BY 2 DESC`},
	{"Busy hours, UTC", `SELECT extract(hour FROM hour AT TIME ZONE 'UTC') AS hour_of_day, sum(opened) AS opened
FROM DATASET.report_volume_hourly
GROUP BY 1 ORDER BY 1`},
}

var ofTables = []Question{
	{"Conversations a day", `SELECT CAST(created_at AS date) AS day, count(*) AS conversations
FROM DATASET.requests
GROUP BY 1 ORDER BY 1`},
	{"First response, in minutes", `SELECT CAST(created_at AS date) AS day,
       round(avg(extract(epoch FROM first_response_at) - extract(epoch FROM created_at)) / 60, 1) AS minutes
FROM DATASET.requests
WHERE first_response_at IS NOT NULL
GROUP BY 1 ORDER BY 1`},
	{"Time to close, in hours", `SELECT CAST(closed_at AS date) AS day,
       round(avg(extract(epoch FROM closed_at) - extract(epoch FROM created_at)) / 3600, 1) AS hours
FROM DATASET.requests
WHERE closed_at IS NOT NULL
GROUP BY 1 ORDER BY 1`},
	{"Longest waits, yesterday", `SELECT request_id, lead_fullname, department_name, created_at, round(waiting_time / 60000.0, 1) AS minutes
FROM DATASET.requests
WHERE CAST(created_at AS date) = current_date - 1 AND waiting_time IS NOT NULL
ORDER BY waiting_time DESC
LIMIT 10`},
	{"By department", `SELECT department_name, count(*) AS conversations, CAST(avg(rating) AS decimal(10, 2)) AS rating
FROM DATASET.requests
GROUP BY 1 ORDER BY 2 DESC`},
	{"By channel", `SELECT channel_name, count(*) AS conversations
FROM DATASET.requests
GROUP BY 1 ORDER BY 2 DESC`},
	{"Bots and system against people, in messages", `SELECT CASE WHEN sender = 'system' THEN 'system' WHEN LEFT(sender, 4) = 'bot_' THEN 'bot' ELSE 'visitor or agent' END AS author, count(*) AS messages
FROM DATASET.messages
GROUP BY 1 ORDER BY 2 DESC`},
}
