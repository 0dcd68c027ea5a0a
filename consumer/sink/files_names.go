package sink

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Names below the dataset's directory, always with slashes: on an object store they are keys. What starts with an
// underscore is not data: Spark, Athena and Hive skip it, and no table's name can take it (see element).
const (
	loadsDir   = loadsTable            // the log: one JSON object per load, the newest of which is the ledger
	pendingDir = "_tilestream_pending" // what is written and not yet committed
)

// noDate is the name that Hive gives to the partition of rows whose partition column is null.
const noDate = "__HIVE_DEFAULT_PARTITION__"

// element turns any name into one element of a path, and different names into different elements: bytes other than
// letters, digits, "-", "." and "_" become %XX, and so does a leading "." or "_". A long name is cut and gets its hash.
func element(name string) string {
	if name == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' ||
			i > 0 && (c == '.' || c == '_')
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	// File systems take 255 bytes. An S3 key takes 1,024, and holds three names and a file's.
	const longest = 200
	if b.Len() <= longest {
		return b.String()
	}
	sum := sha256.Sum256([]byte(name))
	return b.String()[:longest-33] + "~" + hex.EncodeToString(sum[:16])
}

// logKey names a log: the partitions of a topic that one group loads share it.
type logKey struct{ cluster, group, topic string }

func (p Partition) log() logKey { return logKey{p.Cluster, p.Group, p.Topic} }

func (k logKey) dir() string {
	return path.Join(element(k.cluster), element(k.group), element(k.topic))
}

// perDir is how many commits share a directory, so that the newest is found without listing them all.
const perDir = 1000

func (k logKey) commitName(seq int64) string { return numbered(path.Join(loadsDir, k.dir()), seq) }

// numbered is the name of an object of a log.
func numbered(dir string, seq int64) string {
	return path.Join(dir, fmt.Sprintf("%09d", seq/perDir), fmt.Sprintf("%012d.json", seq))
}

var (
	commitDir  = regexp.MustCompile(`^[0-9]{9}$`)
	commitFile = regexp.MustCompile(`^([0-9]{12})\.json$`)
)

// dataName is where readers find a committed file.
func dataName(table, date string, seq int64, attempt string) string {
	return path.Join(element(table), "extracted_date="+date, fmt.Sprintf("%012d-%s.parquet", seq, attempt))
}

func schemaName(table, hash string) string {
	return path.Join(element(table), "extracted_date="+noDate, "schema-"+hash+".parquet")
}

// pending is the name of something not yet committed. It holds what tells, after a crash, whether its write has been
// committed, can still be, or never will: see txlog.settle.
type pending struct {
	seq       int64  // the write's commit has this number or a greater one
	attempt   string // unique to one Write
	partition int32  // one of the write's ranges: it is this partition's offset from
	from      int64
	part      string // which of the write's files; "commit": the commit object
}

const commitPart = "commit"

func (p pending) String() string {
	return fmt.Sprintf("%012d-%s-%d-%d.%s", p.seq, p.attempt, p.partition, p.from, p.part)
}

func (p pending) of(part int) pending {
	p.part = strconv.Itoa(part)
	return p
}

var pendingName = regexp.MustCompile(`^([0-9]{12})-([0-9a-f]{16})-(-?[0-9]{1,10})-([0-9]{1,19})\.([0-9]{1,9}|commit)$`)

func parsePending(name string) (pending, bool) {
	m := pendingName.FindStringSubmatch(name)
	if m == nil {
		return pending{}, false
	}
	seq, err1 := strconv.ParseInt(m[1], 10, 64)
	id, err2 := strconv.ParseInt(m[3], 10, 32)
	from, err3 := strconv.ParseInt(m[4], 10, 64)
	p := pending{seq: seq, attempt: m[2], partition: int32(id), from: from, part: m[5]}
	return p, err1 == nil && err2 == nil && err3 == nil
}
