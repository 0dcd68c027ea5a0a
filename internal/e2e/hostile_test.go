package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/dlq"
	"tilestream/internal/local"
	"tilestream/producer/poll"
)

// hostileDesk answers as Tiledesk's lists do, with documents as raw as the test has them. What is no date sorts below every
// date and passes no filter, as in the database.
type hostileDesk struct {
	mu   sync.Mutex
	docs map[string][]hostileDoc // by the end of the path
	raw  map[string]string       // answers that are no lists
}

type hostileDoc struct {
	id, raw          string
	created, updated time.Time
}

// put stores documents in place of those with the same _id, and returns them as a reader of JSON sees them.
func (d *hostileDesk) put(t *testing.T, path string, raws ...string) map[string]document {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]document{}
	for _, raw := range raws {
		var seen document
		decode(t, []byte(raw), &seen)
		at := func(key string) time.Time {
			s, _ := seen[key].(string)
			at, _ := time.Parse(time.RFC3339Nano, s)
			return at
		}
		doc := hostileDoc{seen["_id"].(string), raw, at("createdAt"), at("updatedAt")}
		d.docs[path] = append(slices.DeleteFunc(d.docs[path], func(o hostileDoc) bool { return o.id == doc.id }), doc)
		out[doc.id] = seen
	}
	return out
}

func (d *hostileDesk) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	q := req.URL.Query()
	if raw, ok := d.raw[path]; ok {
		_, _ = w.Write([]byte(raw))
		return
	}
	docs := slices.Clone(d.docs[path])
	slices.SortStableFunc(docs, func(a, b hostileDoc) int {
		switch {
		case q.Get("sort") == "_id":
			return cmp.Compare(a.id, b.id)
		case path == "messages":
			return b.created.Compare(a.created)
		case q.Get("direction") == "1":
			return a.updated.Compare(b.updated)
		}
		return b.updated.Compare(a.updated)
	})
	const layout = "02/01/2006 15:04:05"
	if from, err := time.Parse(layout, q.Get("start_date_time")); err == nil {
		to, endless := time.Parse(layout, q.Get("end_date_time"))
		docs = slices.DeleteFunc(docs, func(d hostileDoc) bool {
			return d.updated.IsZero() || d.updated.Before(from) || endless == nil && d.updated.After(to)
		})
	}
	count := len(docs)
	if limit, err := strconv.Atoi(q.Get("limit")); err == nil {
		page, _ := strconv.Atoi(q.Get("page"))
		docs = docs[min(page*limit, len(docs)):min(page*limit+limit, len(docs))]
	}
	var list bytes.Buffer
	for i, doc := range docs {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(doc.raw)
	}
	if key := map[string]string{"requests": "requests", "leads": "leads"}[path]; key != "" {
		fmt.Fprintf(w, `{"perPage":%s,"count":%d,%q:[%s]}`, q.Get("limit"), count, key, list.Bytes())
		return
	}
	fmt.Fprintf(w, "[%s]", list.Bytes())
}

// hostileTexts are texts that some reader may take for something else, as they stand in JSON.
var hostileTexts = map[string]string{
	"empty":        ``,
	"nul":          `a\u0000b`,
	"nulls":        `\u0000`,
	"notUTF8":      "a\xff\xfe\x80b",
	"halfEmoji":    `a\ud83d`,
	"otherHalf":    `\ude00\ud83d\ud83d`,
	"sql":          `'); DROP TABLE tiledesk.messages; --`,
	"quoted":       `"x" \"\"\" 'y' ` + "`z` $1 ${HOME} %s {{.}}",
	"csv":          `a,b;c\t\"d\"\r\n=HYPERLINK(\"http://x\")\n\\N`,
	"html":         `<script>alert(1)</script><!--`,
	"newlines":     `\r\n\u2028\u2029\u0085\u000b`,
	"bidi":         `\u202eabc\ufeff\u200b`,
	"null":         `null`,
	"number":       `1e400`,
	"infinity":     `Infinity`,
	"json":         `{\"a\":[1,`,
	"escape":       `\u001b[31m\u0007\u007f`,
	"private":      `\uffff\ufffe\ue000`,
	"astral":       `\ud83d\ude00 \udbff\udfff`,
	"slash":        `../../etc/passwd\u0000.txt`,
	"emptyParquet": `__HIVE_DEFAULT_PARTITION__`,
}

