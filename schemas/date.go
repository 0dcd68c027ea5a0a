package schemas

import "time"

// parseDate reads an ISO 8601 date and time: 2026-11-22T15:17:30.904Z, with any number of decimals, with Z, +01:00, +0100
// or +01; seconds, or the whole time of day, may be missing. Tiledesk writes UTC, so what names no zone is UTC. It returns
// milliseconds since 1970; exact is false where there were finer decimals. Not ok: anything else, and dates outside the
// years 1 to 9999, which no warehouse takes.
func parseDate(s []byte) (ms int64, exact, ok bool) {
	p := dateParser{rest: s, ok: true}
	year := p.digits(4)
	p.byte("-")
	month := p.digits(2)
	p.byte("-")
	day := p.digits(2)
	var hour, minute, second, nanos, offset int
	exact = true
	if len(p.rest) > 0 {
		p.byte("Tt ")
		hour = p.digits(2)
		p.byte(":")
		minute = p.digits(2)
		if p.at(":") {
			second = p.digits(2)
			if p.at(".") {
				nanos, exact = p.decimals()
			}
		}
		offset = p.offset()
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	real := hour < 24 && minute < 60 && second < 60 && t.Month() == time.Month(month) && t.Day() == day
	t = t.Add(-time.Duration(offset) * time.Minute)
	if !p.ok || len(p.rest) > 0 || !real || t.Year() < 1 || t.Year() > 9999 {
		return 0, false, false
	}
	return t.UnixMilli(), exact, true
}

type dateParser struct {
	rest []byte
	ok   bool
}

// at passes one byte if it is in set.
func (p *dateParser) at(set string) bool {
	for i := range len(set) {
		if len(p.rest) > 0 && p.rest[0] == set[i] {
			p.rest = p.rest[1:]
			return true
		}
	}
	return false
}

func (p *dateParser) byte(set string) {
	if !p.at(set) {
		p.ok = false
	}
}

func (p *dateParser) digits(n int) int {
	if len(p.rest) < n {
		p.ok = false
		return 0
	}
	v := 0
	for _, c := range p.rest[:n] {
		if c < '0' || c > '9' {
			p.ok = false
			return 0
		}
		v = v*10 + int(c-'0')
	}
	p.rest = p.rest[n:]
	return v
}

// decimals reads the decimals of a second, as nanoseconds; exact says that milliseconds hold all of it.
func (p *dateParser) decimals() (nanos int, exact bool) {
	exact = true
	unit, n := 100_000_000, 0
	for ; n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9'; n++ {
		nanos += int(p.rest[n]-'0') * unit
		unit /= 10
		exact = exact && (n < 3 || p.rest[n] == '0')
	}
	p.ok = p.ok && n > 0
	p.rest = p.rest[n:]
	return nanos, exact
}

// offset reads the zone, in minutes east of UTC.
func (p *dateParser) offset() int {
	sign := 1
	switch {
	case len(p.rest) == 0 || p.at("Zz"):
		return 0
	case p.at("-"):
		sign = -1
	default:
		p.byte("+")
	}
	hours, minutes := p.digits(2), 0
	if p.at(":") || len(p.rest) > 0 {
		minutes = p.digits(2)
	}
	p.ok = p.ok && hours < 24 && minutes < 60
	return sign * (hours*60 + minutes)
}
