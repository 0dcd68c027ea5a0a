package tiledesk

import (
	"encoding/json"
	"testing"
)

// restart gives the cursor that another process reads from the checkpoint.
func restart(t testing.TB, c Cursor) Cursor {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var out Cursor
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