func hostileDocs(t *testing.T) []string {
	now := time.Now().UTC().Add(-time.Hour)
	at := 0
	dates := func() string {
		at++
		s := now.Add(time.Duration(at) * time.Second).Format("2006-01-02T15:04:05.000Z")
		return fmt.Sprintf(`"createdAt":%q,"updatedAt":%q`, s, s)
	}
	var docs []string
	for name, text := range hostileTexts {
		text = strings.ReplaceAll(text, `"x" `, `\"x\" `)
		docs = append(docs,
			fmt.Sprintf(`{"_id":"text-%s",%s,"text":"%[3]s","name":"%[3]s","subject":"%[3]s","attributes":{"%[3]s":["%[3]s"]},"unknown":"%[3]s","%[3]s":1}`, name, dates(), text))
		if text != "" {
			docs = append(docs, fmt.Sprintf(`{"_id":"id %s %s",%s}`, name, text, dates()))
		}
	}
	for name, when := range map[string]string{
		"first": `"0001-01-01T00:00:00Z"`, "zero": `"0000-00-00T00:00:00Z"`, "last": `"9999-12-31T23:59:59.999Z"`, "beyond": `"+275760-09-13T00:00:00.000Z"`,
		"before": `"-000001-01-01T00:00:00Z"`, "number": `1795000000000`, "object": `{"$date":"2026-01-01"}`, "text": `"yesterday"`, "empty": `""`, "null": `null`,
		"list": `[]`, "no zone": `"2026-11-22T17:14:48"`, "leap": `"2026-02-29T00:00:00Z"`, "fine": `"2026-11-22T17:14:48.123456789Z"`, "huge": `1e400`, "true": `true`,
	} {
		docs = append(docs, fmt.Sprintf(`{"_id":"date %s","createdAt":%[2]s,"updatedAt":%[2]s,"text":"x"}`, name, when))
	}
	for i, n := range []string{"9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e400", "-1e400", "1e-400", "-0", "0.1", "123456789012345678901234567890.5", "1E5", strings.Repeat("9", 5000)} {
		docs = append(docs, fmt.Sprintf(`{"_id":"number-%d",%s,"status":%[3]s,"__v":%[3]s,"unknown":%[3]s,"attributes":{"n":%[3]s}}`, i, dates(), n))
	}
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, `,"field %d":%d`, i, i)
	}
	nest := func(n int) string { return strings.Repeat(`{"a":[`, n) + strings.Repeat(`]}`, n) }
	for name, rest := range map[string]string{
		"many fields": `"text":"x"` + many.String(),
		"7 MiB":       `"text":"` + strings.Repeat("ä\\n", 7<<20/4) + `"`,
		"nested":      `"attributes":` + nest(2000) + `,"unknown":` + nest(2000),
		"twice":       `"text":"a","text":"b","attributes":{"a":1,"a":2},"status":1,"status":2`,
		"extra":       `"_extra":{"a":1},"_kafka_offset":-1,"_project_id":"other","_deleted_at":"2026-01-01T00:00:00Z"`,
		"case":        `"_ID":"other","TEXT":"upper","createdat":"2030-01-01T00:00:00Z"`,
		"types":       `"text":{"a":1},"status":"seen","attributes":"text","metadata":[1],"channel":7,"recipient":null,"tags":true`,
		"empty all":   `"text":"","status":null,"attributes":{},"metadata":[],"channel":{},"recipient":"","":"","source":""`,
	} {
		docs = append(docs, fmt.Sprintf(`{"_id":"%s",%s,%s}`, name, dates(), rest))
	}
	docs = append(docs, fmt.Sprintf(`{"_id":"%s",%s}`, strings.Repeat("long/'\\\"\\n", 1024), dates()))
	if len(docs) >= 100 {
		t.Fatalf("%d documents fill a page", len(docs))
	}
	return docs
}

