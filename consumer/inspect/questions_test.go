package inspect

import (
	"fmt"
	"testing"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// TestQuestions asks every warehouse every question, with the report views and without.
func TestQuestions(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *world) {
		for _, reports := range []sink.Switch{true, false} {
			t.Run(fmt.Sprint("reports ", reports), func(t *testing.T) {
				t.Parallel()
				w := open(t)
				w.reports = reports
				w.produce(w.document("requests", 1, 1), w.document("messages", 1, 1), w.document("bots", 1, 1))
				w.load()
				c := Settings{Kafka: w.kafka, Warehouse: w.config()}.Config(schemas.Resources)
				for _, q := range c.Questions() {
					if _, err := c.Ask(t.Context(), q.SQL, 10); err != nil {
						t.Errorf("%s: %v", q.Name, err)
					}
				}
			})
		}
	})
}
