package schemas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/internal/e2e"
)

// What the registry gives to consumers is the file, with docs, paths and logical types.
func TestRegisteredTextIsTheFile(t *testing.T) {
	c, reg := newCodec(t)
	for _, r := range Resources {
		if _, _, err := c.Encode(t.Context(), r, []byte(`{"_id":"1"}`)); err != nil {
			t.Fatal(err)
		}
		got, ok := reg.GetSchema("tiledesk."+r.Name+"-value", 1)
		if !ok || got.Schema.Schema != r.Avro() || got.Type != sr.TypeAvro {
			t.Errorf("%s: the registry has %v, %s", r.Name, ok, got.Schema.Schema)
		}
	}
}

func TestRegistersOnceHoweverManyAsk(t *testing.T) {
	c, reg := newCodec(t)
	var posts, others atomic.Int32
	reg.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			posts.Add(1)
		} else {
			others.Add(1)
		}
		return false
	})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			frame, _, err := c.Encode(t.Context(), Resources[0], fmt.Appendf(nil, `{"_id":"%d","text":"%[1]d"}`, i))
			if err != nil {
				t.Error(err)
				return
			}
			id, body, err := SplitFrame(frame)
			if err != nil || !bytes.Contains(body, fmt.Appendf(nil, "%d", i)) {
				t.Errorf("frame %d: id %d, body %q, %v", i, id, body, err)
			}
			if _, err := c.Decoder(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Which versions there are, before and after; the new one, as a version and as a decoder; and its compatibility.
	if posts.Load() != 1 || others.Load() != 5 {
		t.Errorf("%d registrations and %d other requests, want 1 and 5", posts.Load(), others.Load())
	}
}

// While the registry fails, every call tries again; errors say what came back and what to do.
func TestRegistryFailures(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   string
	}{
		{http.StatusUnauthorized, "SCHEMA_REGISTRY_USERNAME"},
		{http.StatusForbidden, "SCHEMA_REGISTRY_USERNAME"},
		{http.StatusNotFound, "SCHEMA_REGISTRY_URL"},
		{http.StatusConflict, "KAFKA_TOPIC_PREFIX"},
		{http.StatusInternalServerError, "registry's log"},
	} {
		c, reg := newCodec(t)
		r := resource(t, "messages")
		reg.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if tt.status == http.StatusConflict && r.Method == http.MethodGet {
				return false
			}
			w.WriteHeader(tt.status)
			fmt.Fprint(w, `{"error_code":1,"message":"out of order"}`)
			return true
		})
		_, _, err := c.Encode(t.Context(), r, []byte(`{"_id":"1"}`))
		for _, want := range []string{" schema tiledesk.messages-value: ", " http://", fmt.Sprint(tt.status), "out of order", tt.want} {
			if err == nil || errors.Is(err, ErrDocument) || !strings.Contains(err.Error(), want) {
				t.Errorf("status %d: got %v, want %q in it", tt.status, err, want)
			}
		}
		if tt.status != http.StatusNotFound && tt.status != http.StatusConflict {
			if _, err := c.Decoder(t.Context(), 1); err == nil || errors.Is(err, ErrUnknownSchema) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("status %d: decoder: got %v, want %q in it", tt.status, err, tt.want)
			}
		}
		reg.ClearInterceptors()
		frame, _, err := c.Encode(t.Context(), r, []byte(`{"_id":"1"}`))
		if err != nil {
			t.Fatalf("after status %d: %v", tt.status, err)
		}
		id, _, err := SplitFrame(frame)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Decoder(t.Context(), id); err != nil {
			t.Errorf("after status %d: %v", tt.status, err)
		}
	}
}

func TestRegistryOutOfReach(t *testing.T) {
	c, reg := newCodec(t)
	reg.Close()
	_, _, err := c.Encode(t.Context(), Resources[0], []byte(`{"_id":"1"}`))
	if err == nil || !strings.Contains(err.Error(), "check SCHEMA_REGISTRY_URL") {
		t.Errorf("got %v, want what to check", err)
	}
}

