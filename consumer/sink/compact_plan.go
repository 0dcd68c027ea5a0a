package sink

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

const (
	// compactTarget is the size of a file that readers like: DuckDB, Spark, Athena and BigQuery all advise 100 MB to 1 GB. One of half
	// of it stays as it is.
	compactTarget = 128 << 20
	// compactFloor is the size up to which a file is written again for anything at all.
	compactFloor = 8 << 20
	// A file of which more than a part is superfluous is written again, whatever its size.
	superfluous = 0.3
)

// group is files of a day that become one.
type group struct {
	day     string
	sources []*source
	columns columnSet
	bytes   int64 // of the result, about
	rows    int64 // of the result
}

// plan says which files become one: in each day the small ones, and those of which too much is superfluous.
func plan(sources []*source, target int64) (groups []*group) {
	days := map[string][]*source{}
	for _, s := range sources {
		if !s.stays && s.foreign == nil && (s.size < target/2 || s.worn()) {
			days[s.day] = append(days[s.day], s)
		}
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		var open []*group
		for _, s := range days[day] {
			rows, bytes := s.wanted()
			at := slices.IndexFunc(open, func(g *group) bool { return g.bytes+bytes <= target && g.columns.takes(s.fields) })
			if at < 0 {
				at, open = len(open), append(open, &group{day: day, columns: columnSet{}})
			}
			g := open[at]
			g.sources, g.rows, g.bytes = append(g.sources, s), g.rows+rows, g.bytes+bytes
			g.columns.add(s.fields)
		}
		for _, g := range open {
			if g = g.worthwhile(); g != nil {
				groups = append(groups, g)
			}
		}
	}
	return groups
}

// worn tells that too much of the file is superfluous.
func (s *source) worn() bool { return float64(s.dropped.count()) > superfluous*float64(s.rows) }

// worthwhile is the group without a large file to which the others add little: else it would be written again for each few rows that
// come. Nil: there is nothing left to do.
func (g *group) worthwhile() *group {
	largest := slices.MaxFunc(g.sources, func(a, b *source) int { return cmp.Compare(a.size, b.size) })
	if _, bytes := largest.wanted(); !largest.worn() && largest.size > compactFloor && (g.bytes-bytes)*4 < bytes {
		rest := &group{day: g.day, columns: columnSet{}}
		for _, s := range g.sources {
			if s != largest {
				rows, bytes := s.wanted()
				rest.sources, rest.rows, rest.bytes = append(rest.sources, s), rest.rows+rows, rest.bytes+bytes
				rest.columns.add(s.fields)
			}
		}
		if len(rest.sources) == 0 {
			return nil
		}
		return rest.worthwhile()
	}
	if len(g.sources) == 1 && !largest.worn() {
		return nil
	}
	return g
}

// columnSet is the columns of files that go together: of one name all have one type. Names that differ only by case are apart, since
// DuckDB takes them for one when they are in two files, and for two when they are in one.
type columnSet map[string]arrow.Field

func (c columnSet) takes(fields []arrow.Field) bool {
	for _, f := range fields {
		if has, ok := c[strings.ToLower(f.Name)]; ok && (has.Name != f.Name || !arrow.TypeEqual(has.Type, f.Type)) {
			return false
		}
	}
	return true
}

func (c columnSet) add(fields []arrow.Field) {
	for _, f := range fields {
		c[strings.ToLower(f.Name)] = f
	}
}

// schema is all columns of the group, in the order in which files have them first, the newest file before the others.
func (g *group) schema() *arrow.Schema {
	var fields []arrow.Field
	seen := map[string]bool{}
	for _, s := range slices.Backward(g.sources) {
		for _, f := range s.fields {
			if !seen[f.Name] {
				seen[f.Name] = true
				fields = append(fields, f)
			}
		}
	}
	return arrow.NewSchema(fields, nil)
}

// mode is the one that any of the files says that the table is written in.
func (g *group) mode() Mode {
	for _, s := range g.sources {
		if s.mode != Upsert {
			return s.mode
		}
	}
	return Upsert
}
