// Package messages makes messages by the hundred thousand: JSON as Tiledesk has it, and topics full of it.
package messages

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
	"tilestream/schemas"
)

// Publish fills the topic of messages, which it creates, with records of so many keys: those past the number of keys are newer versions.
// It returns how many bytes all values have.
func Publish(ctx context.Context, kafka broker.Config, records, keys int) (size int64, err error) {
	rs, err := schemas.ByName("messages")
	if err != nil {
		return 0, err
	}
	cl, err := kafka.NewClient(kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	topic := rs[0].Topic(kafka.Prefix)
	if err := broker.Ensure(ctx, cl, slog.New(slog.DiscardHandler), kafka.DataTopic(topic)); err != nil {
		return 0, err
	}
	registry, err := kafka.NewRegistry()
	if err != nil {
		return 0, err
	}
	codec := schemas.NewCodec(registry, kafka.Prefix)
	start := time.Now().UTC().Add(-time.Hour) // retention would take older ones
	var failed atomic.Pointer[error]
	for i := range records {
		key := ID(i % keys)
		value, _, err := codec.Encode(ctx, rs[0], New(key, i, start))
		if err != nil {
			return size, err
		}
		size += int64(len(value))
		cl.Produce(ctx, &kgo.Record{
			Topic: topic, Key: []byte(key), Value: value, Timestamp: start.Add(time.Duration(i) * time.Millisecond),
			Headers: []kgo.RecordHeader{{Key: "project", Value: []byte("65f1c0ffee65f1c0ffee65f1")}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return size, err
	}
	if err := failed.Load(); err != nil {
		return size, *err
	}
	return size, nil
}

// ID is the i-th id, in no order.
func ID(i int) string { return fmt.Sprintf("%024x", uint64(i)*0x9E3779B97F4A7C15) }

// New is one that a bot has written, in JSON: about 1 KB.
func New(id string, i int, start time.Time) []byte {
	at := start.Add(time.Duration(i) * time.Millisecond).Format("2006-01-02T15:04:05.000Z")
	conversation := fmt.Sprintf("support-group-65f1c0ffee65f1c0ffee65f1-%032x", i/12)
	text := fmt.Sprintf("Thank you for waiting. Your order %d has left our warehouse %d and will be with you in %d days; reply here if it is not. ", i*7919, i%97, i%9+1)
	doc, _ := json.Marshal(map[string]any{ // texts and numbers
		"_id": id, "sender": fmt.Sprintf("bot_%024x", i%50), "senderFullname": "Order desk", "recipient": conversation, "recipientFullname": "Ada Lovelace",
		"text": text + text[:100], "type": "text", "id_project": "65f1c0ffee65f1c0ffee65f1", "channel_type": "group", "channel": map[string]any{"name": "chat21"},
		"status": 200, "language": "en", "createdBy": fmt.Sprintf("bot_%024x", i%50), "createdAt": at, "updatedAt": at,
		"metadata":   map[string]any{},
		"attributes": map[string]any{"requestId": conversation, "intentName": "order_status", "score": float64(i%1000) / 1000, "departmentName": "Default"},
	})
	return doc
}

// Resident is the most memory that a living process has had resident, in bytes; 0 of one that is gone, and where there is no /proc
// (proc(5), VmHWM). rusage says it of the dead, but counts the parent's from before exec too.
func Resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// CPU is the time that a living process has taken, user and system, with that of its children that have ended; 0 of one that is gone, and where
// there is no /proc (proc(5), stat: in hundredths of a second).
func CPU(pid int) (took time.Duration) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before may hold anything
	for i, field := range strings.Fields(rest) {
		if i >= 11 && i <= 14 {
			n, _ := strconv.ParseInt(field, 10, 64)
			took += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return took
}