// hostileVariables are the settings of a pipeline from the desk into a file of DuckDB.
func hostileVariables(t *testing.T, desk http.Handler, resources, file string) map[string]string {
	kafka, err := local.StartKafka(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Close() })
	web := httptest.NewServer(desk)
	t.Cleanup(web.Close)
	return map[string]string{
		"TILEDESK_URL": web.URL, "TILEDESK_PROJECT_ID": "65f1c0de0000000000000001", "TILEDESK_TOKEN": "not-looked-at", "TILEDESK_API": "v3",
		"TILEDESK_REQUESTS_PER_MINUTE": "1000000", "TILEDESK_RESOURCES": resources,
		"KAFKA_BROKERS": kafka.Brokers[0], "SCHEMA_REGISTRY_URL": kafka.RegistryURL, "KAFKA_TOPIC_PREFIX": unique("hostile"),
		"WAREHOUSE_URL": "duckdb://" + file,
	}
}

// TestHostileDocuments: whatever a document holds, the warehouse holds the same, by each way of polling; and nothing is
// loaded a second time.
func TestHostileDocuments(t *testing.T) {
	desk := &hostileDesk{docs: map[string][]hostileDoc{}}
	file := filepath.Join(t.TempDir(), "hostile.duckdb")
	p := newPipeline(t, hostileVariables(t, desk, "messages,requests,leads,bots", file))
	want := map[string]map[string]document{}
	for _, table := range []string{"messages", "requests", "leads", "bots"} {
		want[table] = desk.put(t, table, hostileDocs(t)...)
	}
	holds := func() {
		t.Helper()
		w := openDuckDB(t, file)
		w.fields = p.columns(t, slices.Collect(maps.Keys(want))...)
		for table, docs := range want {
			w.holds(t, table, docs)
		}
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p.sync(t)
	holds()
	if got := p.sync(t); got != (sink.Stats{}) {
		t.Errorf("a second sync loaded %+v", got)
	}
	// Each field changes its type.
	for i, v := range []string{`1`, `{"a":null}`, `false`} {
		at := time.Now().UTC().Add(time.Duration(i) * time.Millisecond).Format("2006-01-02T15:04:05.000Z")
		for table, docs := range want {
			for id, doc := range desk.put(t, table, fmt.Sprintf(`{"_id":"text-sql","createdAt":%[2]q,"updatedAt":%[2]q,"text":%[1]s,"status":%[1]s,"attributes":%[1]s,"unknown":%[1]s,"name":%[1]s}`, v, at)) {
				docs[id] = doc
			}
		}
		p.sync(t)
	}
	holds()
}

// holds is matches with JSON columns read as they are: DuckDB writes their numbers anew where it makes JSON of a row.
func (w warehouse) holds(t *testing.T, table string, want map[string]document) {
	t.Helper()
	rows := w.rows(t, table)
	if len(rows) != len(want) {
		t.Errorf("%s: %d documents, %d rows", table, len(want), len(rows))
	}
	columns, err := w.db.QueryContext(t.Context(), `SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? AND data_type = 'JSON'`, w.dataset, table)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for columns.Next() {
		var name string
		if err := columns.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := columns.Err(); err != nil || len(names) == 0 {
		t.Fatalf("%s: %d columns of JSON, %v", table, len(names), err)
	}
	for _, name := range names {
		values, err := w.db.QueryContext(t.Context(), fmt.Sprintf(`SELECT _id, CAST(%[1]q AS text), %[1]q->>'n' FROM %[2]q.%[3]q WHERE %[1]q IS NOT NULL`, name, w.dataset, table))
		if err != nil {
			t.Fatal(err)
		}
		for values.Next() {
			var id, text string
			var member *string // any value can be read with SQL
			if err := values.Scan(&id, &text, &member); err != nil {
				t.Fatal(err)
			}
			var value any
			decode(t, []byte(text), &value)
			rows[id][name] = value
		}
		if err := values.Err(); err != nil {
			t.Errorf("%s.%s: %v", table, name, err)
		}
	}
	for id, doc := range want {
		for _, d := range w.fields.differences(t, table, doc, rows[id]) {
			t.Errorf("%s %.50q: %.500s", table, id, d)
		}
	}
}

// TestHostileAnswers: a resource whose answers cannot be used has one error that names it and why, a document that no message can
// hold is a dead letter, and the others are loaded, however deep they are.
func TestHostileAnswers(t *testing.T) {
	nested := strings.Repeat(`{"a":[`, 50_000) + strings.Repeat(`]}`, 50_000)
	desk := &hostileDesk{docs: map[string][]hostileDoc{}, raw: map[string]string{
		"bots":                  `[{"_id":"a","x":` + nested + `}]`,
		"tags":                  `[{"_id":"a"},{"_id":{"$oid":"65f1c0de0000000000000001"}}]`,
		"groups":                `[{"_id":"` + strings.Repeat("a", 9<<20) + `"}]`,
		"canned":                `[{"_id":"a","text":"` + strings.Repeat("a", 9<<20) + `"}]`,
		"departments/allstatus": "\xef\xbb\xbf[]",
	}}
	file := filepath.Join(t.TempDir(), "hostile.duckdb")
	p := newPipeline(t, hostileVariables(t, desk, "", file))
	now := time.Now().UTC().Format(time.RFC3339)
	want := map[string]map[string]document{}
	for table, path := range map[string]string{"leads": "leads", "members": "project_users", "requests": "requests", "messages": "messages"} {
		want[table] = desk.put(t, path, fmt.Sprintf(`{"_id":"good","createdAt":%[1]q,"updatedAt":%[1]q}`, now))
	}
	clients, err := p.tiledesk.Clients(p.env, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]string{}
	var mu sync.Mutex
	cfg := p.poll
	cfg.Once = true
	err = poll.Run(t.Context(), cfg, p.kafka, clients, poll.Events{Failed: func(_, resource string, why error) {
		mu.Lock()
		defer mu.Unlock()
		failed[resource] = why.Error()
	}})
	if err == nil {
		t.Fatal("no error")
	}
	for resource, why := range map[string]string{
		"tags": "item 1: a document without an _id", "groups": "more than one message may hold",
		"departments": "not what was asked for",
	} {
		if !strings.Contains(failed[resource], why) || !strings.Contains(failed[resource], resource) || len(failed[resource]) > 1000 {
			t.Errorf("%s: %.1000q, want %q", resource, failed[resource], why)
		}
		if !strings.Contains(err.Error(), why) {
			t.Errorf("Run: %.2000v, want %q", err, why)
		}
	}
	letters, _, err := dlq.Read(t.Context(), p.kafka, p.kafka.Prefix+".canned_responses", nil)
	if err != nil || len(letters) != 1 || !strings.Contains(letters[0].Reason, "more than one message may hold") || failed["canned_responses"] != "" {
		t.Errorf("a document that is too large: %d dead letters, %v, %q", len(letters), err, failed["canned_responses"])
	}
	p.loadAll(t)
	w := openDuckDB(t, file)
	for table, docs := range want {
		w.matches(t, table, docs)
	}
	if n := w.number(t, fmt.Sprintf("SELECT count(*) FROM tiledesk.bots WHERE length(CAST(x AS VARCHAR)) = %d", len(nested))); n != 1 || failed["bots"] != "" {
		t.Errorf("what is nested 100,000 deep is there %d times; %q", n, failed["bots"])
	}
}
