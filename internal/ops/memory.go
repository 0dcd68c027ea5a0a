package ops

import (
	"math"
	"os"
	"runtime/debug"
)

// unaccounted is what the heap may hold beside what a program counts: fetches that are being unpacked, what is built of them, and
// garbage.
const unaccounted = 128 << 20

// garbage is how many percent of what is alive may be garbage. By itself the collector lets it be 100; a fifth less memory costs a
// load some two percent of its CPU.
const garbage = 70

// LimitMemory has the collector keep the heap small, and near what the program counts, in bytes. It is for a process that does one thing.
// GOMEMLIMIT and GOGC, where they are set, stay.
func LimitMemory(counted int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(counted + unaccounted)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}
