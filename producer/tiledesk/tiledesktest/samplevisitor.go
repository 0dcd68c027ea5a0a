package tiledesktest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// visitor is someone who writes to the desk, perhaps more than once.
type visitor struct {
	guest           string // user id
	fullname, first string
	email, phone    string
	company         string
	lang            *phrases
	member, lead    string // document ids
	channel         string
	returns         int
}

// visitor is someone new, or in one of four conversations someone who has written before.
func (d *desk) visitor(r *rand.Rand, n int) *visitor {
	if len(d.visitors) > 20 && r.IntN(4) == 0 {
		return d.visitors[r.IntN(len(d.visitors))]
	}
	lang, at := &languages[0], r.IntN(100)
	for i := range languages {
		if at -= languages[i].weight; at < 0 {
			lang = &languages[i]
			break
		}
	}
	first, last := lang.first[r.IntN(len(lang.first))], lang.last[r.IntN(len(lang.last))]
	v := &visitor{
		guest: uuid(fmt.Sprint("guest", d.seed, n)), first: first, fullname: first + " " + last, lang: lang,
		channel: channels[r.IntN(len(channels))],
	}
	if r.IntN(10) < 7 || v.channel == "email" {
		v.email = slug(first) + "." + slug(last) + fmt.Sprint(r.IntN(90)+10) + "@example.com"
	}
	if r.IntN(10) < 3 || v.channel == "whatsapp" {
		v.phone = lang.phoneCountry + fmt.Sprint(3_000_000_00+r.IntN(99_999_999))
	}
	if r.IntN(10) < 4 {
		v.company = companies[r.IntN(len(companies))]
	}
	d.visitors = append(d.visitors, v)
	return v
}

var channels = []string{"chat21", "chat21", "chat21", "chat21", "chat21", "whatsapp", "whatsapp", "email", "telegram", "messenger"}

var ascii = strings.NewReplacer("á", "a", "à", "a", "Á", "a", "é", "e", "è", "e", "É", "e", "í", "i", "Í", "i", "ñ", "n", "ó", "o", "ö", "o", "ô", "o",
	"ú", "u", "ü", "u", "ä", "a", "ß", "ss", "'", "", " ", "-", "&", "and")

func lower(s string) string { return strings.ToLower(s) }
func slug(s string) string  { return ascii.Replace(lower(s)) }