// Who waits for another's registration gives up with its own context.
func TestEncodeHonoursItsContext(t *testing.T) {
	c, reg := newCodec(t)
	started, release := make(chan struct{}), make(chan struct{})
	var first sync.Once
	reg.Intercept(func(http.ResponseWriter, *http.Request) bool {
		first.Do(func() { close(started) })
		<-release
		return false
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, _, err := c.Encode(t.Context(), Resources[0], []byte(`{"_id":"1"}`)); err != nil {
			t.Error(err)
		}
	})
	<-started
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("shutting down")
	cancel(cause)
	if _, _, err := c.Encode(ctx, Resources[0], []byte(`{"_id":"2"}`)); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	close(release)
	wg.Wait()
}

func TestDecoderOfForeignSchemas(t *testing.T) {
	c, reg := newCodec(t)
	reg.SeedSchema("json", 1, 7, sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
	reg.SeedSchema("text", 1, 8, sr.Schema{Schema: `"string"`, Type: sr.TypeAvro})
	reg.SeedSchema("refers", 1, 9, sr.Schema{Schema: Resources[0].Avro(), Type: sr.TypeAvro, References: []sr.SchemaReference{{Name: "a", Subject: "text", Version: 1}}})
	for id, want := range map[int]error{7: ErrUnsupportedSchema, 8: ErrUnsupportedSchema, 9: ErrUnsupportedSchema, 4711: ErrUnknownSchema} {
		if _, err := c.Decoder(t.Context(), id); !errors.Is(err, want) || !strings.Contains(err.Error(), fmt.Sprintf("schema %d", id)) {
			t.Errorf("schema %d: got %v, want %v", id, err, want)
		}
	}
	// It may come later.
	reg.SeedSchema("late", 1, 4711, sr.Schema{Schema: Resources[0].Avro(), Type: sr.TypeAvro})
	d, err := c.Decoder(t.Context(), 4711)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Decoder(t.Context(), 4711); err != nil || again != d {
		t.Errorf("the second time: got %p, %v, want the same decoder %p", again, err, d)
	}
}

func TestSplitFrame(t *testing.T) {
	id, body, err := SplitFrame([]byte{0, 0x80, 0, 0, 1, 'x'})
	if err != nil || id != 1<<31+1 || string(body) != "x" {
		t.Errorf("got %d, %q, %v", id, body, err)
	}
	if id, body, err := SplitFrame([]byte{0, 0, 0, 0, 1}); err != nil || id != 1 || len(body) != 0 {
		t.Errorf("an empty body: got %d, %q, %v", id, body, err)
	}
	for _, value := range []string{"", "\x00\x00\x00\x01", `{"_id":"1"}`} {
		if _, _, err := SplitFrame([]byte(value)); err == nil || !strings.Contains(err.Error(), "not a registry frame") {
			t.Errorf("%q: got %v", value, err)
		}
	}
}

// A real registry takes the schemas, and gives back every property of every field.
func TestRealRegistry(t *testing.T) {
	cl, err := sr.NewClient(sr.URLs(e2e.Service(t, "TEST_SCHEMA_REGISTRY_URL")))
	if err != nil {
		t.Fatal(err)
	}
	prefix := fmt.Sprintf("schemas-test-%d", time.Now().UnixNano())
	c := NewCodec(cl, prefix)
	for _, r := range Resources {
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			_, _ = cl.DeleteSubject(ctx, r.Subject(prefix), sr.SoftDelete)
			_, _ = cl.DeleteSubject(ctx, r.Subject(prefix), sr.HardDelete)
		})
		row := rowOf(through(t, c, r, string(recorded(t, r)[0])), 0)
		if row["_id"] == nil {
			t.Errorf("%s: the row is %v", r.Name, row)
		}
		got, err := cl.SchemaByVersion(t.Context(), r.Subject(prefix), -1)
		if err != nil {
			t.Fatal(err)
		}
		if !sameJSON(got.Schema.Schema, r.Avro()) {
			t.Errorf("%s: the registry gives back %s, want %s", r.Name, got.Schema.Schema, r.Avro())
		}
		// Another process, or this one started again, gets the same id.
		if again := rowOf(through(t, NewCodec(cl, prefix), r, string(recorded(t, r)[0])), 0); again["_id"] != row["_id"] {
			t.Errorf("%s: a second codec gives %v", r.Name, again)
		}
	}
	if _, err := c.Decoder(t.Context(), 1<<31-1); !errors.Is(err, ErrUnknownSchema) {
		t.Errorf("an unknown id: got %v, want ErrUnknownSchema", err)
	}
}

func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}
