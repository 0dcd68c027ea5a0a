package sink

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBigQueryScript writes a transaction as it is sent.
func TestBigQueryScript(t *testing.T) {
	s := (&bigQuery{dataset: "tiledesk"}).staged(nil)
	table := goldenTable("tags")
	table.HardDelete = true
	have := map[string]string{}
	for _, f := range table.Schema.Fields() {
		k, _ := kindOf(f.Type)
		have[s.name(f.Name)] = s.types[k]
	}
	b := Batch{ID: "load", Table: table, Rows: goldenRows(table), Bytes: 99, Ranges: []Range{{Partition{"cluster", "it's", "a\\b\nc", 0}, 0, 10}, {Partition{"cluster", "it's", "a\\b\nc", 1}, 5, 10}}}
	steps := stagedMerge{dialect: s.dialect, dataset: s.dataset, have: have, source: "(SELECT * FROM stage)", docs: true, tombs: true, b: b}.statements()
	script, err := bigQueryScript(s, b, steps, time.UnixMilli(0))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "bigquery_script.sql"), script+";\n")
}

func TestBigQueryNames(t *testing.T) {
	got := map[string]string{}
	want := map[string]string{"_id": "_id", "createdAt": "createdAt", "_partition": "x_partition_", "_TABLE_x": "x_TABLE_x_", "1st": "_1st_", "a b": "a_b_", "é": "__"}
	for name, front := range want {
		if n := bigQueryDialect.name(name); len(n) >= len(front) {
			got[name] = n[:len(front)]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBigQueryJSON(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"a\"1e999":[1,-2.5,1e300,9223372036854775807,0.1,true,null,"\\"]}`: true, `-0`: true, `[1.50,1e2]`: true, `"123456789012345678901234567890"`: true,
		`[1e400]`: false, `123456789012345678901234567890.5`: false, `{"a":{"b":0.12345678901234567890123}}`: false, `9223372036854775809`: false,
	} {
		if err := bigQueryJSON(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
