package schemas

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/sr"
)

// A subject is the schema of a resource's values as it stands in the registry, and as it grows.
type subject struct {
	Resource
	name  string
	reg   *sr.Client
	rules Rules
	told  func(Change)
	own   record // the .avsc
	now   atomic.Pointer[revision]
	turn  chan struct{} // holds the right to change what follows

	seen    int             // newest version that was read; 0: none
	known   record          // all versions up to there
	newest  record          // that version; no fields where it is not of our making
	id      int             // of that version
	refused map[string]bool // by name and type: what the registry does not take
}

// A revision is a schema that documents are written with.
type revision struct {
	*writer
	header  []byte
	added   int  // fields that the .avsc lacks
	refuses bool // every document: the table is not there, and must not be made
}

// Change tells what became of a resource's schema.
type Change struct {
	Resource string
	SchemaID int
	What     []string // in words
	Err      error    // the registry does not take it: the values are kept in _extra
}

// revision returns what documents are written with now. The schema is registered when it is asked for the first time.
func (s *subject) revision(ctx context.Context) (*revision, error) {
	if now := s.now.Load(); now != nil {
		return now, nil
	}
	err := s.grow(ctx, nil, nil)
	return s.now.Load(), err
}

// grow brings changes into the schema, unless there is another revision by now: then the document is to be looked at again.
func (s *subject) grow(ctx context.Context, from *revision, changes []field) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.now.Load() != from {
		return nil
	}
	was := s.known
	if err := s.read(ctx); err != nil {
		return err
	}
	if s.seen == 0 {
		switch s.rules.Tables {
		case Freeze:
			return &FrozenError{s.Name, "the registry has no schema of it yet"}
		case DiscardRow, DiscardValue:
			return s.use(s.own, []byte{}, true)
		}
	}
	if from == nil {
		was = s.known
	}
	want := s.wanted(changes)
	id, err := s.settle(ctx, &want)
	var re *sr.ResponseError
	if len(changes) > 0 && errors.As(err, &re) && (re.StatusCode == http.StatusConflict || re.StatusCode == http.StatusUnprocessableEntity) {
		for _, f := range changes {
			s.refused[f.Name+string(f.Type)] = true
		}
		s.tell(Change{Resource: s.Name, What: want.changes(s.known), Err: err})
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.use(want, binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), false); err != nil {
		return err
	}
	if what := want.changes(was); len(what) > 0 && len(was.Fields) > 0 {
		s.tell(Change{Resource: s.Name, SchemaID: id, What: what})
	}
	return nil
}

func (s *subject) tell(c Change) {
	if s.told != nil {
		s.told(c)
	}
}

// use makes a record the one that documents are written with.
func (s *subject) use(r record, header []byte, refuses bool) error {
	w, err := newWriter(r)
	if err != nil {
		return fmt.Errorf("schema %s: %w", s.name, err)
	}
	s.now.Store(&revision{writer: w, header: header, added: len(r.Fields) - len(s.own.Fields), refuses: refuses})
	return nil
}

// wanted is everything that any version has, our own .avsc, and the changes.
func (s *subject) wanted(changes []field) record {
	want := s.own
	if len(s.known.Fields) > 0 {
		want = s.known.with(s.own)
		want.describe(s.own)
	}
	return want.with(record{Fields: changes})
}

// settle has the registry's newest version be the one that is wanted, which grows by what others have registered meanwhile. So no
// version lacks for long what an earlier one has, whoever came between.
func (s *subject) settle(ctx context.Context, want *record) (id int, err error) {
	for range 20 {
		text := want.text()
		if text == s.newest.text() {
			return s.id, nil
		}
		if text == s.own.text() {
			text = s.Avro() // with its line breaks, for people
		}
		first := s.seen == 0
		id, err := s.reg.RegisterSchema(ctx, s.name, sr.Schema{Schema: text, Type: sr.TypeAvro}, -1, -1)
		if err == nil && (id < 0 || id > math.MaxUint32) {
			return 0, fmt.Errorf("register schema %s: the registry gave it the id %d, and a frame has room for 0 to %d", s.name, id, uint32(math.MaxUint32))
		}
		if err == nil && first {
			// Whoever reads with the newest schema reads every record. Where we may not say so, the registry's own rule holds.
			s.reg.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatBackwardTransitive}, s.name)
		}
		seen := s.seen
		if err2 := s.read(ctx); err2 != nil {
			return 0, err2
		}
		if s.seen == seen && err != nil { // nobody came between: it was refused
			return 0, fmt.Errorf("register schema %s: %w", s.name, explain(err))
		} else if s.seen == seen { // it is an earlier version
			if len(want.changes(s.newest)) == 0 {
				return id, nil
			}
			want.Revision = s.seen + 1 // the newest one lacks what two others have brought side by side
			continue
		}
		again := s.known.with(*want)
		again.Revision = want.Revision
		again.describe(s.own)
		*want = again
	}
	return 0, fmt.Errorf("register schema %s: others register new versions faster than this producer can follow", s.name)
}

// read takes up the versions that the registry has got since.
func (s *subject) read(ctx context.Context) error {
	versions, err := s.reg.SubjectVersions(ctx, s.name)
	var re *sr.ResponseError
	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read schema %s: %w", s.name, explain(err))
	}
	slices.Sort(versions)
	for _, v := range versions {
		if v <= s.seen {
			continue
		}
		got, err := s.reg.SchemaByVersion(ctx, s.name, v)
		if err != nil {
			return fmt.Errorf("read schema %s: %w", s.name, explain(err))
		}
		s.seen, s.id, s.newest = v, got.ID, record{}
		r, err := parseRecord(got.Schema.Schema)
		if err != nil {
			continue // not of our making: the registry says whether ours fits it
		}
		s.newest = r
		if len(s.known.Fields) == 0 {
			s.known = r
		} else {
			s.known = s.known.with(r)
		}
	}
	return nil
}
