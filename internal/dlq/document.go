package dlq

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
)

// nowhere is the partition and offset of what never was a record.
const nowhere = -1

// What a letter holds of a document: the producer's messages are no longer than those of other topics, and there is what is said
// about it.
const (
	mostKey      = 1 << 10
	mostDocument = broker.MaxMessageBytes - 64<<10
)

// Unpublished is the letter of a document that cannot become a record of the topic: it is too large, or no schema takes it. The
// producer publishes it in the transaction of the document's page, so that it is there once. Its value is the document as Tiledesk
// sent it, compressed where it would not fit otherwise, and nothing where that does not help: Tiledesk still has it.
func Unpublished(topic string, key, document []byte, headers []kgo.RecordHeader, extracted time.Time, why error) *kgo.Record {
	key = key[:min(len(key), mostKey)]
	l := Letter{Source: Source{Topic: topic, Partition: nowhere}, Offset: nowhere, Schema: NoSchema, Sink: "producer", Reason: why.Error(), Time: extracted, Attempt: 1,
		Key: key, Value: document, Timestamp: extracted, Headers: headers}
	if len(l.Value) > mostDocument {
		l.Value, l.Encoding = compressed(document), "gzip"
	}
	if len(l.Value) > mostDocument {
		l.Value, l.Encoding = nil, ""
		l.Reason = fmt.Sprintf("%s; its %d bytes are too many for this letter too, even compressed", l.Reason, len(document))
	}
	return l.record(broker.DLQName(topic), 0)
}

// Unpublished tells whether the letter is of a document that never was a record: no consumer can load it again.
func (l Letter) Unpublished() bool { return l.Offset == nowhere }

func compressed(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// maxDocument bounds what a letter may unfold to, in bytes: no answer of Tiledesk is taken that is longer.
const maxDocument = 128 << 20

// Original returns the bytes that were set aside.
func (l Letter) Original() ([]byte, error) { return l.Beginning(maxDocument) }

// Beginning returns the first n of the bytes that were set aside.
func (l Letter) Beginning(n int) ([]byte, error) {
	if l.Encoding == "" {
		return l.Value[:min(n, len(l.Value))], nil
	}
	if l.Encoding != "gzip" {
		return nil, fmt.Errorf("the letter's value is encoded as %q, which this program does not know", l.Encoding)
	}
	r, err := gzip.NewReader(bytes.NewReader(l.Value))
	if err != nil {
		return nil, fmt.Errorf("unpack the letter's value: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return nil, fmt.Errorf("unpack the letter's value: %w", err)
	}
	return b, nil
}
