package dashboard

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// textShown is how much of a value is shown, in bytes.
const textShown = 300

// cell is a value in words.
type cell struct {
	Text   string
	Null   bool
	Number bool
}

func cellOf(v any) cell {
	if v == nil {
		return cell{Null: true}
	}
	s := text(v)
	if len(s) > textShown {
		cut := textShown
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	_, isNumber := float(v)
	return cell{Text: s, Number: isNumber}
}

// text is a value of a driver's; "" for none.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.Format(time.DateOnly)
		}
		return v.Format("2006-01-02 15:04:05.999")
	}
	return fmt.Sprint(v)
}

// float is a number of a driver's.
func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case int32:
		return float64(v), true
	case float64:
		return v, true
	}
	f, err := strconv.ParseFloat(fmt.Sprint(v), 64) // decimals
	return f, err == nil
}
