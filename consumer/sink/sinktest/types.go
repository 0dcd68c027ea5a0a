package sinktest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"tilestream/consumer/sink"
)

// a value of a type and a word for it
type sample struct {
	name  string
	typ   arrow.DataType
	value any
}

// plain values are kept by every warehouse.
var plain = []sample{
	{"empty", String, ""},
	{"space", String, " \t\r\n "},
	{"ascii", String, "Hello, world! 'quotes' \"double\" \\back\\ 100% $1 ? {} ;--"},
	{"emoji", String, "👩‍👩‍👧‍👦 🇮🇹 🏳️‍🌈 ☕️"},
	{"right to left", String, "שלום עולם مرحبا بالعالم \u202eabc\u202c"},
	{"cjk and combining", String, "日本語 한국어 Z͑ͫ̓ͪ̂ a\u0308 \U0010FFFF \uFFFE"},
	{"controls", String, "\x01\x02\x1b[31m\x7f\u0085\u2028"},
	{"the word null", String, "NULL"},
	{"backslash N", String, `\N`},
	{"a megabyte", String, strings.Repeat("0123456789abcdé", 1<<16)},
	{"zero", Int64, int64(0)}, {"greatest", Int64, int64(math.MaxInt64)}, {"least", Int64, int64(math.MinInt64)},
	{"zero", Int32, int32(0)}, {"greatest", Int32, int32(math.MaxInt32)}, {"least", Int32, int32(math.MinInt32)},
	{"zero", Float64, 0.0}, {"third", Float64, 1.0 / 3}, {"greatest", Float64, math.MaxFloat64},
	{"least of all", Float64, math.SmallestNonzeroFloat64}, {"many digits", Float64, -1234567890.1234567},
	{"true", Boolean, true}, {"false", Boolean, false},
	{"1970", Timestamp, time.UnixMilli(0)}, {"a millisecond", Timestamp, time.UnixMilli(1)},
	{"just before 1970", Timestamp, time.UnixMilli(-1)}, {"1900", Timestamp, time.Date(1900, 2, 28, 23, 59, 59, 999e6, time.UTC)},
	{"year 1", Timestamp, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}, {"2038", Timestamp, time.Date(2038, 1, 19, 3, 14, 8, 1e6, time.UTC)},
	{"year 9999", Timestamp, time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)},
	{"null", JSON, `null`}, {"true", JSON, `true`}, {"string", JSON, `"text"`}, {"empty string", JSON, `""`}, {"number", JSON, `-0.5e-3`},
	{"empty object", JSON, `{}`}, {"empty array", JSON, `[]`}, {"object", JSON, `{"a":{"b":[1,2,{"c":null}]},"ü":"ß","":0}`},
	{"spaces", JSON, " { \"a\" :\n[ 1 , 2 ]\t} "}, {"big number", JSON, `{"n":123456789012345678901234567890.123456789}`},
	{"beyond double", JSON, `[1e400, -1e-400]`}, {"escapes", JSON, `"\u00e9\ud83d\ude00\n\t\"\\\/\u0007"`},
	{"emoji", JSON, `{"😀":"👩‍👩‍👧‍👦"}`}, {"deep", JSON, strings.Repeat("[", 500) + strings.Repeat("]", 500)},
	{"a megabyte", JSON, `{"body":"` + strings.Repeat("é", 1<<19) + `"}`},
}

// hostile values may be kept exactly or refused, but never changed.
var hostile = []sample{
	{"NUL", String, "before\x00after"}, {"not UTF-8", String, "before\xff\xfeafter"}, {"half a character", String, "€"[:2]},
	{"a surrogate", String, "\xed\xa0\x80"},
	{"not a number", Float64, math.NaN()}, {"infinity", Float64, math.Inf(1)}, {"minus infinity", Float64, math.Inf(-1)},
	{"last time", Timestamp, time.UnixMilli(math.MaxInt64)}, {"first time", Timestamp, time.UnixMilli(math.MinInt64)},
	{"last microsecond", Timestamp, time.UnixMilli(math.MaxInt64 / 1000)}, {"first microsecond", Timestamp, time.UnixMilli(math.MinInt64 / 1000)},
	{"year 5000 BC", Timestamp, time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)}, {"year 294276", Timestamp, time.Date(294276, 12, 31, 0, 0, 0, 0, time.UTC)},
	{"not JSON", JSON, `{"a":`}, {"empty text", JSON, ``}, {"two values", JSON, `{} {}`}, {"a word", JSON, `undefined`},
	{"NUL escape", JSON, `{"a":"x\u0000y"}`}, {"NUL", JSON, "\"x\x00y\""}, {"half a surrogate", JSON, `"\ud83d"`}, {"not UTF-8", JSON, "\"\xff\""},
	{"far exponent", JSON, `1e1000000`}, {"deeper", JSON, strings.Repeat("[", 20000) + strings.Repeat("]", 20000)},
}

