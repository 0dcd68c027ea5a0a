//go:build cgo

package sink_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/hadoop"
	"github.com/apache/iceberg-go/table"

	"tilestream/consumer/sink/sinktest"
)

// TestIcebergREST runs the suite on the REST protocol. The double is a server of it in front of a directory: requirements are checked by
// the catalog there, not by the client.
func TestIcebergREST(t *testing.T) {
	t.Setenv("ICEBERG_TOKEN", "hush")
	t.Setenv("AWS_REGION", "us-east-1")
	sinktest.Run(t, func(t testing.TB) sinktest.Destination {
		cat, err := hadoop.NewCatalog("double", t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(restDouble(t, cat))
		t.Cleanup(server.Close)
		return icebergAt(t, "iceberg+s3://?"+url.Values{"catalog": {"rest"}, "uri": {server.URL}}.Encode())
	})
}

func restDouble(t testing.TB, cat *hadoop.Catalog) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, serve func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "Bearer hush" && !strings.HasSuffix(pattern, "config") {
				t.Errorf("%s: Authorization is %q", pattern, got)
			}
			answer, err := serve(r)
			status := http.StatusOK
			switch {
			case errors.Is(err, catalog.ErrNoSuchTable), errors.Is(err, catalog.ErrNoSuchNamespace):
				status = http.StatusNotFound
			case err != nil: // whatever it is, nothing has been committed
				status = http.StatusConflict
			}
			if err != nil {
				answer = map[string]any{"error": map[string]any{"message": err.Error(), "type": "Error", "code": status}}
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	ident := func(r *http.Request) table.Identifier {
		return table.Identifier{r.PathValue("ns"), r.PathValue("table")}
	}
	loaded := func(have *table.Table, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return map[string]any{"metadata-location": have.MetadataLocation(), "metadata": have.Metadata(), "config": map[string]string{}}, nil
	}
	handle("GET /v1/config", func(*http.Request) (any, error) {
		return map[string]any{"defaults": map[string]string{}, "overrides": map[string]string{}}, nil
	})
	handle("POST /v1/namespaces", func(r *http.Request) (any, error) {
		var in struct {
			Namespace []string `json:"namespace"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		return in, cat.CreateNamespace(r.Context(), in.Namespace, nil)
	})
	handle("GET /v1/namespaces/{ns}", func(r *http.Request) (any, error) {
		_, err := cat.LoadNamespaceProperties(r.Context(), table.Identifier{r.PathValue("ns")})
		return map[string]any{"namespace": []string{r.PathValue("ns")}, "properties": map[string]string{}}, err
	})
	handle("GET /v1/namespaces/{ns}/tables", func(r *http.Request) (any, error) {
		found := []map[string]any{}
		for ident, err := range cat.ListTables(r.Context(), table.Identifier{r.PathValue("ns")}) {
			if err != nil {
				return nil, err
			}
			found = append(found, map[string]any{"namespace": ident[:len(ident)-1], "name": ident[len(ident)-1]})
		}
		return map[string]any{"identifiers": found}, nil
	})
	handle("POST /v1/namespaces/{ns}/tables", func(r *http.Request) (any, error) {
		var in struct {
			Name   string                 `json:"name"`
			Schema *iceberg.Schema        `json:"schema"`
			Spec   *iceberg.PartitionSpec `json:"partition-spec"`
			Props  iceberg.Properties     `json:"properties"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		options := []catalog.CreateTableOpt{catalog.WithProperties(in.Props)}
		if in.Spec != nil {
			options = append(options, catalog.WithPartitionSpec(in.Spec))
		}
		return loaded(cat.CreateTable(r.Context(), table.Identifier{r.PathValue("ns"), in.Name}, in.Schema, options...))
	})
	handle("GET /v1/namespaces/{ns}/tables/{table}", func(r *http.Request) (any, error) {
		return loaded(cat.LoadTable(r.Context(), ident(r)))
	})
	handle("POST /v1/namespaces/{ns}/tables/{table}", func(r *http.Request) (any, error) {
		var in struct {
			Requirements table.Requirements `json:"requirements"`
			Updates      table.Updates      `json:"updates"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, err
		}
		meta, at, err := cat.CommitTable(r.Context(), ident(r), in.Requirements, in.Updates)
		return map[string]any{"metadata-location": at, "metadata": meta}, err
	})
	return mux
}
