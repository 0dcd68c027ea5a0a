package schemas

import (
	"slices"
	"strconv"
)

// A route is a step on the way from the top of a document to the values that fields want: by an object's key, or by an
// array's index in decimal.
type route struct {
	next  map[string]*route
	slots []int // where to note the value found here
	below []int // slots of every route further down
	field int   // the field that holds this key of the document as it is; -1 if none does
}

func newRoute() *route { return &route{field: -1} }

// step returns the route one step further, making it if need be.
func (r *route) step(key string) *route {
	if r.next == nil {
		r.next = map[string]*route{}
	}
	if r.next[key] == nil {
		r.next[key] = newRoute()
	}
	return r.next[key]
}

// settle fills in below, of r and everything under it, and returns all slots from r on.
func (r *route) settle() []int {
	for _, n := range r.next {
		r.below = append(r.below, n.settle()...)
	}
	return append(slices.Clone(r.slots), r.below...)
}

// A member is a key and its value at the top of a document, compacted: the key with its quotes, both as they were written.
type member struct {
	key, value []byte
	field      int // see route
}

// A scanner reads one JSON object in one pass: it checks all of it, drops the white space between tokens, and notes the
// members and the values that lie on the routes. It never recurses deeper than the routes, so nesting costs a byte a level.
// encoding/json is stricter in one thing only: it stops at 10,000 levels.
type scanner struct {
	src     []byte
	pos     int
	out     []byte // the document, compacted; members and found point into it, or into an outgrown copy of it
	open    []byte // brackets that skip has yet to close
	found   [][]byte
	members []member
}

// scan reads src, whose routes have the given number of slots. Where a key comes twice, the last one counts for the routes,
// as JSON.parse has it; members has both.
func (s *scanner) scan(src []byte, root *route, slots int) error {
	s.src, s.pos, s.open, s.members = src, 0, s.open[:0], s.members[:0]
	s.out = slices.Grow(s.out[:0], len(src))
	s.found = slices.Grow(s.found[:0], slots)[:slots]
	clear(s.found)
	if c := s.peek(); c != '{' {
		return s.wrong("an object")
	}
	if err := s.object(root, true); err != nil {
		return err
	}
	return s.end()
}

// value reads any value, noting what lies on the route r; r may be nil.
func (s *scanner) value(r *route) error {
	if r == nil {
		return s.skip()
	}
	for _, slot := range r.below {
		s.found[slot] = nil // of an earlier member with the same key
	}
	start := len(s.out)
	var err error
	switch c := s.peek(); {
	case c == '{' && r.next != nil:
		err = s.object(r, false)
	case c == '[' && r.next != nil:
		err = s.array(r)
	default:
		err = s.skip()
	}
	for _, slot := range r.slots {
		s.found[slot] = s.out[start:]
	}
	return err
}

func (s *scanner) object(r *route, top bool) error {
	s.take()
	if s.peek() == '}' {
		s.take()
		return nil
	}
	for {
		start := len(s.out)
		if err := s.key(); err != nil {
			return err
		}
		key := s.out[start : len(s.out)-1] // without the colon
		next := r.next[string(plainText(key))]
		start = len(s.out)
		if err := s.value(next); err != nil {
			return err
		}
		if top {
			m := member{key: key, value: s.out[start:], field: -1}
			if next != nil {
				m.field = next.field
			}
			s.members = append(s.members, m)
		}
		switch s.peek() {
		case ',':
			s.take()
		case '}':
			s.take()
			return nil
		default:
			return s.wrong("a comma or the end of an object")
		}
	}
}

func (s *scanner) array(r *route) error {
	s.take()
	if s.peek() == ']' {
		s.take()
		return nil
	}
	for i := 0; ; i++ {
		if err := s.value(r.next[strconv.Itoa(i)]); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.take()
		case ']':
			s.take()
			return nil
		default:
			return s.wrong("a comma or the end of an array")
		}
	}
}

// skip reads any value without noting anything.
func (s *scanner) skip() error {
	for {
		var err error
		switch c := s.peek(); c {
		case '{':
			s.take()
			if s.peek() != '}' {
				s.open = append(s.open, '}')
				if err := s.key(); err != nil {
					return err
				}
				continue
			}
			s.take()
		case '[':
			s.take()
			if s.peek() != ']' {
				s.open = append(s.open, ']')
				continue
			}
			s.take()
		case '"':
			err = s.text()
		case 't':
			err = s.literal("true")
		case 'f':
			err = s.literal("false")
		case 'n':
			err = s.literal("null")
		default:
			err = s.number()
		}
		if err != nil {
			return err
		}
		due, err := s.close()
		if err != nil || !due {
			return err
		}
	}
}

// close reads what may follow a value inside skip: closing brackets, then a comma and, in an object, the next key. It
// reports whether another value is due.
func (s *scanner) close() (due bool, err error) {
	for len(s.open) > 0 {
		end := s.open[len(s.open)-1]
		switch s.peek() {
		case ',':
			s.take()
			if end == '}' {
				return true, s.key()
			}
			return true, nil
		case end:
			s.take()
			s.open = s.open[:len(s.open)-1]
		default:
			return false, s.wrong("a comma or a closing bracket")
		}
	}
	return false, nil
}

// key reads a key and its colon.
func (s *scanner) key() error {
	if s.peek() != '"' {
		return s.wrong("a key")
	}
	if err := s.text(); err != nil {
		return err
	}
	if s.peek() != ':' {
		return s.wrong("a colon")
	}
	s.take()
	return nil
}

// peek passes white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take() {
	s.out = append(s.out, s.src[s.pos])
	s.pos++
}
