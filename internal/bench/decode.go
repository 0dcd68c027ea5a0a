package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/linkedin/goavro/v2"

	"tilestream/internal/bench/messages"
	"tilestream/schemas"
)

// decode measures the way from Avro to columns on one core, beside goavro, which makes maps.
func (b *bench) decode(ctx context.Context) ([]trial, error) {
	rs, err := schemas.ByName("messages")
	if err != nil {
		return nil, err
	}
	registry, err := b.kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	codec := schemas.NewCodec(registry, b.kafka.Prefix)
	var bodies [][]byte
	var id int
	for i := range min(b.rows, batch) {
		frame, _, err := codec.Encode(ctx, rs[0], messages.New(messages.ID(i), i, time.Now()))
		if err != nil {
			return nil, err
		}
		var body []byte
		if id, body, err = schemas.SplitFrame(frame); err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	decoder, err := codec.Decoder(ctx, id)
	if err != nil {
		return nil, err
	}
	text, err := registry.SchemaByID(ctx, id)
	if err != nil {
		return nil, err
	}
	maps, err := goavro.NewCodec(text.Schema)
	if err != nil {
		return nil, err
	}
	columns := array.NewRecordBuilder(memory.DefaultAllocator, decoder.Schema())
	b.close = append([]func() error{func() error { columns.Release(); return nil }}, b.close...)
	measure := func(one func(body []byte) error, end func()) func(context.Context) (cost, error) {
		return func(context.Context) (c cost, err error) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began, cpu := time.Now(), messages.CPU(os.Getpid())
			for c.rows < b.rows {
				for _, body := range bodies {
					if err := one(body); err != nil {
						return c, fmt.Errorf("decode: %w", err)
					}
				}
				end()
				c.rows += len(bodies)
			}
			c.took, c.cpu = time.Since(began), messages.CPU(os.Getpid())-cpu
			runtime.ReadMemStats(&after)
			c.allocs = float64(after.Mallocs-before.Mallocs) / float64(c.rows)
			return c, nil
		}
	}
	return []trial{
		{"decode, a core", []string{"decode, a core, goavro"}, measure(func(body []byte) error { return decoder.Append(columns, body) }, func() { columns.NewRecordBatch().Release() })},
		{"decode, a core, goavro", nil, measure(func(body []byte) error { _, _, err := maps.NativeFromBinary(body); return err }, func() {})},
	}, nil
}
