package schemas

import "sync"

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// Objects returns the objects of a JSON array, as they are written, and calls member for each member of each: the object's index, the key as text, and
// the value as it is written. Objects and values are parts of src; a key may hold until the next call only. It checks all of src; where it
// returns an error, members before it have been told.
func Objects(src []byte, member func(object int, key, value []byte)) (objects [][]byte, err error) {
	s := scanners.Get().(*scanner)
	defer s.put()
	s.src, s.pos = src, 0
	if s.peek() != '[' {
		return nil, s.wrong("an array")
	}
	s.take()
	if s.peek() == ']' {
		s.take()
		return nil, s.end()
	}
	for {
		s.peek()
		from := s.pos
		if err := s.eachMember(func(key, value []byte) { member(len(objects), key, value) }); err != nil {
			return nil, err
		}
		objects = append(objects, src[from:s.pos])
		switch s.peek() {
		case ',':
			s.take()
		case ']':
			s.take()
			return objects, s.end()
		default:
			return nil, s.wrong("a comma or the end of an array")
		}
	}
}

// Members calls yield for each member of a JSON object, in order, as Objects does.
func Members(src []byte, yield func(key, value []byte)) error {
	s := scanners.Get().(*scanner)
	defer s.put()
	s.src, s.pos = src, 0
	if err := s.eachMember(yield); err != nil {
		return err
	}
	return s.end()
}

// eachMember reads an object.
func (s *scanner) eachMember(yield func(key, value []byte)) error {
	if s.peek() != '{' {
		return s.wrong("an object")
	}
	s.take()
	if s.peek() == '}' {
		s.take()
		return nil
	}
	for {
		s.out = s.out[:0] // of no use but for the key
		if err := s.key(); err != nil {
			return err
		}
		key := plainText(s.out[:len(s.out)-1])
		s.peek()
		from := s.pos
		if err := s.skip(); err != nil {
			return err
		}
		yield(key, s.src[from:s.pos])
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

// end is an error where more follows.
func (s *scanner) end() error {
	if s.peek(); s.pos < len(s.src) {
		return s.wrong("the end")
	}
	return nil
}

func (s *scanner) put() {
	s.src, s.out, s.open = nil, s.out[:0], s.open[:0]
	if cap(s.out) < 1<<20 { // what a page may have needed once
		scanners.Put(s)
	}
}
