package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// StartBigQuery is the URL of BigQuery as far as an emulator is: a proxy in front of it does what it does not. Scripts count rows
// (@@row_count), uploads have parts, tables that were altered have the columns that they have now, of two transactions in a dataset at once the later one is cancelled, as BigQuery does it. A warehouse that is no
// emulator is itself.
func StartBigQuery(t testing.TB, rawURL string) string {
	return startBigQuery(t, rawURL, func(next http.Handler) http.Handler { return next })
}

func startBigQuery(t testing.TB, rawURL string, before func(http.Handler) http.Handler) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	at, err := url.Parse(q.Get("endpoint"))
	if err != nil || at.Scheme != "http" {
		return rawURL
	}
	proxy := httputil.NewSingleHostReverseProxy(at)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.StatusCode == http.StatusPermanentRedirect { // the client asks for this in its place (X-GUploader-No-308)
			r.StatusCode, r.Status = http.StatusOK, ""
			r.Header.Set("X-Http-Status-Code-Override", "308")
		}
		return nil
	}
	s := httptest.NewServer(before(&bigQueryDouble{Handler: proxy, emulator: at.String(), at: map[string]bool{}}))
	t.Cleanup(s.Close)
	q.Set("endpoint", s.URL)
	u.RawQuery = q.Encode()
	return u.String()
}

type bigQueryDouble struct {
	http.Handler
	emulator string
	mu       sync.Mutex
	at       map[string]bool // datasets in which a transaction is at work
}

var tablePath = regexp.MustCompile(`/datasets/(\w+)/tables/(\w+)$`)

// table shows the columns of a table as a query has them: the emulator keeps those that it was made with, and JSON as text.
func (d *bigQueryDouble) table(w http.ResponseWriter, r *http.Request, dataset, name string) {
	ask, _ := json.Marshal(map[string]any{"query": "SELECT * FROM `" + dataset + "`.`" + name + "` LIMIT 0", "useLegacySql": false})
	project, _, _ := strings.Cut(r.URL.Path, "/datasets/")
	resp, err := http.Post(d.emulator+project+"/queries", "application/json", bytes.NewReader(ask))
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	var answer struct {
		Schema json.RawMessage `json:"schema"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Schema == nil {
		d.Handler.ServeHTTP(w, r) // which says what is wrong
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"tableReference":{"datasetId":%q,"tableId":%q},"schema":%s}`, dataset, name, answer.Schema)
}

var lockedDataset = regexp.MustCompile("BEGIN TRANSACTION;\nMERGE INTO `(\\w+)`")

func (d *bigQueryDouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if found := tablePath.FindStringSubmatch(r.URL.Path); found != nil && r.Method == http.MethodGet {
		d.table(w, r, found[1], found[2])
		return
	}
	if strings.Contains(r.URL.Path, "/upload/") && r.URL.Query().Has("upload_id") {
		r.Method = http.MethodPut // as the API's description has it: the client posts
	}
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/jobs") || strings.Contains(r.URL.Path, "/upload/") {
		d.Handler.ServeHTTP(w, r)
		return
	}
	var job struct {
		Reference     json.RawMessage           `json:"jobReference"`
		Configuration map[string]map[string]any `json:"configuration"`
	}
	body, err := io.ReadAll(r.Body)
	var whole map[string]any
	if err == nil {
		err = json.Unmarshal(body, &whole)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.Unmarshal(body, &job)
	configuration, _ := whole["configuration"].(map[string]any)
	query, _ := configuration["query"].(map[string]any)
	text, _ := query["query"].(string)
	if found := lockedDataset.FindStringSubmatch(text); found != nil {
		d.mu.Lock()
		busy := d.at[found[1]]
		d.at[found[1]] = true
		d.mu.Unlock()
		if busy {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"jobReference":%s,"configuration":{"query":{"query":""}},"status":{"state":"DONE","errorResult":{"reason":"invalidQuery","message":"Transaction is aborted due to concurrent update against table %s._tilestream_lock. Transaction ID: 1"}}}`,
				job.Reference, found[1])
			return
		}
		defer func() {
			d.mu.Lock()
			delete(d.at, found[1])
			d.mu.Unlock()
		}()
		query["query"] = withCounts(text)
		body, _ = json.Marshal(whole)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	d.Handler.ServeHTTP(w, r)
}

// withCounts is a script with what @@row_count would be in its place. A text in it has no line breaks.
func withCounts(script string) string {
	out := []string{"DECLARE double_count INT64 DEFAULT 0"}
	statements := strings.Split(script, ";\n")
	for i, s := range statements {
		if strings.Contains(s, "@@row_count") {
			s = strings.ReplaceAll(s, "@@row_count", "double_count")
		}
		if i+1 == len(statements) || !strings.Contains(statements[i+1], "@@row_count") {
			out = append(out, s)
			continue
		}
		verb, rest, _ := strings.Cut(s, " ")
		switch verb {
		case "MERGE":
			head, tail, _ := strings.Cut(s, "\nWHEN ")
			at := strings.LastIndex(head, " AS fresh ON ")
			target, source, _ := strings.Cut(strings.TrimPrefix(head[:at], "MERGE INTO "), " AS held USING ")
			where, _, _ := strings.Cut(strings.TrimPrefix(tail, "MATCHED AND "), " THEN UPDATE SET ")
			join := "JOIN"
			if strings.Contains(tail, "WHEN NOT MATCHED") {
				join, where = "LEFT JOIN", "held.`_id` IS NULL OR "+where
			}
			out = append(out, fmt.Sprintf("SET double_count = (SELECT count(*) FROM %s AS fresh %s %s AS held ON %s WHERE %s)", source, join, target, head[at+len(" AS fresh ON "):], where), s)
		default: // INSERT INTO and DELETE FROM
			target := strings.Fields(rest)[1]
			out = append(out, "SET double_count = (SELECT count(*) FROM "+target+")", s, "SET double_count = ABS(double_count - (SELECT count(*) FROM "+target+"))")
		}
	}
	return strings.Join(out, ";\n")
}
