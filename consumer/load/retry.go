package load

import (
	"context"
	"fmt"

	"tilestream/internal/ops"
)

// retry calls try until it succeeds, its error is final, or ctx ends; where Run is to end by itself, for half a minute at most.
func (l *loader) retry(ctx context.Context, doing string, try func() error) error {
	return l.retryUnless(ctx, final, doing, try)
}

func (l *loader) retryUnless(ctx context.Context, final func(error) bool, doing string, try func() error) error {
	err := ops.Retry{Log: l.log, Once: l.cfg.Until != nil, Final: final}.Do(ctx, doing, try)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return err
}
