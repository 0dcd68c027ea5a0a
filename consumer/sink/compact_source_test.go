package sink

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"testing"

	"tilestream/internal/e2e"
)

// TestRanged reads an object larger than what one request brings, in parts, at and across every border.
func TestRanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		open func(t *testing.T) store
	}{
		{"disk", func(t *testing.T) store { return disk{root: t.TempDir()} }},
		{"S3", func(t *testing.T) store {
			to, err := Open(t.Context(), e2e.Service(t, "TEST_S3_URL"), rand.Text())
			if err != nil {
				t.Fatal(err)
			}
			return to.(*files).store
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.open(t)
			defer s.Close()
			data := make([]byte, 2*partSize+12345)
			rand.Read(data)
			if _, err := s.create(t.Context(), "dir/object", func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
				t.Fatal(err)
			}
			defer s.remove(context.WithoutCancel(t.Context()), "dir/object")
			r, err := openRanged(t.Context(), s, "dir/object")
			if err != nil || r.size != int64(len(data)) {
				t.Fatalf("size %d, %v, want %d", r.size, err, len(data))
			}
			for _, part := range [][2]int{{0, 10}, {partSize - 5, 10}, {partSize, 1}, {2 * partSize, 12345}, {0, len(data)}, {len(data) - 8, 8}} {
				got := make([]byte, part[1])
				if n, err := r.ReadAt(got, int64(part[0])); n != part[1] || err != nil || !bytes.Equal(got, data[part[0]:part[0]+part[1]]) {
					t.Errorf("from %d, %d bytes: %d, %v", part[0], part[1], n, err)
				}
			}
			if n, err := r.ReadAt(make([]byte, 10), int64(len(data)-4)); n != 4 || err != io.EOF {
				t.Errorf("past the end: %d, %v", n, err)
			}
			if _, err := openRanged(t.Context(), s, "dir/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("an absent object: %v", err)
			}
		})
	}
}

// TestPlan says which files of a day become one.
func TestPlan(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	file := func(name string, size, dropped int64) *source {
		s := &source{name: name, day: "d", size: size * mib, rows: 100, dropped: make(bitmap, 2)}
		for i := range dropped {
			s.dropped.add(int32(i))
		}
		return s
	}
	for _, c := range []struct {
		name    string
		sources []*source
		want    string
	}{
		{"small ones", []*source{file("a", 1, 0), file("b", 2, 0), file("c", 3, 0)}, "abc"},
		{"one small one", []*source{file("a", 1, 20)}, ""},
		{"one of which too much is superseded", []*source{file("a", 500, 31)}, "a"},
		{"large ones stay", []*source{file("a", 64, 0), file("b", 1, 0), file("c", 1, 0)}, "bc"},
		{"up to the target", []*source{file("a", 60, 0), file("b", 60, 0), file("c", 60, 0), file("d", 60, 0)}, "ab cd"},
		{"little adds nothing to a large one", []*source{file("a", 40, 0), file("b", 9, 0)}, ""},
		{"a quarter does", []*source{file("a", 40, 0), file("b", 10, 0)}, "ab"},
		{"up to 8 MiB anything does", []*source{file("a", 8, 0), file("b", 0, 0)}, "ab"},
		{"what must stay", []*source{file("a", 1, 0), {name: "b", day: "d", stays: true}, file("c", 1, 0)}, "ac"},
	} {
		got := ""
		for i, g := range plan(c.sources, compactTarget) {
			if i > 0 {
				got += " "
			}
			for _, s := range g.sources {
				got += s.name
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
