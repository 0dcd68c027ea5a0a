package sink

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bq "cloud.google.com/go/bigquery"
)

func TestOpenBigQueryRefuses(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(secret, []byte(`{"type":"service_account","private_key":"s3cret"`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, dataset, want string }{
		{"bigquery://", "d", "not the URL of a project"},
		{"bigquery://u:s3cret@project", "d", "not the URL of a project"},
		{"bigquery://project/dataset", "d", "not the URL of a project"},
		{"bigquery://project?region=EU", "d", `a parameter "region"`},
		{"bigquery://project?endpoint=localhost:9050", "d", "its endpoint is no address"},
		{"bigquery://project?maximum_bytes_billed=1GB", "d", "it takes a number of bytes"},
		{"bigquery://project", "my-set", "letters, digits and _"},
		{"bigquery://project?credentials=/nowhere/key.json", "d", "takes the JSON key of a service account"},
		{"bigquery://project?credentials=" + url.QueryEscape(secret), "d", "takes the JSON key of a service account"},
	} {
		_, err := Open(t.Context(), c.url, c.dataset)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%s, %s) = %v, want %q in it", c.url, c.dataset, err, c.want)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%s) shows a secret: %v", c.url, err)
		}
	}
}

// What stands in the way is said at once, with what to do.
func TestBigQueryAdvice(t *testing.T) {
	t.Parallel()
	answer := func(status int, reason, said string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"errors":[{"reason":%q,"message":%[2]q}]}}`, status, said, reason)
		}))
		t.Cleanup(s.Close)
		return "bigquery://project?location=EU&endpoint=" + s.URL
	}
	for _, c := range []struct {
		name, url, want string
		away            bool
	}{
		{"wrong credential", answer(401, "authError", "Request had invalid authentication credentials."), "make a new key", false},
		{"no grant", answer(403, "accessDenied", "Access Denied: Dataset project:tiledesk: Permission bigquery.tables.get denied"), "GRANT `roles/bigquery.dataEditor` ON SCHEMA `project`.`tiledesk`", false},
		{"API off", answer(403, "accessNotConfigured", "BigQuery API has not been used in project 1 before or it is disabled."), "gcloud services enable bigquery.googleapis.com --project=project", false},
		{"quota", answer(403, "quotaExceeded", "Quota exceeded: Your project exceeded quota for free query bytes scanned."), "fills again within the day", false},
		{"down", answer(503, "backendError", "try later"), "try later", true},
		{"nobody there", "bigquery://project?endpoint=http://127.0.0.1:1", "does not answer", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), c.url, "tiledesk")
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, errAway) != c.away {
				t.Errorf("Open: %v, want %q in it, away %v", err, c.want, c.away)
			}
		})
	}
}

// TestBigQueryErrors is about what jobs end with.
func TestBigQueryErrors(t *testing.T) {
	t.Parallel()
	b := &bigQuery{project: "project", dataset: "tiledesk", location: "EU"}
	for _, c := range []struct {
		reason, said, want string
		rejected, conflict bool
	}{
		{"invalidQuery", "Transaction is aborted due to concurrent update against table project:tiledesk._tilestream_lock. Transaction ID: 1", "", false, true},
		{"rateLimitExceeded", "Exceeded rate limits: too many table update operations for this table.", "", false, true},
		{"duplicate", "Already Exists: Table project:tiledesk.tags", "", false, true},
		{"quotaExceeded", "Quota exceeded: Your table exceeded quota for imports or query appends per table.", "raise BATCH_AGE", false, false},
		{"bytesBilledLimitExceeded", "Query exceeded limit for bytes billed: 1. 10485760 or higher required.", "maximum_bytes_billed", false, false},
		{"billingNotEnabled", "Billing has not been enabled for this project.", "enable billing of project project", false, false},
		{"accessDenied", "Access Denied: Table project:tiledesk.tags: User does not have permission", "roles/bigquery.jobUser", false, false},
		{"notFound", "Not found: Table project:tiledesk._tilestream_ledger was not found in location EU", "Tilestream's own tables", false, false},
		{"notFound", "Not found: Table project:tiledesk.tags was not found in location US", "location in WAREHOUSE_URL", false, false},
		{"invalidQuery", "Invalid input to JSON_PARSE", "", true, false},
		{"invalid", "Error while reading data, error message: Row size is larger than: 104857600", "", true, false},
		{"invalidQuery", "Unrecognized name: fresh at [1:1]", "", false, false},
	} {
		err := fmt.Errorf("write tags: %w", &bq.Error{Reason: c.reason, Message: c.said})
		var rejected *RejectedError
		explained := b.explain(err)
		if !strings.Contains(explained.Error(), c.want) || c.want == "" && !c.rejected && explained != err || errors.As(explained, &rejected) != c.rejected {
			t.Errorf("%s: %v, want %q in it, rejected %v", c.said, explained, c.want, c.rejected)
		}
		if bigQueryConflict(err) != c.conflict {
			t.Errorf("%s: conflict %v", c.said, !c.conflict)
		}
	}
}

// A key that was revoked is found out where tokens are issued, before anything is asked.
func TestBigQueryRevokedKey(t *testing.T) {
	t.Parallel()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
	}))
	defer tokens.Close()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	key, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "project", "private_key_id": "1", "private_key": text, "client_email": "a@project.iam.gserviceaccount.com", "client_id": "1", "token_uri": tokens.URL})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), "bigquery://project?endpoint=https://127.0.0.1:1&credentials="+url.QueryEscape(file), "tiledesk")
	if err == nil || !strings.Contains(err.Error(), "make a new key") || errors.Is(err, errAway) || strings.Contains(err.Error(), text[40:80]) {
		t.Errorf("Open: %v, want it to say what to do, and not the key", err)
	}
}
