package local

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// firstQuery shows how to ask the warehouse the first question: how much comes in by which channel, and how long do
// people wait.
func firstQuery(warehouse, dataset string) string {
	scheme, path, _ := strings.Cut(warehouse, "://")
	from, shell := dataset+".conversations", ""
	switch scheme {
	case "duckdb":
		shell = "duckdb " + path
	case "postgres", "postgresql":
		u, err := url.Parse(warehouse)
		if err != nil {
			return ""
		}
		shell = fmt.Sprintf("psql -h %s -U %s -d %s", u.Hostname(), u.User.Username(), strings.TrimPrefix(u.Path, "/"))
		if u.Port() != "" {
			shell += " -p " + u.Port()
		}
		shell += " -c"
	case "file":
		shell = "duckdb -c"
		from = fmt.Sprintf("read_parquet('%s/conversations/**/*.parquet', union_by_name => true)", filepath.Join(path, dataset))
	default:
		return ""
	}
	return fmt.Sprintf(`Try:

  %s "
    SELECT channel_name, count(*) AS conversations,
           round(avg(waiting_time) / 60000.0, 1) AS avg_wait_minutes, round(avg(rating), 1) AS avg_rating
    FROM %s
    GROUP BY channel_name ORDER BY conversations DESC"
`, shell, from)
}
