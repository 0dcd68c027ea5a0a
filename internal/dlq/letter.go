// Package dlq keeps dead letters: records that cannot become rows come in, one Kafka record for each goes to TOPIC.dlq, with
// the record's own bytes and what is known about it in headers. A letter is written once, whoever meets its record again.
package dlq

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Source is the partition that letters come from, and the consumer group that set them aside. Each group has letters of its
// own: what one warehouse refuses another may take.
type Source struct {
	Cluster, Group, Topic string
	Partition             int32
}

// Letter is a record that was set aside, and why.
type Letter struct {
	Source
	Offset  int64 // of the record in Topic
	Schema  int   // writer schema id; NoSchema where the record does not tell
	Sink    string
	Column  string // "" where it is not known
	Reason  string
	Time    time.Time // of the refusal
	Attempt int       // 1 at first; one more each time a replay was refused

	Encoding   string // of Value: "gzip", or "" for the record's own bytes
	Key, Value []byte // of the record, as everything below
	Timestamp  time.Time
	Headers    []kgo.RecordHeader

	At Place // of the letter itself, once it is in Kafka
}

// Place is where a letter stands in TOPIC.dlq.
type Place struct {
	Partition int32
	Offset    int64
}

// NoSchema is the schema id of what names none.
const NoSchema = -1

// maxReason bounds the reason: a warehouse may quote the whole value.
const maxReason = 2 << 10

// The headers that a letter has behind those of its record. first begins them, so that a record with such headers of its own
// is no riddle: the last one counts.
const (
	prefix      = "dlq."
	first       = prefix + "topic"
	inPartition = prefix + "partition"
	inOffset    = prefix + "offset"
	inSchema    = prefix + "schema_id"
	inCluster   = prefix + "cluster"
	inGroup     = prefix + "group"
	inSink      = prefix + "sink"
	inColumn    = prefix + "column"
	inReason    = prefix + "reason"
	inTime      = prefix + "time"
	inAttempt   = prefix + "attempt"
	inEncoding  = prefix + "encoding"
)

// record is the letter as Kafka holds it.
func (l Letter) record(topic string, partition int32) *kgo.Record {
	headers := slices.Clone(l.Headers)
	add := func(key, value string) { headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)}) }
	add(first, l.Topic)
	add(inPartition, strconv.Itoa(int(l.Partition)))
	add(inOffset, strconv.FormatInt(l.Offset, 10))
	if l.Schema != NoSchema {
		add(inSchema, strconv.Itoa(l.Schema))
	}
	add(inCluster, l.Cluster)
	add(inGroup, l.Group)
	add(inSink, l.Sink)
	if l.Column != "" {
		add(inColumn, l.Column)
	}
	add(inReason, strings.ToValidUTF8(l.Reason[:min(len(l.Reason), maxReason)], "\uFFFD"))
	add(inTime, l.Time.UTC().Format(time.RFC3339Nano))
	add(inAttempt, strconv.Itoa(l.Attempt))
	if l.Encoding != "" {
		add(inEncoding, l.Encoding)
	}
	return &kgo.Record{Topic: topic, Partition: partition, Key: l.Key, Value: l.Value, Timestamp: l.Timestamp, Headers: headers}
}

// parse is the inverse of record. The error says what is wrong with a record that nobody here has written.
func parse(r *kgo.Record) (Letter, error) {
	at := -1
	for i, h := range r.Headers {
		if h.Key == first {
			at = i
		}
	}
	if at < 0 {
		return Letter{}, fmt.Errorf("%s[%d] offset %d is no dead letter: it has no header %s", r.Topic, r.Partition, r.Offset, first)
	}
	l := Letter{Schema: NoSchema, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Headers: r.Headers[:at:at], At: Place{r.Partition, r.Offset}}
	var wrong error
	number := func(h kgo.RecordHeader, bits int) int64 {
		n, err := strconv.ParseInt(string(h.Value), 10, bits)
		if err != nil {
			wrong = cmp.Or(wrong, fmt.Errorf("%s[%d] offset %d: header %s: %w", r.Topic, r.Partition, r.Offset, h.Key, err))
		}
		return n
	}
	for _, h := range r.Headers[at:] {
		switch h.Key {
		case first:
			l.Topic = string(h.Value)
		case inPartition:
			l.Partition = int32(number(h, 32))
		case inOffset:
			l.Offset = number(h, 64)
		case inSchema:
			l.Schema = int(number(h, 64))
		case inCluster:
			l.Cluster = string(h.Value)
		case inGroup:
			l.Group = string(h.Value)
		case inSink:
			l.Sink = string(h.Value)
		case inColumn:
			l.Column = string(h.Value)
		case inReason:
			l.Reason = string(h.Value)
		case inTime:
			l.Time, _ = time.Parse(time.RFC3339Nano, string(h.Value)) // told to people only
		case inAttempt:
			l.Attempt = int(number(h, 32))
		case inEncoding:
			l.Encoding = string(h.Value)
		}
	}
	return l, wrong
}
