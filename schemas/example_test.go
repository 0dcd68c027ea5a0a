package schemas_test

import (
	"context"
	"fmt"
	"log"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"tilestream/schemas"
)

// A document becomes a frame, which is a Kafka record's value; the frame becomes a row.
func ExampleCodec() {
	registry := srfake.New()
	defer registry.Close()
	client, err := sr.NewClient(sr.URLs(registry.URL()))
	if err != nil {
		log.Fatal(err)
	}
	codec := schemas.NewCodec(client, "tiledesk")
	ctx := context.Background()

	// The producer's side.
	requests, err := schemas.ByName("requests")
	if err != nil {
		log.Fatal(err)
	}
	doc := `{"_id":"6b03078a", "status":1000, "lead":{"email":"ada@example.com"}, "closed_at":"2026-11-22T15:17:30.904Z", "mood":"good"}`
	frame, _, err := codec.Encode(ctx, requests[0], []byte(doc))
	if err != nil {
		log.Fatal(err)
	}

	// The consumer's side.
	id, body, err := schemas.SplitFrame(frame)
	if err != nil {
		log.Fatal(err)
	}
	decoder, err := codec.Decoder(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	rows := array.NewRecordBuilder(memory.DefaultAllocator, decoder.Schema())
	defer rows.Release()
	if err := decoder.Append(rows, body); err != nil {
		log.Fatal(err)
	}
	batch := rows.NewRecordBatch()
	defer batch.Release()
	for i, column := range batch.Columns() {
		if column.IsValid(0) {
			fmt.Printf("%s: %s\n", batch.ColumnName(i), column.ValueStr(0))
		}
	}
	// Output:
	// _id: 6b03078a
	// status: 1000
	// closed_at: 2026-11-22T15:17:30.904Z
	// lead: {"email":"ada@example.com"}
	// lead_email: ada@example.com
	// _extra: {"mood":"good"}
}
