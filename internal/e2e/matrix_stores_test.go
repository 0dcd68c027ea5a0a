package e2e

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"

	"tilestream/consumer/sink"
)

// storeSteps are what a load asks of an object store: what becomes data, and the log whose newest entry is the commit.
var storeSteps = []step{
	{"store: write data", 8, false}, {"store: write the log", 8, false}, {"store: write other", 4, false},
	{"store: read", 12, false}, {"store: list", 6, false}, {"store: look", 6, false}, {"store: delete", 4, false},
}

// icebergSteps are the store's, and the one statement by which a snapshot becomes the table.
var icebergSteps = append([]step{{icebergCommit, 8, false}}, storeSteps...)

// storeStock is a warehouse that is asked over HTTP, in a place of its own there; the child comes through the proxy.
func storeStock(t testing.TB, g *gate, kind string) *stock {
	t.Helper()
	k := &stock{name: kind, dataset: unique("matrix"), steps: storeSteps, env: map[string]string{}}
	switch kind {
	case "s3", "iceberg":
		u, err := url.Parse(Service(t, "TEST_S3_URL"))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("endpoint", storeWire(t, g, q.Get("endpoint")))
		u.Path = "/" + k.dataset
		for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
			k.env[name] = os.Getenv(name)
		}
		if kind == "iceberg" {
			catalog, err := url.Parse(Service(t, "TEST_POSTGRES_URL"))
			if err != nil {
				t.Fatal(err)
			}
			catalog.Host = postgresWire(t, g, catalog.Host).addr
			q.Set("catalog", "sql")
			q.Set("name", k.dataset)
			q.Set("uri", catalog.String())
			u.Scheme, k.steps = "iceberg+s3", icebergSteps
		}
		u.RawQuery = q.Encode()
		k.url = u.String()
	case "gs":
		k.url = Emulator(t, "TEST_GCS_URL") + "/" + k.dataset
		host := os.Getenv("STORAGE_EMULATOR_HOST")
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		k.env["STORAGE_EMULATOR_HOST"] = storeWire(t, g, host)
	case "azblob":
		k.url = Emulator(t, "TEST_AZURE_URL") + "/" + k.dataset
		connection := os.Getenv("AZURE_STORAGE_CONNECTION_STRING")
		_, rest, _ := strings.Cut(connection, "BlobEndpoint=")
		endpoint, _, _ := strings.Cut(rest, ";")
		at, err := url.Parse(endpoint)
		if err != nil || at.Host == "" {
			t.Fatalf("AZURE_STORAGE_CONNECTION_STRING names no BlobEndpoint: %v", err)
		}
		k.env["AZURE_STORAGE_CONNECTION_STRING"] = strings.Replace(connection, at.Scheme+"://"+at.Host, storeWire(t, g, at.Scheme+"://"+at.Host), 1)
	}
	return k
}

// readOurs is read through our own reader, which is proven elsewhere: what shows of each key, and what the loads say they have brought.
func (k *stock) readOurs(ctx context.Context, table string) (shown map[string]place, twice []string, loaded int, err error) {
	r, err := sink.OpenReader(ctx, k.url, k.dataset)
	if err != nil {
		return nil, nil, 0, err
	}
	defer r.Close()
	v, err := r.View(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	defer v.Close()
	if err := v.Settle(ctx); err != nil {
		return nil, nil, 0, err
	}
	for load, err := range v.Loads(ctx, table, 0) {
		if err != nil {
			return nil, nil, 0, err
		}
		loaded += int(load.Rows)
	}
	t := sink.Table{Name: table, Key: "_id", Version: "updated_at", Offset: "_kafka_offset"}
	all, err := v.Columns(ctx, t)
	if err != nil {
		return nil, nil, 0, err
	}
	var columns []sink.Column
	for _, name := range []string{"_id", "_kafka_partition", "_kafka_offset"} {
		i := v.Find(all, name)
		if i < 0 {
			return nil, nil, 0, fmt.Errorf("table %s has no column %s", table, name)
		}
		columns = append(columns, all[i])
	}
	shown = map[string]place{}
	for row, err := range v.Rows(ctx, t, columns) {
		if err != nil {
			return nil, nil, 0, err
		}
		id := fmt.Sprint(row[0])
		partition, _ := row[1].(int64)
		offset, _ := row[2].(int64)
		at := place{int32(partition), offset}
		if before, known := shown[id]; known {
			twice = append(twice, fmt.Sprintf("%s %s is there twice, from %d/%d and %d/%d", table, id, at.partition, at.offset, before.partition, before.offset))
		}
		shown[id] = at
	}
	return shown, twice, loaded, nil
}

// storeWire carries requests to an object store.
func storeWire(t testing.TB, g *gate, server string) string {
	t.Helper()
	return httpWire(t, g, func(r *http.Request) string {
		switch path := r.URL.Path; {
		case r.Method == http.MethodDelete:
			return "store: delete"
		case r.Method == http.MethodHead:
			return "store: look"
		case r.Method == http.MethodGet && (r.URL.Query().Has("prefix") || r.URL.Query().Has("list-type") || r.URL.Query().Get("comp") == "list"):
			return "store: list"
		case r.Method == http.MethodGet:
			return "store: read"
		case strings.Contains(path+r.URL.RawQuery, "_tilestream_loads"):
			return "store: write the log"
		case strings.Contains(path+r.URL.RawQuery, ".parquet"):
			return "store: write data"
		}
		return "store: write other"
	}, through(t, server))
}

// through hands requests on as they are: what was signed stays signed, the name of the host included.
func through(t testing.TB, server string) http.Handler {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ErrorLog: log.New(io.Discard, "", 0), // clients that are killed cancel their requests
	}
}
