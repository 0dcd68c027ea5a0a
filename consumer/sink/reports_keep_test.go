//go:build cgo

package sink_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

// tell runs statements as somebody else does who has the warehouse to himself.
func tell(t testing.TB, url, dataset string, statements ...string) {
	t.Helper()
	for _, s := range statements {
		s = strings.ReplaceAll(s, "DATASET", `"`+dataset+`"`)
		path, isDuck := strings.CutPrefix(url, "duckdb://")
		if !isDuck {
			withPostgres(t, e2e.Service(t, "TEST_POSTGRES_URL"), func(ctx context.Context, c *pgx.Conn) {
				if _, err := c.Exec(ctx, s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			})
			continue
		}
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), s)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// views are the report views that were made, as they are written down.
func (s *shop) views() (made []string) {
	for _, row := range s.ask(`SELECT table_name AS name FROM DATASET._tilestream_schemas WHERE table_name LIKE 'report_%' ORDER BY changed_at, 1`) {
		made = append(made, strings.TrimPrefix(row["name"].(string), "report_"))
	}
	return made
}

func (s *shop) wantLog(want string) {
	s.Helper()
	if got := s.log.String(); want == "" && got != "" || !strings.Contains(got, want) {
		s.Errorf("the log says %q, want %q", got, want)
	}
	s.log.Reset()
}

func (s *shop) close() {
	s.Helper()
	if err := s.Close(); err != nil {
		s.Fatal(err)
	}
}

func withColumn(t sink.Table, name string, typ arrow.DataType) sink.Table {
	fields := t.Schema.Fields()
	for i := range fields {
		if fields[i].Name == name {
			fields[i].Type = typ
		}
	}
	t.Schema = arrow.NewSchema(fields, nil)
	return t
}

func TestReportViewsAreKept(t *testing.T) {
	for kind, at := range reportWarehouses {
		t.Run(kind, func(t *testing.T) {
			url, dataset := at(t)
			requests := supportTable(t, "requests", sink.Upsert)
			s := openShop(t, url, dataset, nil, false)
			s.load("requests", sinktest.Row{"_id": "a", "request_id": "support-group-a", "rating": int64(4)})
			if plan, err := s.Plan(t.Context(), requests); err != nil || len(plan) > 0 {
				t.Errorf("with REPORT_VIEWS=off there is %v to do, %v", plan, err)
			}
			s.close()

			s = openShop(t, url, dataset, nil, true)
			plan, err := s.Plan(t.Context(), requests)
			if err != nil || len(plan) != 4 || plan[0].What != "view report_conversations" {
				t.Errorf("a plan of %v, %v", plan, err)
			}
			s.load("requests", sinktest.Row{"_id": "b", "request_id": "support-group-b"})
			if got := len(s.views()); got != 4 {
				t.Errorf("%d views were made, want 4", got)
			}
			if plan, err := s.Plan(t.Context(), requests); err != nil || len(plan) > 0 {
				t.Errorf("after Prepare there is %v to do, %v", plan, err)
			}
			s.wantLog("")
			s.close()
			tell(t, url, dataset, `CREATE VIEW DATASET.mine AS SELECT request_id, rating, messages_agent FROM DATASET.report_conversations`, `DROP VIEW DATASET.report_volume_hourly`)

			s = openShop(t, url, dataset, nil, true)
			s.load("requests") // makes what was dropped, and leaves the others
			if got := strings.Join(s.views()[4:], " "); got != "volume_hourly" {
				t.Errorf("made: %s, want the view that was dropped", got)
			}
			s.load("messages", sinktest.Row{"_id": "m", "recipient": "support-group-a", "sender": "ann"})
			if got := len(s.views()); got != 9 {
				t.Errorf("with messages %d views were made, want all of them again", got-5)
			}
			// What the views show can become wider, and what others have built on them stays.
			for _, wide := range []struct {
				typ  arrow.DataType
				want any
				log  string
			}{{sinktest.Float64, 4.0, ""}, {sinktest.String, nil, "requests.rating is"}} {
				if err := s.Prepare(t.Context(), withColumn(requests, "rating", wide.typ)); err != nil {
					t.Fatal(err)
				}
				if row := s.ask(`SELECT * FROM DATASET.mine WHERE request_id = 'support-group-a'`)[0]; row["rating"] != wide.want || row["messages_agent"] != int64(1) {
					t.Errorf("where a rating is %s the view that rests on a report says %v, want %v", wide.typ, row, wide.want)
				}
				s.wantLog(wide.log)
			}
			s.close()

			s = openShop(t, url, dataset, nil, false)
			if err := s.Prepare(t.Context(), requests); err != nil {
				t.Fatal(err)
			}
			s.wantLog("")
		})
	}
}

// A name that somebody else has taken is left to him, and what cannot be made stops no load.
func TestReportViewsOfOthers(t *testing.T) {
	for kind, at := range reportWarehouses {
		t.Run(kind, func(t *testing.T) {
			url, dataset := at(t)
			s := openShop(t, url, dataset, nil, false)
			s.load("requests", sinktest.Row{"_id": "a", "request_id": "support-group-a"})
			s.close()
			tell(t, url, dataset, `CREATE VIEW DATASET.report_conversations AS SELECT 7 AS mine`, `CREATE TABLE DATASET.report_bots_daily (day date)`)

			s = openShop(t, url, dataset, nil, true)
			s.load("requests", sinktest.Row{"_id": "b", "request_id": "support-group-b"})
			s.wantLog("report_bots_daily")
			if got := s.ask(`SELECT mine FROM DATASET.report_conversations`); len(got) != 1 {
				t.Errorf("somebody's view shows %v", got)
			}
			if got := len(s.views()); got != 2 {
				t.Errorf("%d views were made, want the other 2", got)
			}
			if got := s.ask(`SELECT _id FROM DATASET.requests`); len(got) != 2 {
				t.Errorf("%d rows were loaded, want 2", len(got))
			}
		})
	}
}
