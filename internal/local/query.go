package local

import (
	"fmt"
	"net/url"
	"strings"

	"tilestream/consumer/sink"
)

// firstQuery shows how to ask the warehouse the first question: how much comes in by which channel, and how long do
// people wait. It is empty for a warehouse that has no shell to paste into, and for a table of which every version is a row.
func firstQuery(warehouse, dataset string, mode sink.Mode) string {
	current := ""
	switch mode {
	case sink.Append:
		return ""
	case sink.History:
		current = "WHERE _valid_to IS NULL AND _deleted_at IS NULL\n"
	}
	scheme, path, _ := strings.Cut(warehouse, "://")
	from, shell := dataset+".conversations", ""
	switch scheme {
	case "duckdb":
		path, _, _ = strings.Cut(path, "?")
		shell = "duckdb " + path
	case "postgres", "postgresql":
		u, err := url.Parse(warehouse)
		if err != nil {
			return ""
		}
		u.User = url.User(u.User.Username()) // psql asks for the password
		shell = fmt.Sprintf("psql '%s'", u)
	case "file":
		shell = "duckdb"
		from = "(" + sink.FilesQuery(path, dataset, sink.Table{Name: "conversations", Key: "_id", Version: "updated_at", Offset: "_kafka_offset"}) + ")" // of any mode: the newest version of each
		current = ""
	default:
		return ""
	}
	return fmt.Sprintf(`Try:

%s <<'SQL'
SELECT channel_name, count(*) AS conversations,
       round(avg(waiting_time) / 60000, 1) AS avg_wait_minutes, round(avg(rating), 1) AS avg_rating
FROM %s
%sGROUP BY channel_name ORDER BY conversations DESC
SQL
`, shell, from, current)
}
