package poll

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// -once goes on where a first exchange breaks, and where a service starts a little later than it does.
func TestOnceTriesFirstExchangesAgain(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.ApiVersions, kmsg.Metadata, kmsg.CreateTopics, kmsg.DescribeConfigs} {
		t.Run("cut: "+key.Name(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, errors.New("cut"), true })
			r.publishesTags(t)
		})
	}
	t.Run("Kafka is late", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.cluster.Close()
		_, text, err := net.SplitHostPort(r.kafka.Brokers[0])
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(time.Second)
			if r.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port)); err != nil {
				t.Error(err)
			}
		}()
		r.put(r.tiledesk.Project, "tags", "tag-1", 1)
		err = r.once(t.Context(), "tags")
		<-done
		t.Cleanup(r.cluster.Close)
		if err != nil || len(r.published("tags")) != 1 {
			t.Errorf("%v, %d tags", err, len(r.published("tags")))
		}
	})
	t.Run("the registry's reply is lost", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.registryBehind(t, func(w http.ResponseWriter, req *http.Request, n int32, registry http.Handler) {
			registry.ServeHTTP(w, req)
			if n == 1 {
				panic(http.ErrAbortHandler)
			}
		})
		r.publishesTags(t)
	})
	t.Run("the registry starts", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.registryBehind(t, func(w http.ResponseWriter, req *http.Request, n int32, registry http.Handler) {
			if n <= 2 {
				http.Error(w, "starting", http.StatusServiceUnavailable)
				return
			}
			registry.ServeHTTP(w, req)
		})
		r.publishesTags(t)
	})
}

// What the registry refuses is not tried again.
func TestOnceEndsWhereTheRegistryRefuses(t *testing.T) {
	r := newRig(t)
	asked := r.registryBehind(t, func(w http.ResponseWriter, _ *http.Request, _ int32, _ http.Handler) {
		http.Error(w, "no", http.StatusUnauthorized)
	})
	r.put(r.tiledesk.Project, "tags", "tag-1", 1)
	err := r.once(t.Context(), "tags")
	if err == nil || !strings.Contains(err.Error(), "SCHEMA_REGISTRY_PASSWORD") {
		t.Errorf("got %v, want what to check", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the registry was asked %d times, want once", n)
	}
}

func (r *rig) publishesTags(t *testing.T) {
	t.Helper()
	r.put(r.tiledesk.Project, "tags", "tag-1", 1)
	if err := r.once(t.Context(), "tags"); err != nil {
		t.Fatal(err)
	}
	if got := r.published("tags")["tag-1"]; len(got) != 1 {
		t.Errorf("the tag was published %d times, want once", len(got))
	}
}

// registryBehind puts serve before the registry; it is told the number of the request, from 1, and returns how many there were.
func (r *rig) registryBehind(t *testing.T, serve func(w http.ResponseWriter, req *http.Request, n int32, registry http.Handler)) *atomic.Int32 {
	t.Helper()
	u, err := url.Parse(r.kafka.Registry.URL)
	if err != nil {
		t.Fatal(err)
	}
	registry := httputil.NewSingleHostReverseProxy(u)
	asked := &atomic.Int32{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { serve(w, req, asked.Add(1), registry) }))
	t.Cleanup(web.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	r.kafka.Registry.URL = web.URL
	return asked
}
