package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/sr"
)

// Version is a schema of a topic.
type Version struct {
	Version, ID int
	Schema      string
	Added, Gone []string // fields, against the version before
}

// Versions are those of a subject, the newest first; none where it has none.
func (c Config) Versions(ctx context.Context, subject string) ([]Version, error) {
	registry, err := c.Kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	all, err := registry.Schemas(ctx, subject)
	if errors.Is(err, sr.ErrSubjectNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the registry for the schemas of %s: %w", subject, err)
	}
	slices.SortFunc(all, func(a, b sr.SubjectSchema) int { return a.Version - b.Version })
	var out []Version
	var before []string
	for i, s := range all {
		var b bytes.Buffer
		if json.Indent(&b, []byte(s.Schema.Schema), "", "  ") != nil {
			b.WriteString(s.Schema.Schema)
		}
		v := Version{Version: s.Version, ID: s.ID, Schema: b.String()}
		now := fieldsOf(s.Schema.Schema)
		if i > 0 {
			v.Added, v.Gone = without(now, before), without(before, now)
		}
		before = now
		out = append(out, v)
	}
	slices.Reverse(out)
	return out, nil
}

// fieldsOf lists the fields of a record's schema with their types.
func fieldsOf(schema string) []string {
	var record struct {
		Fields []struct {
			Name string
			Type json.RawMessage
		}
	}
	if json.Unmarshal([]byte(schema), &record) != nil {
		return nil
	}
	var out []string
	for _, f := range record.Fields {
		out = append(out, f.Name+" "+string(f.Type))
	}
	return out
}

func without(all, those []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(those, s) })
}
