//go:build cgo

package load

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// An integer of many digits whose partition is behind that of the field's first fraction comes to a column of doubles, which makes it
// text; it is not a dead letter.
func TestIntegerComesAfterFraction(t *testing.T) {
	w := newWorld(t, 2, "tags")
	rs, err := schemas.ByName("tags")
	if err != nil {
		t.Fatal(err)
	}
	w.codec.Evolve(func(string) schemas.Rules {
		return schemas.Rules{Columns: schemas.Evolve, Types: schemas.Evolve, MaxNewFields: 10}
	}, func(schemas.Change) {})
	frame := func(doc string) []byte {
		value, _, err := w.codec.Encode(t.Context(), rs[0], []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	whole := frame(`{"_id":"whole","updatedAt":"2026-01-02T03:04:05.006Z","score":9007199254740993,"rank":1}`)
	fraction := frame(`{"_id":"fraction","updatedAt":"2026-01-02T03:04:05.006Z","score":1.5,"rank":1.5}`)
	to, err := sink.Open(t.Context(), "duckdb://"+w.duckdb(), "d")
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.Until = Now()
	for partition, value := range [][]byte{fraction, whole} {
		w.produce(&kgo.Record{Topic: w.topic("tags"), Partition: int32(partition), Key: []byte(strings.Repeat("k", 1+partition)), Value: value})
		if err := Run(t.Context(), cfg, w.kafka, to, Events{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", w.duckdb())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got string
	if err := db.QueryRowContext(t.Context(), `SELECT string_agg(_id || ' ' || score || ' ' || rank || ' ' || typeof(score) || ' ' || typeof(rank), ', ' ORDER BY _id) FROM d.tags`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := "fraction 1.5 1.5 VARCHAR DOUBLE, whole 9007199254740993 1.0 VARCHAR DOUBLE"; got != want {
		t.Errorf("rows are %s, want %s", got, want)
	}
}
