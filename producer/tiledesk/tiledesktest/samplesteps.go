package tiledesktest

import (
	"cmp"
	"container/heap"
)

// step is something that will happen in a conversation.
type step struct {
	at           int64
	talk, serial int
	do           func(at int64)
}

// steps is a heap, soonest first; what falls together goes in the order of the conversations.
type steps []step

func (h steps) Len() int { return len(h) }
func (h steps) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.talk, b.talk), cmp.Compare(a.serial, b.serial)) < 0
}
func (h steps) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *steps) Push(x any)   { *h = append(*h, x.(step)) }
func (h *steps) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
func (h *steps) pop() step { return heap.Pop(h).(step) }
