package tiledesktest

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Europe/Rome is the default zone; the demo's image has no zone files
)

// dateRange is the filter by time of requests, in ms, both ends included.
type dateRange struct {
	field  string
	lo, hi int64
}

var hasTime = regexp.MustCompile(`[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?`)

// parseDates reads the filter by time; nil where the call has none (utils/datesUtil.js). Dates without a time are whole
// days. start_date or end_date make the server ignore start_date_time and end_date_time.
func parseDates(q url.Values, now time.Time) (*dateRange, error) {
	start, end := q.Get("start_date"), q.Get("end_date")
	if start == "" && end == "" {
		start, end = q.Get("start_date_time"), q.Get("end_date_time")
	}
	if start == "" && end == "" {
		return nil, nil
	}
	zone := q.Get("timezone")
	if zone == "" {
		zone = "Europe/Rome"
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, errors.New("Invalid timezone: " + zone + `. Please use a valid IANA timezone (e.g., "Europe/Rome", "America/New_York")`)
	}
	d := &dateRange{field: q.Get("filterRangeField"), hi: 1<<63 - 1, lo: -1 << 63}
	if d.field == "" {
		d.field = "createdAt"
	}
	if start != "" {
		t, ok := parseMoment(start, loc, now)
		if !ok {
			return nil, errors.New("Unable to parse the date: " + start + " with timezone: " + zone)
		}
		if !hasTime.MatchString(start) {
			t = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, loc)
		}
		d.lo = t.UnixMilli()
	}
	if end != "" {
		t, ok := parseMoment(end, loc, now)
		if !ok {
			return nil, errors.New("Unable to parse the date: " + end + " with timezone: " + zone)
		}
		d.hi = t.UnixMilli()
		if !hasTime.MatchString(end) {
			d.hi = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, loc).UnixMilli() - 1
		}
	}
	return d, nil
}

// momentFormats are tried in this order. Moment reads them forgivingly, which is why YYYY/MM/DD never gets its turn: the
// first format finds a day, a month and a two-digit year in it.
var momentFormats = []string{
	"DD / MM / YYYY _ HH : mm : ss", "DD / MM / YYYY , HH : mm : ss", "DD / MM / YYYY _ HH : mm", "DD / MM / YYYY , HH : mm", "DD / MM / YYYY",
	"YYYY / MM / DD _ HH : mm : ss", "YYYY / MM / DD , HH : mm : ss", "YYYY / MM / DD _ HH : mm", "YYYY / MM / DD , HH : mm", "YYYY / MM / DD",
}

// parseMoment reads a date as moment.tz(text, format, zone) does: each token takes the next thing that looks like it and
// drops what is before; what a token does not find it leaves out.
func parseMoment(text string, loc *time.Location, now time.Time) (time.Time, bool) {
	text = strings.TrimSpace(text)
	for _, format := range momentFormats {
		if t, ok := parseTokens(text, strings.Fields(format), now.In(loc), loc); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

var digits = map[string]*regexp.Regexp{"YYYY": regexp.MustCompile(`[0-9]{1,4}`), "": regexp.MustCompile(`[0-9]{1,2}`)}

func parseTokens(text string, tokens []string, now time.Time, loc *time.Location) (time.Time, bool) {
	found := map[string]int{}
	for _, token := range tokens {
		switch token {
		case "/", ":", ",", "_":
			literal := strings.NewReplacer("_", " ", ",", ", ").Replace(token)
			if i := strings.Index(text, literal); i >= 0 {
				text = text[i+len(literal):]
			}
			continue
		}
		re := digits[token]
		if re == nil {
			re = digits[""]
		}
		at := re.FindStringIndex(text)
		if at == nil {
			continue
		}
		n, _ := strconv.Atoi(text[at[0]:at[1]])
		if token == "YYYY" && at[1]-at[0] == 2 { // moment: up to 68 is this century
			n += 1900
			if n <= 1968 {
				n += 100
			}
		}
		found[token], text = n, text[at[1]:]
	}
	if len(found) == 0 {
		return time.Time{}, false
	}
	// What comes before the first thing found is today's, what comes after is the beginning.
	year, hasYear := found["YYYY"]
	month, hasMonth := found["MM"]
	day, hasDay := found["DD"]
	if !hasYear {
		year = now.Year()
		if !hasMonth {
			month = int(now.Month())
			if !hasDay {
				day = now.Day()
				hasDay = true
			}
			hasMonth = true
		}
	}
	if !hasMonth {
		month = 1
	}
	if !hasDay {
		day = 1
	}
	hour, minute, second := found["HH"], found["mm"], found["ss"]
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	if last := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day(); day > last {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, loc), true
}
