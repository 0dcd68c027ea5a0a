package inspect

import (
	"context"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
)

const (
	askTime   = 30 * time.Second
	askLength = 16 << 10 // of the SQL, in bytes
)

// Ask asks the warehouse a question as View.Query does, for half a minute at most, and returns up to most rows.
func (c Config) Ask(ctx context.Context, sql string, most int) (a *sink.Answer, err error) {
	if len(sql) > askLength {
		return nil, ops.Usagef("the question is longer than %d bytes", askLength)
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	err = c.View(ctx, func(v *sink.View) (err error) {
		a, err = v.Query(ctx, sql, most)
		return err
	})
	return a, err
}
