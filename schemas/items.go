package schemas

import "sync"

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// Items returns the values of a JSON array, as they are written: parts of src. It checks all of src.
func Items(src []byte) (items [][]byte, err error) {
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
		if err := s.skip(); err != nil {
			return nil, err
		}
		items = append(items, src[from:s.pos])
		s.out = s.out[:0] // of no use here
		switch s.peek() {
		case ',':
			s.take()
		case ']':
			s.take()
			if err := s.end(); err != nil {
				return nil, err
			}
			return items, nil
		default:
			return nil, s.wrong("a comma or the end of an array")
		}
	}
}

// Members calls yield for each member of a JSON object, in order: its key as text, and its value as it is written. They are parts of src, or
// hold until the next call. It checks all of src; where it returns an error, members before it have been yielded.
func Members(src []byte, yield func(key, value []byte)) error {
	s := scanners.Get().(*scanner)
	defer s.put()
	s.src, s.pos = src, 0
	if s.peek() != '{' {
		return s.wrong("an object")
	}
	s.take()
	if s.peek() == '}' {
		s.take()
		return s.end()
	}
	for {
		s.out = s.out[:0]
		if err := s.key(); err != nil {
			return err
		}
		key := plainText(s.out[:len(s.out)-1])
		s.peek()
		from := s.pos
		if err := s.skip(); err != nil {
			return err
		}
		yield(key, src[from:s.pos])
		switch s.peek() {
		case ',':
			s.take()
		case '}':
			s.take()
			return s.end()
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
