package load

import (
	"context"
	"sync"
)

// budget is the byte budget over all tables. Raw records count from the poll until they are written; Arrow rows count
// from just before they are built until the write is over.
type budget struct {
	limit int64
	shown bool // as metrics

	mu      sync.Mutex
	records int64         // raw
	rows    int64         // Arrow
	peak    int64         // of both
	freed   chan struct{} // closed and replaced when something is freed
}

func newBudget(limit int64) *budget { return &budget{limit: limit, freed: make(chan struct{})} }

// hold counts raw records. It never waits: they are in memory already. A negative n frees.
func (b *budget) hold(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records += n
	b.changed(n)
}

func (b *budget) changed(n int64) {
	if b.shown {
		heldRecords.Set(float64(b.records))
		heldRows.Set(float64(b.rows))
	}
	b.peak = max(b.peak, b.records+b.rows)
	if n < 0 {
		close(b.freed)
		b.freed = make(chan struct{})
	}
}

// full tells that raw records have used up their share, so that fetching has to wait.
func (b *budget) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.records >= b.limit/recordShare
}

// room waits until raw records are within their share.
func (b *budget) room(ctx context.Context) {
	b.wait(ctx, func() bool { return b.records < b.limit/recordShare })
}

// reserve waits until n bytes of Arrow rows fit. One table may always go on, however large its batch: what it
// frees is what the others wait for. It returns false if ctx ended first.
func (b *budget) reserve(ctx context.Context, n int64) bool {
	return b.wait(ctx, func() bool {
		if b.rows > 0 && b.records+b.rows+n > b.limit {
			return false
		}
		b.rows += n
		b.changed(n)
		return true
	})
}

// correct counts n bytes of Arrow rows more, or less where n is negative.
func (b *budget) correct(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows += n
	b.changed(n)
}

func (b *budget) wait(ctx context.Context, ready func() bool) bool {
	for {
		b.mu.Lock()
		if ready() {
			b.mu.Unlock()
			return true
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		}
	}
}
