package inspect

import (
	"testing"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// TestVerifyCompacted has what is compacted proven, in each mode, and again after further loads.
func TestVerifyCompacted(t *testing.T) {
	t.Parallel()
	for _, mode := range []sink.Mode{sink.Upsert, sink.Append, sink.History} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "file://"+t.TempDir(), "tiledesk")
			w.modes = sink.Modes{"": mode}
			c := func() {
				t.Helper()
				to, err := sink.OpenCompactor(t.Context(), w.url, w.dataset)
				if err != nil {
					t.Fatal(err)
				}
				defer to.Close()
				for _, name := range []string{"leads", "tags"} {
					rs, err := schemas.ByName(name)
					if err != nil {
						t.Fatal(err)
					}
					table := TableOf(rs[0])
					table.Mode = mode
					done, err := to.Compact(t.Context(), table, sink.Compaction{Memory: 1 << 20})
					if err != nil {
						t.Fatal(err)
					}
					if done.Removed == 0 || len(done.Left) > 0 || (done.Superseded > 0) != (mode == sink.Upsert) {
						t.Errorf("%s: %+v", name, done)
					}
				}
			}
			w.fill()
			w.load()
			before := w.verify(1 << 20)
			w.wantProven(before)
			c()
			after := w.verify(1 << 20)
			w.wantProven(after)
			for i, p := range before.Partitions {
				if a := after.Partitions[i]; a.SumOfRows != p.SumOfRows || a.SumOfTopic != p.SumOfTopic {
					t.Errorf("checksums of %s[%d] were %s and are %s", p.Topic, p.Partition, p.SumOfRows, a.SumOfRows)
				}
			}
			w.fill() // the same documents at later offsets
			w.load()
			c()
			w.wantProven(w.verify(1 << 20))
		})
	}
}