// allTypes is a table with a column of each type.
func allTypes() sink.Table {
	return Table("all_types", Column("string", String), Column("int64", Int64), Column("int32", Int32), Column("float64", Float64),
		Column("boolean", Boolean), Column("timestamp", Timestamp), Column("json", JSON))
}

func columnOf(t arrow.DataType) string {
	for _, f := range allTypes().Schema.Fields()[1:8] {
		if arrow.TypeEqual(f.Type, t) {
			return f.Name
		}
	}
	panic(t.String())
}

var types = []testCase{
	{"every type comes back", func(s *suite) {
		to, t := s.open(), allTypes()
		s.prepare(to, t)
		rows := []Row{{"_id": "all null", "_kafka_offset": int64(0)}}
		for i, v := range plain {
			r := Row{"_id": fmt.Sprint(v.typ, " ", v.name), columnOf(v.typ): v.value, "updated_at": at(i), "_kafka_offset": int64(len(rows))}
			if s.refuses(t, r) {
				s.wantRefused(to, t, r)
				continue
			}
			rows = append(rows, r)
		}
		n := int64(len(rows))
		s.write(to, s.batch(t, rows, Span(0, 0, n)), sink.Stats{Inserted: n})
		s.wantRows(t, rows...)
	}},
	{"null and empty stay apart", func(s *suite) {
		to, t := s.open(), allTypes()
		s.prepare(to, t)
		empty := Row{"_id": "a", "string": "", "json": `""`, "int64": int64(0), "boolean": false, "updated_at": at(1), "_kafka_offset": int64(0)}
		null := Row{"_id": "a", "updated_at": at(2), "_kafka_offset": int64(1)}
		s.write(to, s.batch(t, []Row{empty}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		s.wantRows(t, empty)
		s.write(to, s.batch(t, []Row{null}, Span(0, 1, 2)), sink.Stats{Updated: 1})
		s.wantRows(t, null)
	}},
	{"a hostile value is kept or refused", func(s *suite) {
		to, t := s.open(), allTypes()
		s.prepare(to, t)
		good := Row{"_id": "good", "string": "fine", "updated_at": at(1), "_kafka_offset": int64(0)}
		s.write(to, s.batch(t, []Row{good}, Span(0, 0, 1)), sink.Stats{Inserted: 1})
		want := []Row{good}
		next := int64(1)
		for _, v := range hostile {
			bad := Row{"_id": fmt.Sprint(v.typ, " ", v.name), columnOf(v.typ): v.value, "updated_at": at(1), "_kafka_offset": next}
			newer := Row{"_id": "good", "string": "newer than " + v.name, "updated_at": at(2), "_kafka_offset": next + 1}
			b := s.batch(t, []Row{newer, bad}, Span(0, next, next+2))
			stats, err := to.Write(s.Context(), b)
			var rejected *sink.RejectedError
			switch {
			case err == nil:
				next += 2
				want = append([]Row{newer}, append(want[1:], bad)...)
				s.Logf("%s %s: kept", v.typ, v.name)
			case !errors.As(err, &rejected):
				s.Errorf("%s %s: %v, want a *RejectedError", v.typ, v.name, err)
			case stats != sink.Stats{}:
				s.Errorf("%s %s: refused with %+v", v.typ, v.name, stats)
			case len(err.Error()) > 2000:
				s.Errorf("%s %s: refused in %d bytes", v.typ, v.name, len(err.Error()))
			default:
				s.Logf("%s %s: refused: %v", v.typ, v.name, err)
			}
			s.wantNext(to, map[sink.Partition]int64{Part(0): next})
		}
		s.wantRows(t, want...)
	}},
}
