package tiledesktest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

// BenchmarkCalls reads from 30,000 requests with 300,000 messages what a poller reads.
func BenchmarkCalls(b *testing.B) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := New(Options{Clock: func() time.Time { return start }})
	template := NewSample(1, start, Options{Clock: s.opt.Clock}).Docs("requests")[0]
	for i := range 30_000 {
		at := stamp(start.Add(time.Duration(i) * time.Second).UnixMilli())
		id := fmt.Sprintf("r-%d", i)
		doc := with(template, field{"_id", quote(fmt.Sprintf("%024x", i))}, field{"request_id", quote(id)}, field{"createdAt", quote(at)}, field{"updatedAt", quote(at)})
		if err := s.Put("requests", doc); err != nil {
			b.Fatal(err)
		}
		for m := range 10 {
			doc := message{ID: fmt.Sprintf("%024x", 10*i+m), Recipient: id, Sender: "x", Text: "Where is my order?", CreatedAt: at, UpdatedAt: at}
			if err := s.Put("messages", doc); err != nil {
				b.Fatal(err)
			}
		}
	}
	since := start.Add(15_000 * time.Second).Format(layout)
	for name, rest := range map[string]string{
		"changed requests":      "/requests?status=all&preflight=true&filterRangeField=updatedAt&timezone=UTC&sort=updatedAt&direction=1&limit=100&start_date_time=" + url.QueryEscape(since),
		"messages of a request": "/requests/r-77/messages", "newest messages": "/messages?limit=50", "open requests": "/requests",
	} {
		b.Run(name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "/"+s.ID+rest, nil)
				r.Header.Set("Authorization", s.Owner.Token)
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "body-bytes")
		})
	}
}
