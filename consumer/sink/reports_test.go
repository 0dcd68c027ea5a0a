//go:build cgo

package sink_test

import (
	"bytes"
	crand "crypto/rand"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
	"tilestream/internal/ops"
)

// shop is a warehouse with reports.
type shop struct {
	testing.TB
	sink.Sink
	url, dataset string
	modes        sink.Modes
	log          *bytes.Buffer
	offset       int64
}

func openShop(t testing.TB, url, dataset string, modes sink.Modes, views sink.Switch) *shop {
	t.Helper()
	s := &shop{TB: t, url: url, dataset: dataset, modes: modes, log: &bytes.Buffer{}}
	c := sink.Config{URL: ops.Secret(url), Dataset: dataset, Modes: modes, Reports: views}
	to, err := c.Open(t.Context(), "", slog.New(slog.NewTextHandler(s.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.Sink = to
	t.Cleanup(func() { _ = to.Close() })
	return s
}

// load writes rows, each a newer version than those before it where that is asked for; nil marks a deletion.
func (s *shop) load(name string, rows ...sinktest.Row) {
	s.Helper()
	table := supportTable(s, name, s.modes.Of(name))
	if err := s.Prepare(s.Context(), table); err != nil {
		s.Fatal(err)
	}
	for _, row := range rows {
		row["_kafka_offset"] = s.offset
		at := time.UnixMilli(1e12 + s.offset)
		if row["_deleted_at"] != nil {
			row["_deleted_at"], row["_deleted_offset"] = at, s.offset
		} else {
			row["updated_at"], row["_extracted_at"] = at, at
		}
		s.offset++
	}
	part := sinktest.Span(0, 0, 0)
	part.Group, part.To = crand.Text(), 1
	if _, err := s.Write(s.Context(), sink.Batch{ID: fmt.Sprint(s.offset), Table: table, Ranges: []sink.Range{part}, Rows: sinktest.Record(table.Schema, rows)}); err != nil {
		s.Fatal(err)
	}
}

// ask returns the rows of an answer, its values as the model has them.
func (s *shop) ask(question string) (rows []sinktest.Row) {
	s.Helper()
	r, err := sink.OpenReader(s.Context(), s.url, s.dataset)
	if err != nil {
		s.Fatal(err)
	}
	defer r.Close()
	v, err := r.View(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	defer v.Close()
	a, err := v.Query(s.Context(), strings.ReplaceAll(question, "DATASET", `"`+s.dataset+`"`), 1_000_000)
	if err != nil {
		s.Fatal(err)
	}
	for _, values := range a.Rows {
		row := sinktest.Row{}
		for i, v := range values {
			if at, ok := v.(time.Time); ok {
				v = at.UTC()
			}
			if v != nil {
				row[a.Columns[i]] = v
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func (s *shop) wantReports(of support, withMessages bool) {
	s.Helper()
	for name, want := range map[string][]sinktest.Row{
		"report_conversations": of.conversationRows(withMessages), "report_agents_daily": of.agentRows(withMessages), "report_bots_daily": of.botRows(withMessages), "report_volume_hourly": of.volumeRows(withMessages),
	} {
		got := s.ask("SELECT * FROM DATASET." + name)
		for _, rows := range [][]sinktest.Row{got, want} {
			for _, row := range rows {
				for k, v := range row {
					if v == nil {
						delete(row, k)
					}
				}
			}
			slices.SortFunc(rows, func(a, b sinktest.Row) int { return strings.Compare(order(a), order(b)) })
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.EquateEmpty()); diff != "" {
			s.Errorf("%s of %d rows, want %d (-want +got):\n%.3000s", name, len(got), len(want), diff)
		}
	}
}

func order(r sinktest.Row) string {
	return fmt.Sprint(r["_id"], r["day"], r["hour"], r["id_project"], r["agent_id"], r["bot_id"])
}

// fill loads what a project has, in several versions, with deletions.
func (s *shop) fill(r *rand.Rand, of support, withMessages bool) {
	s.Helper()
	var rows, gone []sinktest.Row
	for _, c := range of.conversations {
		if r.IntN(3) == 0 {
			was := c
			was.status, was.agents, was.rating = 100, []string{"formerly"}, nil
			rows = append(rows, was.row())
		}
		rows = append(rows, c.row())
		if c.deleted {
			gone = append(gone, sinktest.Row{"_id": c.id, "_deleted_at": true})
		}
	}
	s.load("requests", rows...)
	s.load("requests", gone...)
	rows, gone = nil, nil
	for _, m := range of.messages {
		rows = append(rows, m.row())
		if m.deleted {
			gone = append(gone, sinktest.Row{"_id": m.id, "_deleted_at": true})
		}
	}
	if withMessages {
		s.load("messages", rows...)
		s.load("messages", gone...)
	}
	s.load("members", sinktest.Row{"_id": "m1", "user_id": "ann", "firstname": "Ann", "lastname": "Àgent", "email": "ann@example.com"}, sinktest.Row{"_id": "m2", "user_id": "bob", "firstname": " ", "email": "bob@example.com"}, sinktest.Row{"_id": "m3"})
	s.load("bots", sinktest.Row{"_id": "b1", "name": "Bot, the first"}, sinktest.Row{"_id": "b2"})
	s.load("departments", sinktest.Row{"_id": "d1", "name": "Sales's"}, sinktest.Row{"_id": "d2"}, sinktest.Row{"_id": "d3", "name": "of nobody"})
}

// warehouses are those that reports are asked of here.
var reportWarehouses = map[string]func(t *testing.T) (url, dataset string){
	"duckdb": func(t *testing.T) (string, string) { return "duckdb://" + t.TempDir() + "/w.duckdb", "Test set" },
	"postgres": func(t *testing.T) (string, string) {
		url := e2e.Service(t, "TEST_POSTGRES_URL")
		return modest(t, url), newSchema(t, url)
	},
}

// TestReports holds every column of every report against the model, whatever the tables keep of a row's versions.
func TestReports(t *testing.T) {
	for kind, at := range reportWarehouses {
		for _, mode := range []sink.Mode{sink.Upsert, sink.Append, sink.History} {
			for _, withMessages := range []bool{true, false} {
				t.Run(fmt.Sprint(kind, " ", mode, " messages ", withMessages), func(t *testing.T) {
					seed := rand.Uint64()
					t.Logf("seed %d", seed)
					r := rand.New(rand.NewPCG(seed, 1))
					url, dataset := at(t)
					s := openShop(t, url, dataset, sink.Modes{"": mode}, true)
					of := someSupport(r, 120)
					s.fill(r, of, withMessages)
					s.wantReports(of, withMessages)
					if s.log.Len() > 0 {
						t.Errorf("the log says: %s", s.log)
					}
				})
			}
		}
	}
}
