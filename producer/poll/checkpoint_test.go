package poll

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tilestream/producer/tiledesk"
)

// A checkpoint of format 1, as it was first written. Whoever changes it raises checkpointVersion, and reads this one too.
const goldenCheckpoint = `{"v":1,"cursor":{"since":"2026-11-22T17:14:48Z","seen":{"a":1},"walk":{"skip":3,"top":"2026-11-22T17:14:49Z","floor":"2026-11-22T17:14:47Z","after":"b"},"missing":{"a":2}}}`

func TestCheckpointFormat(t *testing.T) {
	want := tiledesk.Cursor{
		Since: time.Date(2026, 11, 22, 17, 14, 48, 0, time.UTC), Seen: map[string]int64{"a": 1}, Missing: map[string]int{"a": 2},
		Walk: &tiledesk.Walk{Skip: 3, Top: time.Date(2026, 11, 22, 17, 14, 49, 0, time.UTC), Floor: time.Date(2026, 11, 22, 17, 14, 47, 0, time.UTC), After: "b"},
	}
	text, err := encodeCursor(want)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(goldenCheckpoint, string(text)); d != "" {
		t.Errorf("written (-want +got):\n%s", d)
	}
	got := map[string]tiledesk.Cursor{}
	if err := (&lane{partitions: 1}).recall(got, "project/messages", []byte(goldenCheckpoint)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got["project/messages"]); d != "" {
		t.Errorf("read (-want +got):\n%s", d)
	}
}
