package poll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tilestream/internal/broker"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
)

// TestDocumentTooLarge has documents that no message of Kafka can hold. The others are published, and each of these is a dead
// letter, once, with what Tiledesk sent.
func TestDocumentTooLarge(t *testing.T) {
	r := newRig(t)
	noise := make([]byte, broker.MaxMessageBytes*3/4)
	for i := range noise {
		noise[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[rand.IntN(64)]
	}
	texts := map[string]string{
		"huge":   strings.Repeat("all the same ", broker.MaxMessageBytes/10),
		"noise":  string(noise) + string(noise), // 6 of 8 bits: 9 MiB compressed
		"normal": "as ever",
	}
	for id, text := range texts {
		if err := r.tiledesk.Put("bots", fmt.Appendf(nil, `{"_id":%q,"id_project":%q,"name":%q}`, id, r.tiledesk.Project.ID, text)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second run finds nothing new
		err := r.once(t.Context(), "bots")
		if (r.published("bots")["normal"] == nil) || (err != nil && !errors.Is(err, ops.ErrDeadLetters)) {
			t.Fatalf("once: %v", err)
		}
	}
	letters, _, err := dlq.Read(context.Background(), r.kafka, "test.bots", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(letters) != 2 {
		t.Fatalf("%d letters, want 2", len(letters))
	}
	for _, l := range letters {
		if !l.Unpublished() || l.Group != "" || l.Topic != "test.bots" || !strings.Contains(l.Reason, "more than one message may hold") {
			t.Errorf("letter of %s: %+v", l.Key, l.Source)
		}
		doc, err := l.Original()
		if err != nil {
			t.Errorf("letter of %s: %v", l.Key, err)
		}
		switch string(l.Key) {
		case "huge":
			if !bytes.Contains(doc, []byte(texts["huge"])) {
				t.Errorf("the letter of huge holds %d bytes", len(doc))
			}
		case "noise":
			if l.Value != nil || !strings.Contains(l.Reason, "too many for this letter too") {
				t.Errorf("the letter of noise has %d bytes, for %q", len(l.Value), l.Reason)
			}
		default:
			t.Errorf("a letter of %s", l.Key)
		}
	}
}
