package schemas

import (
	"context"
	"sync/atomic"
)

// once makes a value once, whoever asks first; unlike sync.OnceValue it tries again after an error, and those who wait
// for another's attempt give up with their own context.
type once[T any] struct {
	value atomic.Pointer[T]
	turn  chan struct{} // holds the right to try
}

func newOnce[T any]() *once[T] { return &once[T]{turn: make(chan struct{}, 1)} }

func (o *once[T]) get(ctx context.Context, try func() (T, error)) (T, error) {
	var none T
	if v := o.value.Load(); v != nil {
		return *v, nil
	}
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	if v := o.value.Load(); v != nil {
		return *v, nil
	}
	v, err := try()
	if err != nil {
		return none, err
	}
	o.value.Store(&v)
	return v, nil
}
