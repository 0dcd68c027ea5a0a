package mcp

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// textShown is how much of a text an answer has, in bytes: a transcript would crowd out everything else.
const textShown = 4 << 10

// exact is the greatest whole number that every reader of JSON holds exactly; past it numbers are texts.
const exact = 1 << 53

// value is a driver's value as JSON.
func value(v any) json.RawMessage {
	switch v := v.(type) {
	case nil:
		return json.RawMessage("null")
	case bool:
		return json.RawMessage(strconv.FormatBool(v))
	case int64:
		if v > -exact && v < exact {
			return json.RawMessage(strconv.FormatInt(v, 10))
		}
	case int32:
		return value(int64(v))
	case *big.Int: // what DuckDB's sums are
		if v.IsInt64() {
			return value(v.Int64())
		}
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return encoded(v)
		}
	case time.Time:
		return encoded(v.UTC().Format(time.RFC3339Nano))
	case []byte:
		return encoded(short(string(v)))
	case string:
		return encoded(short(v))
	case fmt.Stringer: // decimals
		if text := v.String(); decimal.MatchString(text) {
			return json.RawMessage(text)
		}
	case []any, map[string]any:
		if b, err := json.Marshal(v); err == nil && len(b) <= textShown {
			return b
		}
	}
	return encoded(short(fmt.Sprint(v)))
}

var decimal = regexp.MustCompile(`^-?(0|[1-9]\d{0,14})(\.\d{1,6})?$`)

func encoded(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and finite numbers only
	}
	return b
}

// short cuts a text where it is too long.
func short(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= textShown {
		return s
	}
	cut := textShown
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:cut], len(s))
}
