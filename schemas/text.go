package schemas

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// plainText returns the text of a JSON string, given with its quotes.
func plainText(quoted []byte) []byte {
	text, _ := appendText(nil, quoted)
	return text
}

// appendText returns the text of a JSON string as the scanner passes it, given with its quotes. Text with escapes is decoded
// onto the end of buf, which is returned grown; other text is the string's own bytes.
func appendText(buf, quoted []byte) (text, grown []byte) {
	s := quoted[1 : len(quoted)-1]
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return s, buf
	}
	start := len(buf)
	for ; i >= 0; i = bytes.IndexByte(s, '\\') {
		buf = append(buf, s[:i]...)
		c := s[i+1]
		s = s[i+2:]
		switch c {
		case 'b':
			buf = append(buf, '\b')
		case 'f':
			buf = append(buf, '\f')
		case 'n':
			buf = append(buf, '\n')
		case 'r':
			buf = append(buf, '\r')
		case 't':
			buf = append(buf, '\t')
		case 'u':
			r, _ := hex4(s)
			s = s[4:]
			if utf16.IsSurrogate(r) { // the first half of a pair
				low, _ := hex4(s[2:])
				r = utf16.DecodeRune(r, low)
				s = s[6:]
			}
			buf = utf8.AppendRune(buf, r)
		default:
			buf = append(buf, c)
		}
	}
	buf = append(buf, s...)
	return buf[start:], buf
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendQuoted appends text, which is valid UTF-8, as a JSON string.
func appendQuoted(buf, text []byte) []byte {
	const hexDigits = "0123456789abcdef"
	buf = append(buf, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			buf = append(buf, '\\', c)
		case c < ' ':
			buf = append(buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			buf = append(buf, c)
		}
	}
	return append(buf, '"')
}
