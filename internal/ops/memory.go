package ops

import (
	"math"
	"runtime/debug"
)

// unaccounted is what the heap may hold beside what a program counts: fetches that are being unpacked, what is built of them, and
// garbage.
const unaccounted = 128 << 20

// LimitMemory has the collector keep the heap near what the program counts, in bytes: by itself it lets garbage grow to the size of what
// is alive. It is for a process that does one thing. GOMEMLIMIT, where it is set, stays.
func LimitMemory(counted int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(counted + unaccounted)
	}
}
