package sink

import "path/filepath"

// FaultyFiles opens a warehouse of files that calls fault before each step on the disk; an error fails the step.
func FaultyFiles(dir, dataset string, fault func(op, name string) error) Sink {
	return newFiles(disk{root: filepath.Join(dir, element(dataset)), fault: fault})
}
