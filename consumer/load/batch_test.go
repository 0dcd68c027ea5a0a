package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/consumer/sink"
)

// script feeds batches with lines such as "p0 s1 100" (partition, schema, bytes), "p0 marker", "lose p0".
func script(t *testing.T, l limits, lines ...string) *batches {
	t.Helper()
	bs := &batches{limits: l}
	parts := map[int]*partition{}
	offset := int64(0)
	for _, line := range lines {
		var id, schema, size int
		if _, err := fmt.Sscanf(line, "lose p%d", &id); err == nil {
			bs.drop(func(p *part) bool { return p.partition == parts[id] })
			continue
		}
		marker, _ := fmt.Sscanf(line, "p%d s%d %d", &id, &schema, &size)
		if parts[id] == nil {
			parts[id] = &partition{Partition: sink.Partition{ID: int32(id)}}
		}
		if marker == 3 {
			bs.add(parts[id], schema, row{offset: offset, value: make([]byte, size)}, time.Time{})
		} else {
			bs.skip(parts[id], offset+1, time.Time{})
		}
		offset++
	}
	return bs
}

func show(b *batch) string {
	if b == nil {
		return "none"
	}
	s := fmt.Sprintf("schema %d, %d rows, %d bytes:", b.schema, b.rows, b.bytes)
	for _, p := range b.parts {
		s += fmt.Sprintf(" p%d=%d to %d", p.ID, len(p.rows), p.to)
	}
	return s
}

func TestBatchRules(t *testing.T) {
	wide := limits{rows: 100, bytes: 1000, age: time.Hour}
	for name, c := range map[string]struct {
		limits limits
		lines  []string
		closed []string
		open   string
	}{
		"rows":           {limits{2, 1000, time.Hour}, []string{"p0 s1 10", "p1 s1 10", "p0 s1 10"}, []string{"schema 1, 2 rows, 20 bytes: p0=1 to 1 p1=1 to 2"}, "schema 1, 1 rows, 10 bytes: p0=1 to 3"},
		"bytes":          {wide, []string{"p0 s1 600", "p0 s1 400"}, []string{"schema 1, 2 rows, 1000 bytes: p0=2 to 2"}, "none"},
		"large record":   {wide, []string{"p0 s1 5000"}, []string{"schema 1, 1 rows, 5000 bytes: p0=1 to 1"}, "none"},
		"schema":         {wide, []string{"p0 s1 1", "p1 s2 1", "p1 s1 1"}, []string{"schema 1, 1 rows, 1 bytes: p0=1 to 1", "schema 2, 1 rows, 1 bytes: p1=1 to 2"}, "schema 1, 1 rows, 1 bytes: p1=1 to 3"},
		"no schema":      {wide, []string{"p0 s-1 0", "p0 s7 1", "p0 s-1 0"}, nil, "schema 7, 3 rows, 1 bytes: p0=3 to 3"},
		"markers":        {wide, []string{"p0 s1 1", "p0 marker", "p1 marker"}, nil, "schema 1, 1 rows, 1 bytes: p0=1 to 2 p1=0 to 3"},
		"only markers":   {wide, []string{"p0 marker"}, nil, "schema -1, 0 rows, 0 bytes: p0=0 to 1"},
		"lost partition": {limits{2, 1000, time.Hour}, []string{"p0 s1 1", "p0 s1 1", "p0 s1 1", "p1 s1 2", "p1 s1 3", "lose p0"}, []string{"schema 1, 1 rows, 2 bytes: p1=1 to 4"}, "schema 1, 1 rows, 3 bytes: p1=1 to 5"},
		"all lost":       {wide, []string{"p0 s1 1", "lose p0"}, nil, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			bs := script(t, c.limits, c.lines...)
			var closed []string
			for _, b := range bs.closed {
				closed = append(closed, show(b))
			}
			if diff := cmp.Diff(c.closed, closed); diff != "" {
				t.Errorf("closed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.open, show(bs.open)); diff != "" {
				t.Errorf("open (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTakeByAge(t *testing.T) {
	bs := script(t, limits{2, 1000, time.Second}, "p0 s1 1", "p0 s1 1", "p0 s1 1")
	opened := time.Time{}
	for _, step := range []struct {
		name  string
		at    time.Duration
		early bool
		want  string
		wait  time.Duration
	}{
		{"closed ones first", 0, false, "schema 1, 2 rows, 2 bytes: p0=2 to 2", 0},
		{"too young", 300 * time.Millisecond, false, "none", 700 * time.Millisecond},
		{"old enough", time.Second, false, "schema 1, 1 rows, 1 bytes: p0=1 to 3", 0},
		{"nothing", time.Minute, true, "none", 0},
	} {
		b, wait := bs.take(opened.Add(step.at), step.early)
		if show(b) != step.want || wait != step.wait {
			t.Errorf("%s: got %s, wait %s, want %s, wait %s", step.name, show(b), wait, step.want, step.wait)
		}
	}
	bs = script(t, limits{2, 1000, time.Hour}, "p0 s1 1")
	if b, _ := bs.take(opened, true); b == nil {
		t.Error("an open batch that is wanted early has to be given")
	}
}
