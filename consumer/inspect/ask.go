package inspect

import (
	"context"
	"strings"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

const (
	askTime   = 30 * time.Second
	askLength = 16 << 10 // of the SQL, in bytes
)

// Ask asks the warehouse a question as View.Query does, for half a minute at most, and returns up to most rows.
func (c Config) Ask(ctx context.Context, sql string, most int) (a *sink.Answer, err error) {
	if len(sql) > askLength {
		return nil, ops.Usagef("the question is longer than %d bytes", askLength)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	err = c.View(ctx, func(v *sink.View) (err error) {
		a, err = v.Query(ctx, sql, most)
		return err
	})
	return a, err
}

// Question is an example of one, in SQL.
type Question struct {
	Name string `json:"name"`
	SQL  string `json:"sql"`
}

// Questions are what people ask of their support; they run on every warehouse that can be asked.
func Questions(dataset string) []Question {
	var out []Question
	for _, q := range []Question{
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
		{"Bot against human", `SELECT CASE WHEN sender = 'system' THEN 'system' WHEN sender LIKE 'bot_%' THEN 'bot' ELSE 'human' END AS author, count(*) AS messages
FROM DATASET.messages
GROUP BY 1 ORDER BY 2 DESC`},
	} {
		out = append(out, Question{q.Name, strings.ReplaceAll(q.SQL, "DATASET", dataset)})
	}
	return out
}
