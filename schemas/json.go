package schemas

import (
	"encoding/json"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// JSON returns a body as one JSON object with a member for each column, for people. Errors are those of Append.
func (d *Decoder) JSON(body []byte) (json.RawMessage, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
	defer b.Release()
	if err := d.Append(b, body); err != nil {
		return nil, err
	}
	rows := b.NewRecordBatch()
	defer rows.Release()
	text, err := rows.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var one []json.RawMessage
	if err := json.Unmarshal(text, &one); err != nil || len(one) != 1 {
		return nil, fmt.Errorf("a row became %d values: %w", len(one), err)
	}
	return one[0], nil
}
