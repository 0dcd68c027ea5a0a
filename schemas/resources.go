// Package schemas is the contract between the producer and the consumer: the table of resources, their Avro schemas,
// the codec that frames records for a schema registry, and the decoder that turns framed records into Arrow columns.
// JSON documents as Tiledesk sends them come in on one side; Arrow rows go out on the other.
package schemas

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Walk is the way in which the changes of a resource are found.
type Walk int

const (
	// WholeList reads the list in one answer, each time, and compares it with the last: neither pages nor dates.
	WholeList Walk = iota
	// UpdatedSince asks for what changed since the watermark, oldest first.
	UpdatedSince
	// NewestFirst reads pages from the newest change back to the watermark: the server cannot filter by date.
	NewestFirst
	// ThroughRequests reads the children of the requests that changed since the watermark.
	ThroughRequests
)

// A Resource is an endpoint, a topic and a table. Adding one takes a row in Resources and NAME.avsc beside this file.
type Resource struct {
	Name       string        // topic suffix, table name and the name in TILEDESK_RESOURCES
	Path       string        // v3: what follows /{project_id}/
	Items      string        // v3: the key that holds the list; empty where the answer is a bare list
	Query      string        // v3: parameters without which the server hides records
	Limit      int           // v3: the largest page the server honours, in records; 0 where it does not page
	Walk       Walk          // v3: how changes are found
	Documented bool          // also part of the documented API (/projects/{id}/{name})
	Interval   time.Duration // between polls, unless TILEDESK_POLL_INTERVAL says otherwise
}

// Resources lists everything that can be polled. Limits and hidden records: Tiledesk routes/request.js, routes/message.js,
// routes/lead.js (a limit above the largest honoured one silently falls back to a small default).
var Resources = []Resource{
	{Name: "messages", Path: "messages", Limit: 50, Walk: ThroughRequests, Documented: true, Interval: 5 * time.Second},
	{Name: "requests", Path: "requests", Items: "requests", Query: "status=all&preflight=true", Limit: 100, Walk: UpdatedSince, Documented: true, Interval: 5 * time.Second},
	{Name: "conversations", Path: "requests", Items: "requests", Query: "status=all&preflight=true&no_populate=true", Limit: 100, Walk: UpdatedSince, Documented: true, Interval: 5 * time.Second},
	{Name: "leads", Path: "leads", Items: "leads", Limit: 100, Walk: NewestFirst, Interval: 10 * time.Second},
	{Name: "bots", Path: "bots", Query: "all=true", Documented: true, Interval: time.Minute},
	{Name: "members", Path: "project_users", Documented: true, Interval: time.Minute},
	{Name: "departments", Path: "departments/allstatus", Interval: time.Minute},
	{Name: "groups", Path: "groups", Interval: time.Minute},
	{Name: "tags", Path: "tags", Interval: time.Minute},
	{Name: "canned_responses", Path: "canned", Interval: time.Minute},
}

//go:embed *.avsc
var files embed.FS

// Avro returns the text of the resource's Avro schema.
func (r Resource) Avro() string {
	b, err := files.ReadFile(r.Name + ".avsc")
	if err != nil {
		panic(err) // a start-up table: TestResources checks that every row has its file
	}
	return string(b)
}

// Doc says what a record of the resource is.
func (r Resource) Doc() string {
	var schema struct{ Doc string }
	if err := json.Unmarshal([]byte(r.Avro()), &schema); err != nil {
		panic(err) // as in Avro
	}
	return schema.Doc
}

// Topic returns the Kafka topic of the resource, PREFIX.NAME.
func (r Resource) Topic(prefix string) string { return prefix + "." + r.Name }

// Subject returns the schema registry subject of the resource's values.
func (r Resource) Subject(prefix string) string { return r.Topic(prefix) + "-value" }

// Names are those of all resources.
func Names() (names []string) {
	for _, r := range Resources {
		names = append(names, r.Name)
	}
	return names
}

// ByName finds the named resources, in the order of the names; no names means all of them. The error of an unknown name
// lists the known ones.
func ByName(names ...string) ([]Resource, error) {
	if len(names) == 0 {
		return Resources, nil
	}
	byName := map[string]Resource{}
	for _, r := range Resources {
		byName[r.Name] = r
	}
	var out []Resource
	for _, n := range names {
		r, ok := byName[n]
		if !ok {
			return nil, fmt.Errorf("unknown resource %q: the resources are %s", n, strings.Join(Names(), ", "))
		}
		out = append(out, r)
	}
	return out, nil
}
