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
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		if why := beyondFakesnow[path.Base(t.Name())]; why != "" && onFakesnow(rawURL) {
			t.Skip(why)
		}
		return snowflakeIn(t, rawURL)
	})
}

func onFakesnow(rawURL string) bool { return strings.Contains(rawURL, "account=fakesnow") }

// beyondFakesnow are cases that Snowflake holds, as documented, and its emulator does not.
var beyondFakesnow = map[string]string{
	"of_two_writers_of_one_range_one_wins":                      noTurns,
	"writers_of_different_partitions_do_not_disturb_each_other": noTurns,
	"Prepare_by_many_at_once":                                   noTurns,
	"a_write_cancelled_on_its_way_is_whole_or_nothing":          "fakesnow does not end a statement that is cancelled, and the next meets it",
	"odd_names": "fakesnow does not quote names in its own catalogue, and answers 500 to those with a quotation mark, which the driver repeats for minutes",
}

const noTurns = "fakesnow answers 500 where two sessions change one table; Snowflake has the second one wait"

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
