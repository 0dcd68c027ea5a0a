package sink_test

import (
	"crypto/rand"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
)

func TestSnowflake(t *testing.T) {
	rawURL := e2e.Emulator(t, "TEST_SNOWFLAKE_URL")
	at := rawURL
	if onFakesnow(rawURL) {
		at = takeTurns(t, rawURL)
	}
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		if path.Base(t.Name()) == "odd_names" && onFakesnow(rawURL) {
			t.Skip("fakesnow does not quote names in its own catalogue: it answers 500 to those with a quotation mark, which the driver repeats for minutes; TestSnowflakeNames has the others")
		}
		return snowflakeIn(t, at)
	})
}

func onFakesnow(rawURL string) bool { return strings.Contains(rawURL, "account=fakesnow") }

// Names that SQL may take for something else are tables and columns like others. Those with a quotation mark are in the suite.
func TestSnowflakeNames(t *testing.T) {
	t.Parallel()
	d := snowflakeIn(t, e2e.Emulator(t, "TEST_SNOWFLAKE_URL"))
	to := d.Open(t)
	defer to.Close()
	long := strings.Repeat("a_long_name_", 8)
	var columns []arrow.Field
	row := sinktest.Row{"_id": "a", "_kafka_offset": int64(0)}
	for _, name := range []string{"user", "order", "Upper Case", "dot.ted", "größe", "日本語", "a b", "100%", "$1", "?", "xmin", "rowid", "old", "semi;colon", "--", long + "1", long + "2"} {
		columns = append(columns, sinktest.Column(name, sinktest.String))
		row[name] = "value of " + name
	}
	for i, name := range []string{"select", "Upper Case", "dot.ted", "größe", "semi;colon", long + "1", long + "2"} {
		table, at := sinktest.Table(name, columns...), int64(i)
		if err := to.Prepare(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(t.Context(), sink.Batch{ID: name, Table: table, Ranges: []sink.Range{sinktest.Span(0, at, at+1)}, Rows: sinktest.Record(table.Schema, []sinktest.Row{row})}); err != nil {
			t.Fatal(err)
		}
		if diff := sinktest.Diff(table, []sinktest.Row{row}, d.Read(t, table)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// snowflakeIn is a schema that is dropped when the test ends. It is read as verify reads.
func snowflakeIn(t testing.TB, rawURL string) sinktest.Destination {
	dataset := newSnowflake(t, rawURL)
	return sinktest.Destination{
		Slow: true,
		Refuses: func(column arrow.Field, value any) bool {
			text, ok := value.(string)
			return ok && column.Type == sinktest.JSON && longNumber.MatchString(text)
		},
		Open: func(t testing.TB) sink.Sink {
			to, err := sink.Open(t.Context(), rawURL, dataset)
			if err != nil {
				t.Fatal(err)
			}
			if onFakesnow(rawURL) {
				sink.SnowflakeWithoutMerge(to)
			}
			return to
		},
		Read: func(t testing.TB, table sink.Table) []sinktest.Row { return readThrough(t, rawURL, dataset, table) },
	}
}

// longNumber is a number that VARIANT does not hold exactly.
var longNumber = regexp.MustCompile(`\d{22,}|[eE][+-]?\d{3,}`)

func newSnowflake(t testing.TB, rawURL string) string {
	dataset := "tilestream_test_" + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		if err := sink.Drop(t.Context(), rawURL, dataset); err != nil {
			t.Errorf("drop dataset %s: %v", dataset, err)
		}
	})
	return dataset
}
