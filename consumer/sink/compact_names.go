package sink

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// stagedDir is where what a compaction writes waits: no name of a cluster is like it (see element), so that loaders, who look for
// what is pending by cluster, group and topic, pass over it.
const stagedDir = pendingDir + "/_compactions"

// stagedName names something that a compaction writes, and since when: nobody else can tell when it has been given up.
func stagedName(table string, at time.Time, attempt string) string {
	return path.Join(stagedDir, element(table), fmt.Sprintf("%013d-%s", at.UnixMilli(), attempt))
}

var stagedPattern = regexp.MustCompile(`^([0-9]{13})-[0-9a-f]{16}$`)

// stagedAt is when the writing of a staged file began.
func stagedAt(name string) (at time.Time, ok bool) {
	m := stagedPattern.FindStringSubmatch(name)
	if m == nil {
		return at, false
	}
	millis, err := strconv.ParseInt(m[1], 10, 64)
	return time.UnixMilli(millis), err == nil
}

// compactedName is where readers find a file that replaces others.
func compactedName(table, day, attempt string) string {
	return path.Join(element(table), day, "compacted-"+attempt+".parquet")
}

// holdsRows tells the files of a table that have rows from those of its schemas.
func holdsRows(name string) bool {
	return strings.HasSuffix(name, ".parquet") && !strings.HasPrefix(name, "schema-")
}

var loadedPattern = regexp.MustCompile(`^[0-9]{12}-([0-9a-f]{16})\.parquet$`)

// loadedBy is the attempt whose load made a file; "" where a compaction has.
func loadedBy(name string) string {
	if m := loadedPattern.FindStringSubmatch(path.Base(name)); m != nil {
		return m[1]
	}
	return ""
}
