package schemas

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/linkedin/goavro/v2"
)

var benchmarked = []string{"messages", "requests"}

func perSecond(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s") }

func BenchmarkEncode(b *testing.B) {
	for _, name := range benchmarked {
		b.Run(name, func(b *testing.B) {
			c, _ := newCodec(b)
			r := resource(b, name)
			docs := recorded(b, r)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if _, _, err := c.Encode(b.Context(), r, docs[n%len(docs)]); err != nil {
					b.Fatal(err)
				}
				n++
			}
			perSecond(b)
		})
	}
}

// The two ways to read a document: the scanner, and encoding/json into raw members.
func BenchmarkScan(b *testing.B) {
	for _, name := range benchmarked {
		r := resource(b, name)
		docs := recorded(b, r)
		w, err := writerOf(r.Avro())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/scanner", func(b *testing.B) {
			var s scanner
			n := 0
			for b.Loop() {
				if err := s.scan(docs[n%len(docs)], w.routes, w.slots); err != nil {
					b.Fatal(err)
				}
				n++
			}
			perSecond(b)
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			n := 0
			for b.Loop() {
				var m map[string]json.RawMessage
				if err := json.Unmarshal(docs[n%len(docs)], &m); err != nil {
					b.Fatal(err)
				}
				for _, v := range m {
					var compact bytes.Buffer
					if err := json.Compact(&compact, v); err != nil {
						b.Fatal(err)
					}
				}
				n++
			}
			perSecond(b)
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range benchmarked {
		c, _ := newCodec(b)
		r := resource(b, name)
		var bodies [][]byte
		for _, doc := range recorded(b, r) {
			frame, _, err := c.Encode(b.Context(), r, doc)
			if err != nil {
				b.Fatal(err)
			}
			bodies = append(bodies, frame[frameHeader:])
		}
		b.Run(name+"/arrow", func(b *testing.B) {
			d := mustDecoder(b, r.Avro())
			rows := array.NewRecordBuilder(memory.DefaultAllocator, d.Schema())
			defer rows.Release()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := d.Append(rows, bodies[n%len(bodies)]); err != nil {
					b.Fatal(err)
				}
				if n++; n%10_000 == 0 { // the size of a batch
					b.StopTimer()
					rows.NewRecordBatch().Release()
					rows.Reserve(10_000)
					b.StartTimer()
				}
			}
			perSecond(b)
		})
		b.Run(name+"/goavro", func(b *testing.B) {
			avro, err := goavro.NewCodec(r.Avro())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if _, _, err := avro.NativeFromBinary(bodies[n%len(bodies)]); err != nil {
					b.Fatal(err)
				}
				n++
			}
			perSecond(b)
		})
	}
}
