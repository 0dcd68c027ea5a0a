package schemas

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

// Standing is how the schema of a resource compares with what the registry has of it.
type Standing struct {
	Version, ID int    // the newest one's; 0: there is none
	Level       string // the subject's compatibility, such as BACKWARD_TRANSITIVE; "" where the registry does not say
	Found       []string
	Missing     []string
	Refused     string // why the registry would not take what is missing; "" where it would
}

// Standing asks the registry about a resource, and registers nothing. Found are the fields that were discovered in documents, Missing
// what the next producer of this version registers, in words.
func (c *Codec) Standing(ctx context.Context, r Resource) (Standing, error) {
	s := &subject{Resource: r, name: r.Subject(c.prefix), reg: c.reg, own: c.subjects[r.Name].own}
	if err := s.read(ctx); err != nil {
		return Standing{}, err
	}
	out := Standing{Version: s.seen, ID: s.id}
	if s.seen == 0 {
		return out, nil
	}
	if level := c.reg.Compatibility(ctx, s.name)[0]; level.Err == nil {
		out.Level = level.Level.String()
	}
	for _, f := range s.newest.Fields {
		if s.own.index(f.Name) < 0 {
			out.Found = append(out.Found, f.Name)
		}
	}
	want := s.wanted(nil)
	out.Missing = want.changes(s.newest)
	if len(out.Missing) == 0 {
		return out, nil
	}
	fits, err := c.reg.CheckCompatibility(ctx, s.name, -1, sr.Schema{Schema: want.text(), Type: sr.TypeAvro})
	if err != nil {
		return out, fmt.Errorf("ask whether %s may change: %w", s.name, explain(err))
	}
	if !fits.Is {
		out.Refused = strings.Join(append([]string{"it is not compatible"}, fits.Messages...), "; ")
	}
	return out, nil
}

// String says it in a line.
func (s Standing) String() string {
	if s.Version == 0 {
		return "not there yet: the producer registers it with the first record"
	}
	text := fmt.Sprintf("version %d, id %d", s.Version, s.ID)
	if s.Level != "" {
		text += ", " + s.Level
	}
	if len(s.Found) > 0 {
		text += fmt.Sprintf("; %d fields found in documents: %s", len(s.Found), strings.Join(s.Found, ", "))
	}
	if len(s.Missing) > 0 {
		text += "; the producer will register " + strings.Join(s.Missing, ", ")
	}
	return text
}
