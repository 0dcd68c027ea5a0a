package sinktest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tilestream/consumer/sink"
)

// MessagesTable is a table like that of messages: 17 columns.
func MessagesTable() sink.Table {
	return Table("messages", Column("id_project", String), Column("sender", String), Column("sender_fullname", String),
		Column("recipient", String), Column("text", String), Column("type", String), Column("status", Int64), Column("attributes", JSON),
		Column("metadata", JSON), Column("channel", String), Column("language", String), Column("has_error", Boolean),
		Column("created_at", Timestamp))
}

// Messages makes n rows of about 1 KB for MessagesTable. The keys are as MongoDB makes them, in the order of time, from
// number first on; step is the distance between them. version is in seconds.
func Messages(first, step, n, version int) []Row {
	text := strings.Repeat("Buongiorno, vorrei sapere quando arriva il mio ordine. ", 8)
	rows := make([]Row, n)
	for i := range rows {
		k := first + i*step
		rows[i] = Row{
			"_id": fmt.Sprintf("%08x5ae1d2a0c3%06x", 0x68000000+k/8, k), "id_project": "62c3f10152dc7400352bab0d", "sender": fmt.Sprintf("user-%d", k%997),
			"sender_fullname": "Giulia Bianchi", "recipient": fmt.Sprintf("support-group-62c3f10152dc7400352bab0d-%032x", k/12),
			"text": text[:300+k%100], "type": "text", "status": int64(150 + k%3*50),
			"attributes": fmt.Sprintf(`{"projectId":"62c3f10152dc7400352bab0d","depId":"62c3f10252dc7400352bab7e","userAgent":"Mozilla/5.0","sourcePage":"https://example.com/orders/%d","ipAddress":"203.0.113.%d","departments":["support","sales"]}`, k, k%256),
			"metadata":   `{"src":"","type":"text","uid":"k3"}`, "channel": "chat21", "language": "it", "has_error": k%50 == 0,
			"created_at": at(k), "updated_at": at(version), "_load_id": "load-of-benchmark", "_kafka_offset": int64(version)*1_000_000 + int64(k),
		}
	}
	return rows
}

// BenchmarkWrite measures Write: batches of new keys, of all the same keys again, of keys spread over a table of many
// rows, and small batches as a quiet stream makes them.
func BenchmarkWrite(b *testing.B, empty func(t testing.TB) Destination) {
	const batch = 50_000
	for _, c := range []struct {
		name        string
		held        int // batches in the table before
		rows        int
		first, step func(i int) int
	}{
		{"new", 0, batch, func(i int) int { return i * batch }, func(int) int { return 1 }},
		{"update", 1, batch, func(int) int { return 0 }, func(int) int { return 1 }},
		{"spread over 500k", 10, batch, func(int) int { return 0 }, func(int) int { return 10 }},
		{"100 rows into 500k", 10, 100, func(i int) int { return 10*batch + i*100 }, func(int) int { return 1 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := empty(b)
			to := d.Open(b)
			defer to.Close()
			t := MessagesTable()
			if err := to.Prepare(b.Context(), t); err != nil {
				b.Fatal(err)
			}
			var next int64
			write := func(rows []Row) time.Duration {
				w := sink.Batch{ID: fmt.Sprint("load-", next), Table: t, Ranges: []sink.Range{Span(0, next, next+1)}, Rows: Record(t.Schema, rows)}
				next++
				started := time.Now()
				if _, err := to.Write(b.Context(), w); err != nil {
					b.Fatal(err)
				}
				return time.Since(started)
			}
			for i := range c.held {
				write(Messages(i*batch, 1, batch, 0))
			}
			var took time.Duration
			var n int
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				rows := Messages(c.first(i), c.step(i), c.rows, i+1)
				b.StartTimer()
				took += write(rows)
				n++
			}
			b.ReportMetric(float64(n*c.rows)/took.Seconds(), "rows/s")
			b.ReportMetric(float64(took.Milliseconds())/float64(n), "ms/write")
		})
	}
}
