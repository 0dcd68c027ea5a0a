package schemas

import (
	"strings"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// jsonType holds JSON text of any shape: the canonical arrow.json extension type over strings.
var jsonType = func() arrow.DataType {
	t, err := extensions.NewJSONType(arrow.BinaryTypes.String)
	if err != nil {
		panic(err) // a start-up table: strings are a storage type that arrow.json allows
	}
	return t
}()

// ColumnName returns the snake_case column of an Avro field: createdAt is created_at, hasBot has_bot, webhookURL
// webhook_url. Underscores stay as they are: _id, __v.
func ColumnName(field string) string {
	rs := []rune(field)
	var b strings.Builder
	for i, r := range rs {
		if unicode.IsUpper(r) && i > 0 && rs[i-1] != '_' {
			startsWord := !unicode.IsUpper(rs[i-1])
			endsAcronym := i+1 < len(rs) && unicode.IsLower(rs[i+1])
			if startsWord || endsAcronym {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
