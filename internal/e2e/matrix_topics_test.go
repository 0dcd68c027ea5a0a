package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/schemas"
)

// topics reads what the producer has published, as any reader of committed transactions sees it.
type topics struct {
	client *kgo.Client
	admin  *kadm.Client
	prefix string
	of     map[string]*topic // by topic
}

// topic is what has been read of one topic.
type topic struct {
	resource schemas.Resource
	codec    *goavro.Codec
	next     map[int32]int64      // first offset not read, by partition
	records  int                  // data records
	newest   map[string]published // by key
	twice    int                  // records that repeat what their key held already
}

type published struct {
	partition int32
	offset    int64
	value     []byte
}

func readTopics(t testing.TB, broker, prefix string) *topics {
	t.Helper()
	ts := &topics{prefix: prefix, of: map[string]*topic{}}
	for _, r := range schemas.Resources {
		codec, err := goavro.NewCodec(r.Avro())
		if err != nil {
			t.Fatal(err)
		}
		ts.of[r.Topic(prefix)] = &topic{resource: r, codec: codec, next: map[int32]int64{}, newest: map[string]published{}}
	}
	var err error
	ts.client, err = kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(slices.Collect(maps.Keys(ts.of))...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ts.client.Close)
	ts.admin = kadm.NewClient(ts.client)
	return ts
}

// read reads on to where the topics end now, once what is under way there is settled: brokers write the markers of a transaction
// after they have answered EndTxn, so that what is committed may be behind the committed offset for a moment.
func (ts *topics) read(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	ends, err := ts.admin.ListEndOffsets(ctx, slices.Collect(maps.Keys(ts.of))...)
	if err != nil {
		t.Fatal(err)
	}
	behind := func() (any bool) {
		ends.Each(func(o kadm.ListedOffset) {
			if o.Err == nil && ts.of[o.Topic].next[o.Partition] < o.Offset {
				any = true
			}
		})
		return any
	}
	for behind() {
		fetched := ts.client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topics of %s: the end is not reached: a transaction may be open", ts.prefix)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			p := ts.of[r.Topic]
			p.next[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			p.records++
			before, known := p.newest[string(r.Key)]
			if known && bytes.Equal(before.value, r.Value) {
				p.twice++
				t.Errorf("%s key %s: published at %d/%d and, with no change, again at %d/%d", r.Topic, r.Key, before.partition, before.offset, r.Partition, r.Offset)
			}
			p.newest[string(r.Key)] = published{r.Partition, r.Offset, bytes.Clone(r.Value)}
		})
	}
}

// twice counts the records that were published more than once, over all topics.
func (ts *topics) twice() (n int) {
	for _, p := range ts.of {
		n += p.twice
	}
	return n
}

// missing lists the documents of the source whose newest version is in no topic.
func (ts *topics) missing(t testing.TB, s source) (out []string) {
	t.Helper()
	for _, p := range ts.of {
		for id, doc := range s.documents(t, p.resource) {
			have, ok := p.newest[id]
			if !ok {
				out = append(out, fmt.Sprintf("%s %s was never published", p.resource.Name, id))
				continue
			}
			want, _ := doc["updatedAt"].(string)
			at, ok := instant(want)
			if got := p.updated(t, have.value); ok && !got.Equal(at) {
				out = append(out, fmt.Sprintf("%s %s changed at %s in the source, at %s in the topic", p.resource.Name, id, want, got))
			}
		}
	}
	return out
}

// updated is the time of the document's last change, read with goavro alone.
func (p *topic) updated(t testing.TB, value []byte) time.Time {
	t.Helper()
	_, body, err := schemas.SplitFrame(value)
	if err != nil {
		t.Fatal(err)
	}
	native, _, err := p.codec.NativeFromBinary(body)
	if err != nil {
		t.Fatal(err)
	}
	union, _ := native.(map[string]any)["updatedAt"].(map[string]any)
	at, _ := union["long.timestamp-millis"].(time.Time)
	return at
}
