package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

var errSyntax = errors.New("not valid JSON")

// text passes a string. The scanner stands at its first quote. Half of a surrogate pair, which JavaScript makes when it cuts
// a text in the middle of an emoji, becomes U+FFFD: UTF-8 has no form for it, and databases refuse its escape.
func (s *scanner) text() error {
	start := s.pos
	for s.pos++; ; s.pos++ {
		if s.pos += plain(s.src[s.pos:]); s.pos == len(s.src) {
			break
		}
		switch c := s.src[s.pos]; {
		case c == '"':
			s.pos++
			s.out = append(s.out, s.src[start:s.pos]...)
			return nil
		case c == '\\':
			at := s.pos
			s.pos++
			half, err := s.escape()
			if err != nil {
				return err
			}
			if half {
				s.out = append(append(s.out, s.src[start:at]...), `\ufffd`...)
				start = s.pos + 1
			}
		case c < ' ':
			return s.wrong("a control character to be escaped")
		}
	}
	return s.wrong("the end of a string")
}

// plain counts the bytes before the first quote, backslash or control character, eight at a time: of a word, x-1 has the high bit where a
// byte of x, which has not, is 0 (Warren, Hacker's Delight, 6-1). A bit may be wrong above the first that is right.
func plain(b []byte) (n int) {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; n+8 <= len(b); n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, slash := x^each*'"', x^each*'\\'
		if stop := ((quote-each)&^quote | (slash-each)&^slash | (x-each*' ')&^x) & high; stop != 0 {
			return n + bits.TrailingZeros64(stop)/8
		}
	}
	for n < len(b) && b[n] != '"' && b[n] != '\\' && b[n] >= ' ' {
		n++
	}
	return n
}

// escape checks what follows a backslash and stops at its last byte, of a surrogate pair that of the second half. half
// reports a surrogate without its other half.
func (s *scanner) escape() (half bool, err error) {
	if s.pos < len(s.src) {
		switch s.src[s.pos] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			return false, nil
		case 'u':
			r, ok := hex4(s.src[s.pos+1:])
			if !ok {
				break
			}
			s.pos += 4
			if !utf16.IsSurrogate(r) {
				return false, nil
			}
			if rest := s.src[s.pos+1:]; hasPrefix(rest, `\u`) {
				if low, ok := hex4(rest[2:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
					s.pos += 6
					return false, nil
				}
			}
			return true, nil
		}
	}
	return false, s.wrong("an escape that JSON has")
}

func (s *scanner) literal(word string) error {
	if !hasPrefix(s.src[s.pos:], word) {
		return s.wrong(word)
	}
	s.out = append(s.out, word...)
	s.pos += len(word)
	return nil
}

func (s *scanner) number() error {
	start := s.pos
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.src) && s.src[s.pos] >= '0' && s.src[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	at := func(set string) bool {
		for i := range len(set) {
			if s.pos < len(s.src) && s.src[s.pos] == set[i] {
				s.pos++
				return true
			}
		}
		return false
	}
	at("-")
	if !at("0") && !digits() {
		return s.wrong("a value")
	}
	if at(".") && !digits() {
		return s.wrong("digits after the point")
	}
	if at("eE") {
		at("+-")
		if !digits() {
			return s.wrong("digits of the exponent")
		}
	}
	s.out = append(s.out, s.src[start:s.pos]...)
	return nil
}

func (s *scanner) wrong(want string) error {
	if s.pos >= len(s.src) {
		return fmt.Errorf("%w: it ends at byte %d, want %s", errSyntax, len(s.src), want)
	}
	return fmt.Errorf("%w: byte %d is %q, want %s", errSyntax, s.pos, s.src[s.pos], want)
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }
