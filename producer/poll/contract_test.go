package poll

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/producer/tiledesk"
	"tilestream/schemas"
)

// TestContract has a document that its schema has no place for. What is discarded is a dead letter, once; a resource that is
// frozen stops with an error, and goes on from there once it may.
func TestContract(t *testing.T) {
	for _, tt := range []struct {
		set       string
		published int    // of two documents
		letter    string // what it holds; "" for none
		fails     string
	}{
		{"evolve", 2, "", ""},
		{"discard_value,tables=evolve", 2, `{"mood":"fine"}`, ""},
		{"bots.columns=discard_row", 1, `"mood":"fine"`, ""},
		{"freeze,tables=evolve", 0, "", `the schema of bots is frozen by SCHEMA_CONTRACT: it knows no key "mood"`},
	} {
		t.Run(tt.set, func(t *testing.T) {
			r := newRig(t)
			cfg := Config{Resources: []string{"bots"}, Once: true, NewFields: 10}
			if err := cfg.Contracts.UnmarshalText([]byte(tt.set)); err != nil {
				t.Fatal(err)
			}
			for _, doc := range []string{`{"_id":"plain","id_project":%q,"name":"a"}`, `{"_id":"moody","id_project":%q,"name":"b","mood":"fine"}`} {
				if err := r.tiledesk.Put("bots", fmt.Appendf(nil, doc, r.tiledesk.Project.ID)); err != nil {
					t.Fatal(err)
				}
			}
			run := func() error {
				return Run(t.Context(), cfg, r.kafka, []*tiledesk.Client{r.client(r.tiledesk.Project)}, Events{})
			}
			for range 2 { // the second run finds nothing new, or the same error
				err := run()
				if tt.fails == "" && err != nil && !errors.Is(err, ops.ErrDeadLetters) || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
					t.Fatalf("once: %v, want %q", err, tt.fails)
				}
			}
			published := func() int {
				all := r.published("bots")
				return len(all["plain"]) + len(all["moody"]) // there are others
			}
			if got := published(); got != tt.published {
				t.Errorf("%d records, want %d", got, tt.published)
			}
			letters, _, err := dlq.Read(context.Background(), r.kafka, "test.bots", nil)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case tt.letter == "" && len(letters) > 0, tt.letter != "" && len(letters) != 1:
				t.Errorf("%d letters", len(letters))
			case tt.letter != "" && (!strings.Contains(string(letters[0].Value), tt.letter) || !strings.Contains(letters[0].Reason, "SCHEMA_CONTRACT") || string(letters[0].Key) != "moody"):
				t.Errorf("the letter of %s holds %s, for %q", letters[0].Key, letters[0].Value, letters[0].Reason)
			}
			if tt.fails != "" {
				cfg.Contracts = schemas.Contracts{}
				if err := run(); err != nil || published() != 2 {
					t.Errorf("let go on: %v, %d records", err, published())
				}
			}
		})
	}
}
