package load

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

// Somebody else writes to a topic, with schemas that no table of ours can have.
func TestForeignSchemas(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fields, says string }{
		"a system column":          {`{"name":"_id","type":"string"},{"name":"_Kafka_Offset","type":"long"}`, "would be a column that Tilestream fills itself"},
		"a system column by case":  {`{"name":"_id","type":"string"},{"name":"deletedAt","type":"long"},{"name":"_deletedAt","type":"long"}`, "_deleted_at would be a column"},
		"no key":                   {`{"name":"id","type":"string"}`, "no text field _id"},
		"a key that is not a text": {`{"name":"_id","type":"long"}`, "no text field _id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, "tags")
			reg, err := w.kafka.NewRegistry()
			if err != nil {
				t.Fatal(err)
			}
			id, err := reg.RegisterSchema(t.Context(), "somebody-else", sr.Schema{Schema: `{"type":"record","name":"theirs","fields":[` + c.fields + `]}`}, -1, -1)
			if err != nil {
				t.Fatal(err)
			}
			bad := w.record("tags", 0, "bad", 10)
			binary.BigEndian.PutUint32(bad.Value[1:], uint32(id))
			w.produce(w.records("tags", 0, 2, 10)...)
			w.produce(bad)
			w.produce(w.records("tags", 0, 2, 10)...)
			w.drain(w.config())
			w.checkDead(isBad, "tags")
			if got := w.letters("tags")[0].Reason; !strings.Contains(got, c.says) {
				t.Errorf("reason is %q, want one that says %q", got, c.says)
			}
		})
	}
}
