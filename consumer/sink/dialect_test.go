package sink

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"tilestream/schemas"
)

var update = flag.Bool("update", false, "write the golden files")

// spoken are the warehouses whose statements are in testdata/dialects.
var spoken = map[string]*staged{
	"bigquery":   (&bigQuery{}).staged(nil),
	"databricks": {dialect: databricksDialect, engine: engine{create: databricksCreate, properties: databricksProperties, raise: databricksRaise}},
	"merge":      {dialect: &dialect{mark: `"`, longest: 60, types: duckDialect.types, kinds: duckDialect.kinds, merge: true, parse: "PARSE_JSON(%s)", plain: "TO_JSON_STRING(%s)", json: "TO_JSON(%s)", iso: "ISO(%s)"}},
	"redshift":   {dialect: redshiftDialect, engine: engine{lock: redshiftLock, create: redshiftCreate}},
	"snowflake":  {dialect: snowflakeDialect, engine: engine{lock: snowflakeLock}},
	"updates":    {dialect: &dialect{mark: "`", escapes: true, types: duckDialect.types, kinds: duckDialect.kinds, parse: "JSON(%s)", plain: "TEXT(%s)", json: "JSON(%s)", iso: "ISO(%s)"}},
}

// TestDialects writes every statement that a warehouse is sent, as it is sent.
func TestDialects(t *testing.T) {
	for name, s := range spoken {
		t.Run(name, func(t *testing.T) {
			s.dataset = s.name("tiledesk")
			golden(t, filepath.Join("testdata", "dialects", name+".sql"), statementsOf(t, s))
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); go test -update writes it anew:\n%s", file, diff)
	}
}

func statementsOf(t *testing.T, s *staged) string {
	t.Helper()
	var b strings.Builder
	say := func(title string, sql ...string) {
		fmt.Fprintf(&b, "-- %s\n", title)
		for _, one := range sql {
			fmt.Fprintf(&b, "%s;\n", strings.TrimSpace(one))
		}
		b.WriteString("\n")
	}
	for _, table := range s.system() {
		say("system table "+table.table, table.sql...)
	}
	tags := goldenTable("tags")
	all := func(have map[string]string, has Mode, table Table) []string {
		changes, err := s.fitTable(t.Context(), nil, table, have, has)
		if err != nil {
			t.Fatal(err)
		}
		return statements(changes)
	}
	have := map[string]string{}
	for _, f := range tags.Schema.Fields() {
		k, _ := kindOf(f.Type)
		have[s.name(f.Name)] = s.types[k]
	}
	say("a table", all(nil, Upsert, tags)...)
	kept := tags
	kept.Mode = History
	say("a table that keeps history, where a dropped one kept every version", all(nil, Append, kept)...)
	narrow := map[string]string{s.name("_id"): s.types[kindText], s.name("note"): s.types[kindInt32]}
	if s.unnest != nil {
		say("a view of an array", s.view(tags, s.dataset, "attributes"))
	}
	if s.say != nil {
		now := goldenSources(t, s.dialect, s.dataset)
		for _, r := range reports {
			say(r.name, s.report(s.dataset, r.name, r.of(now)))
		}
		now.tables["requests"], now.tables["messages"] = sourceTable{now.tables["requests"].columns, History}, sourceTable{now.tables["messages"].columns, Append}
		say("report_volume_hourly of tables that keep history, and every version", s.report(s.dataset, "report_volume_hourly", volumeReport(now)))
		now = &sources{dialect: s.dialect, dataset: s.dataset, tables: map[string]sourceTable{"conversations": now.tables["conversations"]}}
		say("report_agents_daily where only conversations are loaded", s.report(s.dataset, "report_agents_daily", agentsReport(now)))
	}
	noted := tags
	noted.SchemaID = 9
	say("what is written down of changes", s.schemas(s.dataset), s.dialect.record(s.dataset, noted,
		[]Change{{`add column it's, \`, []string{"ONE", "TWO"}}, {"", []string{"a step of another"}}}, time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC)))
	say("a number that becomes text", s.converted(s.quote("order"), kindFloat64, kindText))
	say("columns that are missing, and one that is too narrow: first step", all(narrow, Upsert, tags)...)
	narrow[narrowed(s.name("note"))] = narrow[s.name("note")]
	delete(narrow, s.name("note"))
	say("second step", all(narrow, Upsert, tags)...)
	narrow = map[string]string{narrowed(s.name("seen")): s.types[kindTimestamp]}
	for name, typ := range have {
		narrow[name] = typ
	}
	delete(narrow, s.name("seen"))
	narrow[widened(s.name("seen"))] = s.types[kindText]
	say("third step, of a time", all(narrow, Upsert, tags)...)
	delete(narrow, narrowed(s.name("seen")))
	say("last step", all(narrow, Upsert, tags)...)
	for _, c := range []struct {
		title string
		mode  Mode
		hard  bool
		again bool
	}{
		{"upsert", Upsert, false, false},
		{"upsert in a replay, where deletions remove", Upsert, true, true},
		{"append, in a replay", Append, false, true},
		{"history", History, false, false},
	} {
		table := tags
		table.Mode, table.HardDelete = c.mode, c.hard
		m := stagedMerge{dialect: s.dialect, dataset: s.dataset, have: have, source: "(SELECT * FROM stage)", docs: true, tombs: true,
			b: Batch{ID: "load", Table: table, Rows: goldenRows(table), Again: c.again}}
		var sql []string
		for _, step := range m.statements() {
			sql = append(sql, step.sql)
		}
		say(c.title, sql...)
	}
	if s.lock != nil {
		say("the lock", s.lock(s.dataset)...)
	}
	if s.commit != nil {
		return b.String()
	}
	batch, began, ended := Batch{ID: "load", Table: tags, Rows: goldenRows(tags), Bytes: 99, Ranges: []Range{
		{Partition{"cluster", "it's", `a\b`, 0}, 0, 10}, {Partition{"cluster", "it's", `a\b`, 1}, 5, 10}}}, time.UnixMilli(0), time.UnixMilli(1500)
	account, err := s.account(batch, Stats{Inserted: 1}, began, ended)
	if err != nil {
		t.Fatal(err)
	}
	if s.raise != "" {
		account = append([]string{s.begun(batch.Ranges, ended), s.moved(batch.Ranges, ended)}, account[len(account)-1])
	}
	say("the ledger and the load", account...)
	return b.String()
}

func goldenTable(name string) Table {
	at := &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}
	json, _ := extensions.NewJSONType(arrow.BinaryTypes.String)
	f := func(name string, typ arrow.DataType) arrow.Field {
		return arrow.Field{Name: name, Type: typ, Nullable: name != "_id"}
	}
	return Table{Name: name, Key: "_id", Version: "updated_at", Offset: "_kafka_offset", Deleted: "_deleted_at", DeletedOffset: "_deleted_offset", Schema: arrow.NewSchema([]arrow.Field{
		f("_id", arrow.BinaryTypes.String), f("note", arrow.BinaryTypes.String), f("order", arrow.PrimitiveTypes.Int64), f("attributes", json), f("seen", at), f("a name of many words", arrow.PrimitiveTypes.Float64),
		f("updated_at", at), f("_kafka_offset", arrow.PrimitiveTypes.Int64), f("_load_id", arrow.BinaryTypes.String), f("_deleted_at", at), f("_deleted_offset", arrow.PrimitiveTypes.Int64)}, nil)}
}

// goldenSources are all tables, as this version has them.
func goldenSources(t *testing.T, d *dialect, dataset string) *sources {
	t.Helper()
	s := &sources{dialect: d, dataset: dataset, tables: map[string]sourceTable{}}
	for _, table := range reportTables {
		rs, err := schemas.ByName(table)
		if err != nil {
			t.Fatal(err)
		}
		decoder, err := schemas.NewDecoder(rs[0].Avro())
		if err != nil {
			t.Fatal(err)
		}
		columns := map[string]string{d.name("_project_id"): d.types[kindText], d.name("_extracted_at"): d.types[kindTimestamp]}
		for _, f := range decoder.Schema().Fields() {
			k, err := kindOf(f.Type)
			if err != nil {
				t.Fatal(err)
			}
			columns[d.name(f.Name)] = d.types[k]
		}
		s.tables[table] = sourceTable{columns: columns}
	}
	return s
}

func goldenRows(t Table) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, t.Schema)
	defer b.Release()
	for _, f := range b.Fields() {
		f.AppendNull()
	}
	return b.NewRecordBatch()
}
