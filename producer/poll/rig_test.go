package poll

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.uber.org/goleak"

	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/producer/tiledesk"
	"tilestream/producer/tiledesk/tiledesktest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

// rig is a Tiledesk, a Kafka and a registry, all in this process.
type rig struct {
	*testing.T
	tiledesk *tiledesktest.Server
	cluster  *kfake.Cluster
	kafka    broker.Config
	url      string
	last     time.Time // of put
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, tiledesk: tiledesktest.New(tiledesktest.Options{})}
	web := httptest.NewServer(r.tiledesk)
	t.Cleanup(web.Close)
	r.url = web.URL
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	r.cluster = cluster
	r.kafka = broker.Config{
		Brokers: cluster.ListenAddrs(), Prefix: "test", Partitions: 2,
		Registry: broker.Registry{URL: registry.URL()},
	}
	return r
}

// client returns a client of the project; each instance of a producer has its own.
func (r *rig) client(p *tiledesktest.Project) *tiledesk.Client {
	return tiledesk.New(tiledesk.Project{
		ID: p.ID, URL: r.url, API: tiledesk.V3, RequestsPerMinute: 1_000_000,
		Credential: tiledesk.Credential{Token: ops.Secret(p.Owner.Token)},
	}, slog.Default())
}

func (r *rig) once(ctx context.Context, resources ...string) error {
	return Run(ctx, Config{Resources: resources, Once: true}, r.kafka, []*tiledesk.Client{r.client(r.tiledesk.Project)}, Events{})
}

func (r *rig) mustOnce(resources ...string) {
	r.Helper()
	if err := r.once(r.Context(), resources...); err != nil {
		r.Fatal(err)
	}
}

// put stores a document, as changed just now: no two changes have the same time.
func (r *rig) put(p *tiledesktest.Project, collection, id string, version int) {
	r.Helper()
	r.last = time.UnixMilli(max(time.Now().UnixMilli(), r.last.UnixMilli()+1)).UTC()
	r.putAt(p, collection, id, version, r.last)
}

// putAt stores a document that changed at the given time.
func (r *rig) putAt(p *tiledesktest.Project, collection, id string, version int, changed time.Time) {
	r.Helper()
	at := changed.UTC().Format("2006-01-02T15:04:05.000Z")
	doc := fmt.Sprintf(`{"_id":%q,"id_project":%q,"lead_id":%q,"status":100,"tag":"v%d","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":%q}`, id, p.ID, id, version, at)
	if err := p.Put(collection, []byte(doc)); err != nil {
		r.Fatal(err)
	}
}

// published returns what read-committed consumers see in a resource's topic: the bodies by key, oldest first. Equal
// bodies are equal versions of a document.
func (r *rig) published(resource string) map[string][]string {
	r.Helper()
	topic := r.kafka.Prefix + "." + resource
	out := map[string][]string{}
	for _, rec := range r.read(topic) {
		out[string(rec.Key)] = append(out[string(rec.Key)], string(rec.Value))
	}
	return out
}

// read returns all committed records of a topic.
func (r *rig) read(topic string) []*kgo.Record {
	r.Helper()
	info := r.cluster.TopicInfo(topic)
	if info == nil {
		return nil
	}
	cl, err := r.kafka.NewClient(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		r.Fatal(err)
	}
	defer cl.Close()
	left := map[int32]int64{}
	for _, p := range r.cluster.PartitionInfos(topic) {
		if p.LastStableOffset > 0 {
			left[p.Partition] = p.LastStableOffset
		}
	}
	var out []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(r.Context())
		if err := fetches.Err(); err != nil {
			r.Fatal(err)
		}
		for rec := range fetches.RecordsAll() {
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
			if !rec.Attrs.IsControl() {
				out = append(out, rec)
			}
		}
	}
	return out
}

// versionIn returns the version that put wrote, out of a frame.
func versionIn(frame string) string {
	i := strings.LastIndex(frame, "v")
	j := i + 1
	for j < len(frame) && frame[j] >= '0' && frame[j] <= '9' {
		j++
	}
	if i < 0 {
		return ""
	}
	return frame[i:j]
}
